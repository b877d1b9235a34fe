# SPDX-License-Identifier: BSD-2-Clause
# test_control.py - gateways that are changed while hosts talk through them: by their sockets, and by a file.
#
# Goal: nothing that is said to a gateway costs a packet that should pass. Method: gateways.py; echo requests in both
# families, every few milliseconds, while both ends' SAs are rekeyed, 100 and more a second; each answer has come, once, in
# its order.
import importlib.machinery
import importlib.util
import itertools
import re
import threading
import time

import case
import gateways
import lab
from hosts import SIDES, address

KEYS = itertools.count(0x5000)


def load_umctl():
    loader = importlib.machinery.SourceFileLoader("umctl", str(lab.ROOT / "scripts" / "umctl"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("umctl", loader))
    loader.exec_module(module)
    return module


umctl = load_umctl()


@case.needs_root
class Control(gateways.Gateways):
    def start_both(self):
        for side in SIDES:
            self.host(side)
        self.wire()
        self.says = {}
        for side in SIDES:
            path = self.lab.path(f"{side}.control")
            self.start_gateway(side, self.conf(side), f"--control={path}")
            self.says[side] = umctl.Control(str(path))

    def say(self, side, command):
        text, error = self.says[side].say(command)
        self.assertIsNone(error, command)
        return text

    def refused(self, side, command):
        text, error = self.says[side].say(command)
        self.assertIsNotNone(error, command)
        return "\n".join([*text, error])

    def rekey(self, sender):
        """Another SA for one direction, make before break: the one who receives has it first."""
        receiver = "b" if sender == "a" else "a"
        n = next(KEYS)
        words = f"spi {n:#x} key {n:08x}000102030405060708090a0b0c0d0e0f"
        self.say(receiver, f"sa rekey in {words} keep 1")
        self.say(sender, f"sa rekey out {words} seq-floor 0")

    def talk(self, v6, answers):
        answers[v6] = self.a.run("ping", "-c", "1000", "-i", "0.002", "-s", "1000", "-w", "60", address("b", v6=v6))

    def rekey_under_load(self):
        for v6 in False, True:
            self.reach(self.a, address("b", v6=v6))
        answers = {}
        talks = [threading.Thread(target=self.talk, args=(v6, answers)) for v6 in (False, True)]
        for talk in talks:
            talk.start()
        began, rekeyed = time.monotonic(), 0
        while any(talk.is_alive() for talk in talks):
            self.rekey("a")
            self.rekey("b")
            rekeyed += 4
            time.sleep(max(0.0, began + rekeyed / 120 - time.monotonic()))
        for talk in talks:
            talk.join()
        (self.logs / "rate").write_text(f"{rekeyed / (time.monotonic() - began):.0f} SAs rekeyed a second, {rekeyed} of them\n")
        for text in answers.values():
            self.assertIn("1000 received", text)
            self.assertNotIn("DUP!", text)
            numbers = [int(n) for n in re.findall(r"icmp_seq=(\d+)", text)]
            self.assertEqual(numbers, sorted(numbers))
        self.assertGreater(rekeyed, 100)
        for side in SIDES:
            self.assertNotIn("Xfrm", "\n".join(self.say(side, "sa show all")))
        self.assertIn("gone in/", "\n".join(self.says["a"].events))

    def reload_with_errors_and_without(self, to):
        for side in SIDES:
            self.say(side, "policy add name by-hand in priority 9 action discard")
        before = {side: self.say(side, "policy list") for side in SIDES}
        file = self.logs / "a.toml"
        good = file.read_text()
        for bad, said in (
            (good + "[[sa]]\nspy = 1\n", "sa.spy"),
            (good.replace(gateways.KEYS[1], gateways.KEYS[1].replace("2", "3")), "expected another SPI"),
            (good + '[[policy]]\nname = "by-hand"\ndirection = "in"\naction = "discard"\n', "a command has made a policy of this name"),
            (good + "[[", "this is no TOML"),
        ):
            file.write_text(bad)
            self.assertIn(said, self.refused("a", "reload"))
            self.assertEqual(self.say("a", "policy list"), before["a"])
            self.ping(self.a, to, 56)
        # Other keys and SPIs at both ends, and the same names: rekeyed, one end after the other.
        for side in ("b", "a"):
            file = self.logs / f"{side}.toml"
            file.write_text(self.conf(side, keys=tuple(key.replace("0", "e", 1) for key in gateways.KEYS), spis=(0x2001, 0x2002)))
            self.say(side, "reload")
        self.ping(self.a, to, 56)
        self.assertIn("spi 0x2001", self.say("a", "sa show out")[0])

    def limits_are_told(self, to):
        """And the prompt and the socket see the same."""
        n = next(KEYS)
        words = f"spi {n:#x} key {n:08x}000102030405060708090a0b0c0d0e0f"
        self.say("b", f"sa rekey in {words}")
        self.say("a", f"sa rekey out {words} seq-floor 0 soft-packets 2")
        self.ping(self.a, to, 56)
        while self.says["a"].event() != "soft out":
            pass
        self.gateway["a"].ask("sa show out", "soft reached")
        self.gateway["a"].ask("sa delete out", "umfwd> ")
        self.assertIn("0 received", self.a.run("ping", "-c1", "-W0.3", to, check=False))

    def test_gateways_are_reloaded_and_rekeyed_and_lose_nothing(self):
        self.start_both()
        to = address("b")
        self.reach(self.a, to)
        self.say("a", "events")
        self.reload_with_errors_and_without(to)
        self.rekey_under_load()
        self.limits_are_told(to)
        self.end()
