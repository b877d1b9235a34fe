# SPDX-License-Identifier: BSD-2-Clause
# test_sendfile.py - mode sendfile, judged by programs that know nothing of unmapped pages.
#
#      umfwd --virtio-user--> vhost-user, dpdk-testpmd (io) --net_tap--> Linux --UDP--> file_receiver.py
#      umfwd ------------------------net_tap---------------------------> Linux --UDP--> file_receiver.py
#
# The pages leave umfwd by the other process's hands, and Linux looks at every header; the receiver
# puts the file together and hashes it. UM_SENDFILE_MB sets the file's size.
import json
import os
import pathlib
import sys

import case
import lab

MEGABYTES = int(os.environ.get("UM_SENDFILE_MB", "24"))
MAC = "02:00:00:00:00:aa"
RECEIVER = pathlib.Path(__file__).with_name("file_receiver.py")


class Sendfile(case.SystemTest):
    def make_file(self, megabytes=MEGABYTES, extra=1234):
        """Random bytes, and not whole pages of them."""
        # Not in /tmp, which may be in memory: O_DIRECT is to be tried.
        path = self.logs / "file"
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        with open(path, "wb") as out:
            for _ in range(megabytes):
                out.write(self.random.randbytes(1 << 20))
            out.write(self.random.randbytes(extra))
        return path

    def sender(self, file, *app, vdevs=None, memory_mb=256, auto=True):
        return self.umfwd("umfwd", vdevs or [f"net_virtio_user0,path={self.socket},queues=1"],
                          ["--forward-mode=sendfile", f"--sendfile={file}", "--page-cache=8",
                           f"--eth-peer=0,{MAC}", *(["--auto-start"] if auto else []), *app], memory_mb=memory_mb)


