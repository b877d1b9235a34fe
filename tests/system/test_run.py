# SPDX-License-Identifier: BSD-2-Clause
# test_run.py - scripts/run itself: what it writes, when it is content, what it leaves behind.
import contextlib
import pathlib
import tempfile

import case
import gateway_run
import lab

RUN = ["/usr/bin/python3", "-B", str(lab.ROOT / "scripts" / "lib" / "run.py")]


class Run(case.SystemTest):
    def start(self, *arguments):
        return self.lab.program("run", [*RUN, *arguments])

    def good(self, *arguments):
        """The numbers of a run that is content."""
        report = self.logs / "run.json"
        run = self.start("--json", str(report), *arguments)
        self.assertEqual(run.wait(), 0, run.last_words())
        got = lab.load_json(report)
        self.assertGreater(got["received"], 0)
        self.assertEqual((got["lost_unaccounted"], got["corrupt"], got["duplicate"]), (0, 0, 0))
        self.assertIs(got["pools_balanced"], True)
        return got

    def lost_by(self, got, why):
        return sum(n for name, n in got["lost"].items() if name in (f"A {why}", f"B {why}"))

    # ---- the gateways

    def test_every_packet_arrives_and_none_is_copied(self):
        got = self.good("--seconds", "1")
        for key in ("mpps", "sent", "cycles_per_packet", "seconds", "esp_gbps"):
            self.assertGreater(got[key], 0, key)
        self.assertEqual(got["payload_bytes_copied_per_packet"], 0)
        self.assertIs(got["page_hashes_unchanged"], True)
        self.assertGreater(got["pages_compared"], 0)
        self.assertGreater(got["unmapped_packets"], 0)
        self.assertGreater(got["shared_packets"], 0)
        self.assertGreater(got["B"]["recvfile"]["bytes"], 0)

    def test_one_processor_and_no_hugepages_do(self):
        report = self.logs / "run.json"
        cpu = str(self.lab.cpus[-1])
        run = self.lab.program("run", ["taskset", "-c", cpu, *RUN, "--seconds", "0.5", "--no-huge", "--json", str(report)])
        self.assertEqual(run.wait(), 0, run.last_words())
        self.assertIn("no hugepages", run.output())
        self.assertEqual(lab.load_json(report)["lost_unaccounted"], 0)

    def test_from_a_wire_that_loses_doubles_and_damages_nothing_wrong_arrives_and_all_losses_have_names(self):
        got = self.good("--seconds", "0.5", "--", "--faults=seed=3,drop=3000,duplicate=3000,corrupt=3000", "--fault-ports=0")
        faults = {why: sum(got[who]["all"]["faults"][why] for who in "AB") for why in ("drop", "duplicate", "corrupt")}
        self.assertTrue(all(faults.values()), faults)
        self.assertEqual(self.lost_by(got, "fault-drop"), faults["drop"])
        refused = self.lost_by(got, "esp-refused")
        self.assertGreater(refused, faults["duplicate"], "a copy is a replay, and something damaged was refused, too")
        self.assertLessEqual(refused + self.lost_by(got, "no-sa"), faults["duplicate"] + faults["corrupt"])

    def test_a_gateway_that_dies_is_named_with_its_last_words(self):
        run = self.start("--seconds", "0.5", "--", "--forward-mode=nonsense")
        self.assertEqual(run.wait(), 1, run.last_words())
        self.assertRegex(run.output(), r"scripts/run: B exited with status 1")
        self.assertIn("nonsense", run.output())

    def test_a_port_of_the_file_in_a_mode_that_knows_no_policies_is_refused(self):
        file = self.logs / "a.toml"
        gateway_run.write_private(file, gateway_run.conf_a("net_null0", gateway_run.link_mac(0, "a"), gateway_run.new_keys()))
        umfwd = self.umfwd("umfwd", ["net_null0"], [f"--conf={file}", "--tap=none", "--links=4", "--port-mode=0,4:io",
                                                    "--total-num-mbufs=4096"], huge=False, memory_mb=352)
        self.assertEqual(umfwd.wait(), 1, umfwd.last_words())
        self.assertRegex(umfwd.output(), r'port 0 is "wan" of the file: --forward-mode=io: .* has policies or SAs')

    # ---- without them

    def test_without_gateways_every_packet_comes_back(self):
        got = self.good("--plain", "--seconds", "0.5", "--", "--forward-mode=5tswap")
        self.assertEqual(got["dut"]["mode"], "5tswap", "arguments behind the dashes reach the forwarder")

    def test_without_gateways_a_duplicate_makes_it_fail(self):
        run = self.start("--plain", "--seconds", "0.5", "--", "--faults=seed=3,duplicate=1000")
        self.assertEqual(run.wait(), 1, run.last_words())
        self.assertIn("duplicate", run.output())

    # ---- the end of it

    def test_it_shows_how_far_it_is_and_ctrl_c_leaves_nothing_behind(self):
        run = self.lab.terminal("run", [*RUN, "--seconds", "60"])
        run.expect("virtio-user to vhost-user")
        run.expect(r"\d\.\d of 60 s +\d+\.\d+ Mpps, \d+\.\d+ Gbit/s of ESP")
        programs = self.children(run)
        self.assertEqual(len(programs), 2)
        run.keys("\x03")
        self.assertEqual(run.wait(), 130, run.last_words())
        # One that was being started at that moment dies with its parent: soon, not at once.
        for pid in programs:
            lab.until(lambda pid=pid: not pathlib.Path(f"/proc/{pid}").exists(), f"pid {pid} to end")
        self.assertEqual(list(pathlib.Path(tempfile.gettempdir()).glob(f"umbuf-{run.process.pid}-*")), [], "sockets and reports")

    @staticmethod
    def children(run):
        """The pids of its programs."""
        pids = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == run.process.pid:
                    pids.append(int(stat.parent.name))
        return pids
