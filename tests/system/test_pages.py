# SPDX-License-Identifier: BSD-2-Clause
# test_pages.py - unmapped pages leave for other processes: vhost-user reads them, dpdk-dumpcap copies them.
#
# The sender is tests/system/paged_sender.cc, of which no page can be read by its own CPU.
import itertools
import os
import re

import case
import lab

SENDER = lab.BUILD / "tests" / "system" / "paged_sender"
HEAD = b"\x02" * 12 + b"\x88\xb5"


def frame(i, length):
    return HEAD + bytes((131 * j + 7 * i + (j >> 8)) & 0xFF for j in range(length))


class Pages(case.SystemTest):
    def peer(self, huge):
        """A testpmd that writes what it gets from a vhost-user socket into a file."""
        self.socket, self.file = self.lab.path("vhost.sock"), self.lab.path("arrived.pcap")
        empty = self.lab.path("empty.pcap")
        lab.write_pcap(empty, [])
        testpmd = self.lab.testpmd(
            "testpmd", [f"net_vhost0,iface={self.socket}", f"net_pcap0,rx_pcap={empty},tx_pcap={self.file}"],
            ["-i", "--auto-start", "--forward-mode=io", "--no-flush-rx"], huge=huge)
        testpmd.wait_for(r"^testpmd> ")
        lab.until(lambda: os.path.exists(self.socket), "the vhost socket", watch=[testpmd])
        return testpmd

    def sender(self, packed, eal, *app):
        vdev = f"net_virtio_user0,path={self.socket},queues=1,packed_vq={int(packed)}"
        program = self.lab.program("sender", [SENDER, *eal, "--vdev", vdev, "--", *app])
        program.wait_for(r"^ready")
        return program

    def arrived(self, testpmd, n):
        lab.until(lambda: lab.port_stats(testpmd, 1)["TX-packets"] >= n, f"{n} packets in the file", watch=[testpmd])
        lab.stop_forwarding(testpmd)
        testpmd.type("quit")
        testpmd.wait()
        return lab.read_pcap(self.file)

    def bytes_arrive(self, packed, huge, app=()):
        if huge and not self.lab.huge:
            self.skipTest("no hugepages: not root, or the kernel has none to give")
        testpmd = self.peer(huge)
        sender = self.sender(packed, self.lab.eal([], huge=huge), *app)
        self.assertEqual(sender.ask("way", r"way (\S+)")[1], "as-is")
        said = sender.ask("send 300 1400", r"sent (\d+) dead 0: as-is (\d+) windows 0 copies 0 captured 0; "
                          r"bytes copied: nic 0 capture 0")
        self.assertEqual((said[1], said[2]), ("300", "300"))
        sender.type("quit")
        self.assertEqual(sender.wait(), 0, sender.last_words())
        self.assertEqual(self.arrived(testpmd, 300), [frame(i, 1400) for i in range(300)])

    def test_r13_another_process_gets_pages_of_the_file_cache_uncopied(self):
        self.bytes_arrive(packed=False, huge=False, app=["cache"])

    def test_umfwd_proves_pages_where_both_ends_are_its_own(self):
        """The vhost side must be up before virtio-user looks for it, so that one comes by hot-plug."""
        socket = self.lab.path("vhost.sock")
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_vhost0,iface={socket}", "net_ring0"],
            ["-i", "--anon-pages=512", "--total-num-mbufs=8192"]))
        lab.until(lambda: os.path.exists(socket), "the vhost socket", watch=[forwarder])
        forwarder.ask(f"port attach net_virtio_user0,path={socket}", r"[Pp]ort 2 is attached")
        forwarder.ask("port start 2", r"^Done")
        for port, way in ((0, r"windows \(the self-test came out right at port 2\)"),
                          (1, r"as-is \(the self-test came out right at port 1\)"),
                          (2, r"as-is \(the self-test came out right at port 0\)")):
            forwarder.ask(f"show port info {port}", f"Unmapped pages leave: {way}")
        report = self.quit(forwarder)
        for port in report["ports"]:
            self.assertEqual(port["pages_as_is"] + port["pages_windows"] + port["pages_copied"], 0, port)

    @case.needs_root
    def test_dpdk_dumpcap_captures_pages_and_they_arrive_all_the_same(self):
        """A secondary process attaches to files in a hugetlbfs, so these are needed; the peer needs none."""
        if not self.lab.huge:
            self.skipTest("no hugepages: the kernel has none to give")
        mount = self.lab.path("huge")
        os.mkdir(mount)
        lab.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", mount])
        self.lab.on_close(lab.run, ["umount", mount])
        testpmd = self.peer(huge=False)
        eal = [a for a in self.lab.eal([], huge=True) if a != "--in-memory"] + ["--huge-dir", mount]
        sender = self.sender(False, eal)
        prefix = next(re.sub("^--file-prefix=", "", a) for a in eal if a.startswith("--file-prefix="))
        captured = self.lab.path("captured.pcap")
        dumpcap = self.lab.program("dumpcap", ["dpdk-dumpcap", f"--file-prefix={prefix}", "-i", "0", "-P",
                                               "-c", "200", "-w", captured])

        def one_is_captured():
            sender.ask("send 1 10", r"sent 1 dead 0")
            return re.search(r"captured [1-9]", sender.last_words(1))
        lab.until(one_is_captured, "the capture to begin", watch=[dumpcap, sender])
        sender.ask("send 250 1400", r"sent 250 dead 0: as-is \d+ windows 0 copies \d+ captured \d+")
        self.assertEqual(dumpcap.wait(), 0, dumpcap.last_words())
        # What the device does not take at once is captured each time it is offered, as from any program.
        frames = [f for f, _ in itertools.groupby(lab.read_pcap(captured)) if len(f) > 100]
        self.assertGreater(len(frames), 150)
        self.assertEqual(frames, [frame(i, 1400) for i in range(len(frames))])
        sender.type("quit")
        self.assertEqual(sender.wait(), 0, sender.last_words())
        sent = [f for f in self.arrived(testpmd, 251) if len(f) > 100]
        self.assertEqual(sent, [frame(i, 1400) for i in range(250)])


def _add(packed, huge):
    name = f"test_r13_another_process_gets_pages_{'packed' if packed else 'split'}_ring" + ("_hugepages" if huge else "")
    setattr(Pages, name, lambda self: self.bytes_arrive(packed, huge))


for _packed in (False, True):
    for _huge in (False, True):
        _add(_packed, _huge)
