# SPDX-License-Identifier: BSD-2-Clause
# test_trace.py - the life of one cluster, from the packet that a driver received to its last copy.
import re

import case
import lab

FRAMES = 40


class Trace(case.SystemTest):
    def tee(self, *options):
        """umfwd in mode tee: frames of a capture go to two ports, to one as copies, and are freed by drivers."""
        source = self.logs / "in.pcap"
        lab.write_pcap(source, [self.random.randbytes(60) for _ in range(FRAMES)])
        return self.prompt(self.umfwd(
            "umfwd", [f"net_pcap0,rx_pcap={source}", "net_null1,no-rx=1", "net_null2,no-rx=1"],
            ["-i", "--forward-mode=tee", "--port-topology=chained", "--no-flush-rx",
             "--total-num-mbufs=8192", *options]))

    def forward(self, umfwd):
        umfwd.type("start")
        lab.until(lambda: all(lab.port_stats(umfwd, port)["TX-packets"] >= FRAMES for port in (1, 2)),
                  f"{FRAMES} frames and their copies to leave", watch=[umfwd])
        umfwd.ask("stop", "Done")

    def test_the_life_of_one_cluster_is_dumped(self):
        umfwd = self.tee("--trace-refcnt")
        self.forward(umfwd)
        storage = umfwd.ask("trace refcnt dump last 3", r"lcore \d+, storage (0x[0-9a-f]+): freed\n")[1]
        umfwd.wait_for(r"still held: nothing")
        life = self.logs / "life"
        umfwd.type(f"trace refcnt dump cluster {storage} file {life}")
        umfwd.ask("trace refcnt off", r"References are not traced: 120 events of \d+ threads, 0 more")
        self.assertRegex(life.read_text(), re.compile(
            rf"storage {storage}:\n"
            r"(?:"  # a life; the driver may have received into the same buffer again
            r"#\d+ [^\n]* lcore 1: taken by mbuf (0x\w+) from received packet 0x\w+[^\n]*\n"
            r" +taken at [^\n]*umbuf::m_copym[^\n]*::burst[^\n]*\n"
            r"#\d+ [^\n]* lcore 1: dropped by mbuf \1[^\n]*\n"
            r" +dropped at [^\n]*net_null[^\n]*\n"
            r"#\d+ [^\n]* lcore 1: freed\n"
            r" +freed at [^\n]*umbuf::[^\n]*\n"
            r")+"
            r"still held: by nobody\n$"))
        self.quit(umfwd)

    def test_what_was_switched_off_again_writes_nothing(self):
        umfwd = self.tee()
        umfwd.ask("trace refcnt on", r"References are traced: 0 events")
        umfwd.ask("trace refcnt off", r"References are not traced: 0 events")
        self.forward(umfwd)
        umfwd.ask("trace refcnt dump", r"reference trace, off: scheme weighted, 0 threads, 0 events[^\n]*\n"
                                       r"no event is recorded")
        self.quit(umfwd)
