# SPDX-License-Identifier: BSD-2-Clause
# test_pcap.py - a capture in, a capture out, byte for byte, over net_pcap.
import case
import frames
import joined
import lab


class Pcap(joined.Joined):
    def through(self, sent, mode, arrive=None):
        """Send frames through umfwd in a mode; the frames that came out and the report."""
        source, sink = self.logs / "in.pcap", self.logs / "out.pcap"
        lab.write_pcap(source, sent)
        return self.through_files(source, sink, mode, len(sent) if arrive is None else arrive)

    def through_files(self, source, sink, mode, arrive):
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_pcap0,rx_pcap={source},tx_pcap={sink}"],
            ["-i", f"--forward-mode={mode}", "--port-topology=loop", "--no-flush-rx", "--auto-start",
             "--total-num-mbufs=8192"]))
        lab.until(lambda: lab.port_stats(forwarder)["TX-packets"] >= arrive,
                  f"{arrive} frames to leave", watch=[forwarder])
        report = self.quit(forwarder)
        return lab.read_pcap(sink), report

    def assert_same(self, got, want, names=None):
        self.assertEqual(len(got), len(want))
        for i, (one, other) in enumerate(zip(got, want)):
            self.assertEqual(one.hex(), other.hex(), f"frame {i} {names[i] if names else ''}")

    def test_odd_frames_pass_mode_io_unchanged(self):
        odd = frames.odd_frames(case.SEED)
        got, report = self.through(list(odd.values()), "io")
        self.assert_same(got, list(odd.values()), list(odd))
        self.assertEqual(report["all"]["tx_dropped"], 0)

    def test_mode_macswap_changes_only_the_addresses_of_odd_frames(self):
        odd = frames.odd_frames(case.SEED)
        whole = {name: f for name, f in odd.items() if len(f) >= frames.HEADER_BYTES}
        got, report = self.through(list(odd.values()), "macswap", len(whole))
        self.assert_same(got, [frames.swapped(f) for f in whole.values()], list(whole))
        # A frame without a whole header has no addresses: it dies under that name, not another.
        self.assertEqual(self.drops(report, "malformed"), len(odd) - len(whole))

    def drops(self, report, reason):
        return sum(stream["drops"].get(reason, 0) for stream in report["streams"])

    def test_many_random_frames_pass_mode_io_in_order(self):
        many = [self.random.randbytes(self.random.randint(14, 9014)) for _ in range(600)]
        got, _ = self.through(many, "io")
        self.assert_same(got, many)

    @case.needs_root
    def test_a_capture_from_the_joined_namespaces_passes_unchanged(self):
        capture = self.capture()
        captured = lab.read_pcap(capture)
        self.assertGreater(len(captured), 100)
        self.assertEqual(max(map(len, captured)), 9014)
        for mode, change in (("io", bytes), ("macswap", frames.swapped)):
            got, _ = self.through_files(capture, self.logs / f"out-{mode}.pcap", mode, len(captured))
            self.assert_same(got, [change(f) for f in captured])

    def capture(self):
        """tcpdump's record of pings and a file copy between namespaces that umfwd joins."""
        self.join_by_veth(mtu=9000)
        path = self.logs / "capture.pcap"
        tcpdump = self.lab.program("tcpdump", self.a.command(
            "tcpdump", "-i", self.a.interface, "-s", "0", "-U", "-Z", "root", "-w", str(path)))
        tcpdump.wait_for("listening on")
        self.ping(size=1400)
        self.ping(size=8972)
        self.copy_file(megabytes=1)
        self.assertEqual(tcpdump.stop(), 0, tcpdump.last_words())
        self.end()
        return path