@case.needs_root
class ToTheKernel(Sendfile):
    def setUp(self):
        super().setUp()
        if not pathlib.Path("/dev/net/tun").exists():
            self.skipTest("the kernel has no /dev/net/tun")
        self.socket = self.lab.path("vhost.sock")

    def start_peer(self, size, forwarding=True):
        """testpmd between vhost-user and the kernel, and who receives there."""
        tap = f"um{os.getpid()}t"
        self.testpmd = self.prompt(self.lab.testpmd(
            "testpmd", [f"net_vhost0,iface={self.socket},queues=1", f"net_tap0,iface={tap},mac={MAC}"],
            ["-i", "--forward-mode=io", "--no-flush-rx"]))
        lab.until(lambda: os.path.exists(self.socket), "the vhost socket", watch=[self.testpmd])
        if forwarding:
            self.testpmd.ask("start", r"packet forwarding - ports=2")
        self.receive(tap, size)

    def receive(self, tap, size):
        """Who puts the file together from what comes out of the interface."""
        self.namespace = self.lab.namespace("a")
        self.namespace.adopt(tap, "198.18.0.2/15")
        self.receiver = self.lab.program("receiver", self.namespace.command(
            sys.executable, "-B", str(RECEIVER), "198.18.0.2", "9", str(size)))
        self.receiver.wait_for("^receiving")

    def received(self, whole=True):
        """What the receiver says in the end. Not whole: when nothing more comes."""
        if not whole:
            self.receiver.process.stdin.close()
        self.receiver.wait_for(r"^\{", timeout=100)
        return json.loads(self.receiver.output().split("receiving\n", 1)[1])

    def arrives(self, file):
        got = self.received()
        self.assertEqual(got["wrong"], 0)
        self.assertEqual(got["again"], 0)
        self.assertEqual(got["last"], 1)
        self.assertEqual(got["sha256"], case.sha256(file))
        return got

    def send(self, *app, extra=1234):
        file = self.make_file(extra=extra)
        self.start_peer(file.stat().st_size)
        umfwd = self.sender(file, *app)
        got = self.arrives(file)
        report = self.halt(umfwd)
        self.assertEqual(report["file"]["bytes"], file.stat().st_size)
        self.assertEqual(report["file"]["packets"], got["packets"])
        self.assertEqual(report["file"]["read_bytes"], file.stat().st_size)
        self.assertEqual(report["file"]["pages_read"], -(-file.stat().st_size // 32768))
        return report["file"]

    def test_a_file_arrives_and_nothing_of_it_was_copied(self):
        sent = self.send()
        self.assertEqual(sent["copied_bytes"], 0)
        self.assertEqual(sent["copied_packets"], 0)
        self.assertGreater(sent["evictions"], 0)  # the cache is smaller than the file

    def test_with_ext_pgs_off_the_same_bytes_arrive_and_each_was_copied(self):
        sent = self.send("--ext-pgs=off")
        self.assertEqual(sent["copied_packets"], sent["packets"])
        self.assertEqual(sent["copied_ext_pgs_off"], sent["bytes"])
        self.assertEqual(sent["copied_bytes"], sent["bytes"])

    def test_odd_payloads_and_checksums_that_linux_believes(self):
        sent = self.send("--sendfile-payload=1011", "--sendfile-checksum", "--sendfile-ahead=3", extra=1)
        self.assertEqual(sent["copied_packets"], 0)
        self.assertEqual(sent["copied_bytes"], 0)
        self.assertEqual(sent["looked_at"], sent["bytes"])  # each once

    def test_ext_pgs_are_turned_on_and_off_while_the_file_is_sent(self):
        file = self.make_file()
        self.start_peer(file.stat().st_size)
        umfwd = self.prompt(self.sender(file, "-i", auto=False))
        umfwd.ask("start", r"packet forwarding - ports=1")
        for turn in range(20):
            umfwd.ask(f"set ext-pgs {'on' if turn % 2 else 'off'}", "may be unmapped: ")
        self.arrives(file)
        sent = self.quit(umfwd)["file"]
        self.assertGreater(sent["copied_packets"], 0)
        self.assertLess(sent["copied_packets"], sent["packets"])
        self.assertEqual(sent["bytes"], file.stat().st_size)

    def test_a_port_that_reads_what_it_sends_gets_windows_and_nothing_is_copied(self):
        """net_tap writes with the CPU, so the file leaves by the read-only aliases."""
        file, tap = self.make_file(), f"um{os.getpid()}t"
        umfwd = self.prompt(self.sender(file, "-i", "--sendfile-payload=1456", auto=False,
                                        vdevs=[f"net_tap0,iface={tap},mac={MAC}"]))
        self.receive(tap, file.stat().st_size)
        umfwd.ask("start", r"packet forwarding - ports=1")
        self.arrives(file)
        sent = self.quit(umfwd)["file"]
        self.assertEqual(sent["copied_bytes"] + sent["copied_packets"], 0)

    def half_way(self, change):
        """Send until the ring is full, to a peer that takes nothing; change the file; let the peer go on."""
        file = self.make_file()
        digest, size = case.sha256(file), file.stat().st_size
        self.start_peer(size, forwarding=False)
        umfwd = self.prompt(self.sender(file, "-i"))
        sent = []

        def stands_still():
            sent.append(lab.running_statistics(umfwd)["all"]["TX-packets"])
            return len(sent) > 3 and 0 < sent[-1] == sent[-2] == sent[-3]

        lab.until(stands_still, "the ring to be full", watch=[umfwd])
        self.assertLess(sent[-1], 2000)
        change(file)
        self.testpmd.ask("start", r"packet forwarding - ports=2")
        return umfwd, digest, size

    def test_a_file_whose_name_is_removed_arrives(self):
        umfwd, digest, size = self.half_way(os.unlink)
        self.assertEqual(self.received()["sha256"], digest)
        self.assertEqual(self.halt(umfwd)["file"]["bytes"], size)

    def test_a_file_that_is_cut_arrives_up_to_there_and_the_end_is_told(self):
        cut = (MEGABYTES // 2 << 20) + 100
        umfwd, _, size = self.half_way(lambda file: os.truncate(file, cut))
        umfwd.ask("show fwd stats all", "bytes=")
        lab.until(lambda: umfwd.ask("show fwd stats all", r"given up=(\d+)")[1] != "0", "the cut", watch=[umfwd])
        lab.until(lambda: lab.running_statistics(umfwd)["all"]["TX-packets"] ==
                  lab.port_stats(self.testpmd, 1)["TX-packets"], "the last packet", watch=[umfwd])
        got = self.received(whole=False)
        report = self.halt(umfwd, status=1)
        self.assertIn("could not be read: it was not sent whole", umfwd.output())
        self.assertGreater(report["drops"]["io-error"], 0)
        self.assertEqual(got["wrong"] + got["again"], 0)
        self.assertEqual(got["bytes"], got["first_missing"], "nothing behind the cut was sent")
        self.assertLessEqual(got["bytes"], cut)
        self.assertGreater(got["bytes"], cut - 2 * 32768)
        self.assertLess(got["bytes"], size)

    def test_the_peer_is_killed_in_the_middle_and_nothing_leaks(self):
        file = self.make_file()
        self.start_peer(file.stat().st_size)
        umfwd = self.sender(file, "--sendfile-loops=0")
        lab.until(lambda: lab.port_stats(self.testpmd, 0)["RX-packets"] > 10000, "packets", watch=[umfwd])
        self.testpmd.end()
        self.halt(umfwd)


class Refused(Sendfile):
    """A file that cannot be sent is refused before anything starts, with a sentence."""

    def refusal(self, *app):
        program = self.umfwd("umfwd", ["net_null0"], ["--forward-mode=sendfile", "--auto-start", *app])
        self.assertEqual(program.wait(), 1, program.last_words())
        return program.output()

    def test_no_such_file(self):
        self.assertIn("--sendfile=/no/such/file: cannot be read: No such file or directory",
                      self.refusal("--page-cache=4", "--sendfile=/no/such/file"))

    def test_an_empty_file(self):
        empty = self.logs / "empty"
        empty.write_bytes(b"")
        self.assertIn("is empty: there is nothing to send", self.refusal("--page-cache=4", f"--sendfile={empty}"))

    def test_a_directory(self):
        self.assertIn("Is a directory", self.refusal("--page-cache=4", f"--sendfile={self.logs}"))

    def test_no_file_is_named(self):
        self.assertIn("say which, --sendfile=FILE", self.refusal("--page-cache=4"))

    def test_there_are_no_pages(self):
        self.assertIn("add --page-cache=MB", self.refusal(f"--sendfile={__file__}"))

    def test_a_payload_that_the_port_does_not_take(self):
        self.assertIn("--sendfile-payload=9000: makes IPv4 packets of 9044 bytes, and the MTU of port 0 is 1500",
                      self.refusal("--page-cache=8", f"--sendfile={__file__}", "--sendfile-payload=9000"))
