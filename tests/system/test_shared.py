# SPDX-License-Identifier: BSD-2-Clause
# test_shared.py - the modes that send views of one buffer, under the schemes that count them.
#
# Goal: what comes out of shared buffers is right, and all of it comes home. Method: the kernel
# reassembles what mode frag cut, and programs work through a tee, under one scheme of each kind;
# captures are compared byte for byte under all of them.
import json

import case
import frames
import joined
import lab

SCHEMES = ("weighted", "proxy", "list", "intrusive")
MEGABYTES = 2


@case.needs_root
class SharedByVeth(joined.Joined):
    def test_linux_reassembles_what_mode_frag_cut(self):
        self.wire_by_veth()
        for end in (self.a, self.b):  # else TCP and UDP forbid fragments
            end.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc")
        for scheme in SCHEMES:
            with self.subTest(scheme):
                self.join("--forward-mode=frag", f"--refcnt={scheme}", name=f"umfwd-{scheme}")
                before = {end: self.reassembled(end) for end in (self.a, self.b)}
                self.ping_in_parts()
                for end, n in before.items():
                    self.assertGreaterEqual(self.reassembled(end), n + 5, "requests there, answers here")
                n = self.reassembled(self.b)
                self.assertGreaterEqual(self.udp(), 100)
                self.assertGreaterEqual(self.reassembled(self.b), n + 100)
                n = self.reassembled(self.a)
                self.copy_file(MEGABYTES)
                self.assertGreaterEqual(self.reassembled(self.a), n + (MEGABYTES << 20) // 1500)
                streams = self.end()["streams"]
                self.assertTrue(all(s["made"] > 0 for s in streams), streams)
                self.assertEqual([s["drops"]["no-mbuf"] + s["drops"]["malformed"] for s in streams], [0, 0])

    def ping_in_parts(self):
        text = self.a.run("ping", "-c5", "-i0.2", "-W5", "-M", "dont", "-s", "1372", joined.ADDRESS_B)
        self.assertIn("5 received", text)
        self.assertNotIn("DUP!", text)
        self.assertNotIn("wrong data", text)

    def udp(self):
        """Datagrams of 1,400 bytes; how many arrived whole."""
        server = self.lab.program("iperf3-server", self.b.command("iperf3", "-s", "-1", "--forceflush"))
        server.wait_for("Server listening")
        text = self.a.run("iperf3", "-c", joined.ADDRESS_B, "-u", "-l", "1400", "-b", "4M", "-n", "400K",
                          "-J")
        self.assertEqual(server.wait(), 0, server.last_words())
        sums = json.loads(text)["end"]["sum"]
        return sums["packets"] - sums["lost_packets"]

    @staticmethod
    def reassembled(end):
        """How many datagrams the kernel there has put together."""
        names, values = [line.split() for line in end.run("cat", "/proc/net/snmp").splitlines()
                         if line.startswith("Ip:")]
        return int(values[names.index("ReasmOKs")])

    def test_programs_work_through_a_tee_and_a_third_one_sees_it(self):
        self.wire_by_veth(sides="abc")
        for scheme in SCHEMES:
            with self.subTest(scheme):
                self.join("--forward-mode=tee", f"--refcnt={scheme}", name=f"umfwd-{scheme}")
                seen = self.arrived(self.c)
                self.ping(size=1372)
                self.assertGreaterEqual(self.arrived(self.c), seen + 10, "requests and answers")
                self.copy_file(MEGABYTES)
                report = self.end()
                for stream in report["streams"]:
                    self.assertEqual(stream["made"], stream["rx"], "a copy of each packet")
                    self.assertEqual(stream["drops"]["no-mbuf"], 0)

    @staticmethod
    def arrived(end):
        return int(end.run("cat", f"/sys/class/net/{end.interface}/statistics/rx_packets"))


class SharedByPcap(case.SystemTest):
    def test_a_tee_writes_two_captures_that_are_the_one_that_was_read(self):
        source, empty = self.logs / "in.pcap", self.logs / "empty.pcap"
        sent = list(frames.odd_frames(case.SEED).values())
        sent += [self.random.randbytes(self.random.randint(60, 1514)) for _ in range(500)]
        lab.write_pcap(source, sent)
        lab.write_pcap(empty, [])
        for scheme in lab.schemes():
            with self.subTest(scheme):
                sinks = [self.logs / f"{scheme}{i}.pcap" for i in range(3)]
                vdevs = [f"net_pcap{i},rx_pcap={empty if i else source},tx_pcap={sink}"
                         for i, sink in enumerate(sinks)]
                forwarder = self.prompt(self.umfwd(
                    f"umfwd-{scheme}", vdevs, ["-i", "--forward-mode=tee", f"--refcnt={scheme}",
                                               "--no-flush-rx", "--auto-start", "--total-num-mbufs=8192"]))
                for port in (1, 2):
                    lab.until(lambda p=port: lab.port_stats(forwarder, p)["TX-packets"] >= len(sent),
                              f"the frames to leave by port {port}", watch=[forwarder])
                self.quit(forwarder)
                for sink in sinks[1:]:
                    got = lab.read_pcap(sink)
                    self.assertEqual([f.hex() for f in got], [f.hex() for f in sent])
