# SPDX-License-Identifier: BSD-2-Clause
# test_prompt.py - a person at the prompt, on a pseudo-terminal.
import termios

import case
import lab

UP = "\x1b[A"
PROMPT = r"umfwd> "


class Prompt(case.SystemTest):
    def setUp(self):
        super().setUp()
        argv = [lab.UMFWD, *self.lab.eal(["net_null0"]), "--", "-i", "--total-num-mbufs=4096"]
        self.person = self.lab.terminal("umfwd", argv)
        self.person.expect(PROMPT)

    def quit(self):
        self.person.keys("quit\n")
        self.assertEqual(self.person.wait(), 0, self.person.last_words())

    def test_a_tab_completes_the_word(self):
        self.person.keys("sho\t")
        self.person.expect(r"show ")
        self.person.keys("port sta\t")
        self.person.expect(r"stats")
        self.person.keys(" 0\n")
        self.person.expect(r"NIC statistics for port 0")
        self.person.expect(PROMPT)
        self.quit()

    def test_the_up_key_brings_the_last_line_back(self):
        self.person.keys("show port info 0\n")
        self.person.expect(r"Infos for port 0")
        self.person.expect(PROMPT)
        self.person.keys(UP)
        self.person.expect(r"show port info 0")
        self.person.keys("\n")
        self.person.expect(r"Infos for port 0")
        self.person.expect(PROMPT)
        self.quit()

    def test_a_key_is_not_brought_back(self):
        key = "00112233445566778899aabbccddeeff00112233"
        self.person.keys(f"sa add x child c out key {key}\n")
        self.person.expect(r"no SAs and policies yet")
        self.person.expect(PROMPT)
        self.person.keys(UP)
        self.person.expect(r"sa add x child c out key \*{40}")
        self.person.keys("\n")
        rest = self.person.expect(r"(?s)(.*)umfwd> ")[1]
        self.assertNotIn(key, rest)
        self.quit()

    def test_help_lists_the_commands(self):
        self.person.keys("help\n")
        listed = self.person.expect(r"(?s)(.*)umfwd> ")[1]
        for command in ("start", "stop", "show port", "set burst", "port attach", "quit"):
            self.assertIn(command, listed)
        self.quit()

    def test_a_word_that_is_not_known_is_answered_and_the_prompt_comes_back(self):
        self.person.keys("set burst banana\n")
        self.person.expect(r"(?i)banana(?s:.*)umfwd> ")
        self.quit()

    def test_forwarding_starts_and_stops_at_the_prompt(self):
        self.person.keys("start\n")
        self.person.expect(r"packet forwarding")
        self.person.expect(PROMPT)
        self.person.keys("stop\n")
        self.person.expect(r"Accumulated forward statistics for all ports")
        self.person.expect(PROMPT)
        self.quit()

    def test_ctrl_c_ends_the_program_in_order(self):
        self.person.keys("start\n")
        self.person.expect(r"packet forwarding")
        self.person.expect(PROMPT)
        self.person.keys("\x03")
        status = self.person.wait()
        self.assertEqual(status, 0, self.person.last_words())
        self.assertIn("pools balanced: yes", self.person.seen)

    def test_the_terminal_is_as_it_was_after_quit(self):
        self.quit()
        self.assertEqual(termios.tcgetattr(self.person.slave)[3], self.person.settings[3])
