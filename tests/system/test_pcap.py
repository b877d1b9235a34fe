# SPDX-License-Identifier: BSD-2-Clause
# test_pcap.py - a capture in, a capture out, byte for byte, over net_pcap.
import os

import case
import frames
import lab


class Pcap(case.SystemTest):
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
    def test_a_capture_of_real_traffic_passes_unchanged(self):
        capture = self.capture()
        captured = lab.read_pcap(capture)
        self.assertGreater(len(captured), 100)
        for mode, change in (("io", bytes), ("macswap", frames.swapped)):
            got, _ = self.through_files(capture, self.logs / f"out-{mode}.pcap", mode, len(captured))
            self.assert_same(got, [change(f) for f in captured])

    def capture(self):
        """tcpdump's record of a ping and a file copy over a veth, with jumbo frames."""
        a, b = self.lab.namespace("a"), self.lab.namespace("b")
        names = [f"um{os.getpid()}c{side}" for side in "ab"]
        self.lab.veth(*names)
        for space, name, address in ((a, names[0], "10.9.0.1"), (b, names[1], "10.9.0.2")):
            space.adopt(name, f"{address}/24", mtu=9000)
        path = self.logs / "capture.pcap"
        tcpdump = self.lab.program("tcpdump", a.command(
            "tcpdump", "-i", names[0], "-s", "0", "-U", "-Z", "root", "-w", str(path)))
        tcpdump.wait_for("listening on")
        lab.until(lambda: "1 received" in a.run("ping", "-c1", "-W1", "10.9.0.2", check=False),
                  "the first ping")
        a.run("ping", "-c20", "-i0.01", "-s", "1400", "10.9.0.2")
        served = self.lab.dir / "served"
        served.mkdir()
        (served / "file").write_bytes(self.random.randbytes(1 << 20))
        server = self.lab.program("http-server", b.command(
            "/usr/bin/python3", "-u", "-m", "http.server", "--bind", "10.9.0.2", "8000"), cwd=served)
        server.wait_for("Serving HTTP")
        a.run("curl", "-sS", "--fail", "-o", "/dev/null", "http://10.9.0.2:8000/file")
        self.assertEqual(tcpdump.stop(), 0, tcpdump.last_words())
        return path
