# SPDX-License-Identifier: BSD-2-Clause
# test_faults.py - a link that misbehaves on purpose: what is missing equals what the faults counted.
import case
import roundtrip

PACKETS = 40000


class Faults(case.SystemTest):
    def trip(self, faults):
        """Numbered packets to a forwarder whose port has faults: (summary, the faults' own counts)."""
        socket = self.lab.path("memif.sock")
        common = f"socket={socket},socket-abstract=no"
        result = roundtrip.run(
            self.lab, f"net_memif0,role=server,{common}", f"net_memif0,role=client,{common}",
            roundtrip.socket_at(socket), packets=PACKETS,
            dut_args=[f"--faults=seed={case.SEED},{faults}"])
        summary = result.summary
        self.assertTrue(summary["pools_balanced"], summary["lost"])
        self.assertTrue(summary["conserved"], summary["lost"])
        self.assertEqual(summary["sent"], PACKETS)
        return summary, summary["dut"]["all"]["faults"]

    def test_what_a_dropping_link_loses_is_what_it_counted(self):
        summary, counted = self.trip("drop=5000")
        self.assertGreater(counted["drop"], 0)
        self.assertEqual(summary["lost"].get("dut fault-drop"), counted["drop"])
        self.assertEqual(summary["lost_unaccounted"], 0)

    def test_every_duplicate_is_seen_as_one(self):
        summary, counted = self.trip("duplicate=5000")
        self.assertGreater(counted["duplicate"], 0)
        self.assertEqual(summary["duplicate"], counted["duplicate"])
        self.assertEqual(summary["lost_unaccounted"], 0)

    def test_every_flipped_bit_is_seen(self):
        summary, counted = self.trip("corrupt=5000")
        self.assertGreater(counted["corrupt"], 0)
        # A packet whose addresses or type were hit is no longer taken for one of ours.
        strangers = sum(n for why, n in summary["lost"].items()
                        if why in ("gen not-handled", "gen malformed", "dut malformed"))
        self.assertEqual(summary["corrupt"] + strangers, counted["corrupt"])
        self.assertEqual(summary["lost_unaccounted"], 0)

    def test_reordering_loses_nothing(self):
        summary, counted = self.trip("reorder=5000")
        self.assertGreater(counted["reorder"], 0)
        self.assertEqual(summary["lost_unaccounted"], 0)
        self.assertEqual((summary["corrupt"], summary["duplicate"]), (0, 0))

    def test_what_a_full_device_refuses_is_counted_as_such(self):
        summary, counted = self.trip("short_tx=20000")
        self.assertGreater(counted["short_tx"], 0)
        self.assertEqual(summary["lost_unaccounted"], 0)

    def test_flaps_and_failed_allocations_lose_nothing_without_a_name(self):
        summary, _ = self.trip("flap=500,no_mbuf=20000,drop=1000,short_tx=5000,reorder=3000")
        self.assertEqual(summary["lost_unaccounted"], 0)

    def test_the_same_seed_gives_the_same_line(self):
        program = self.umfwd("umfwd", ["net_null0"], [
            "--faults=drop=7,seed=9", "--seconds=0.1", "--auto-start", "--total-num-mbufs=4096"])
        self.assertEqual(program.wait(), 0, program.last_words())
        self.assertRegex(program.output(), r"seed=9,drop=7")
