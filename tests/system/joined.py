# SPDX-License-Identifier: BSD-2-Clause
# joined.py - two namespaces with umfwd between them: what the kernel's programs do across it.
import json
import os

import case
import lab

ADDRESS_A, ADDRESS_B, ADDRESS_C = "10.9.0.1", "10.9.0.2", "10.9.0.3"
ADDRESSES = {"a": ADDRESS_A, "b": ADDRESS_B, "c": ADDRESS_C}


class Joined(case.SystemTest):
    """A test sets a, b and forwarder, or calls join_by_veth(), then uses what is here."""

    def join_by_veth(self, mtu=1500):
        """Both namespaces and umfwd between them, forwarding.

             namespace a                 umfwd                  namespace b
             10.9.0.1  a1 ---- a0  af_packet | af_packet  b0 ---- b1  10.9.0.2
        """
        self.wire_by_veth(mtu)
        self.join("--forward-mode=io")

    def wire_by_veth(self, mtu=1500, sides="ab"):
        """The namespaces and a wire out of each; nobody joins them yet."""
        tag = f"um{os.getpid()}"
        for side in sides:
            end = self.lab.namespace(side)
            self.lab.veth(f"{tag}{side}0", f"{tag}{side}1", mtu)
            end.adopt(f"{tag}{side}1", f"{ADDRESSES[side]}/24", mtu)
            end.interface = f"{tag}{side}1"
            setattr(self, side, end)
        # A frame of the ring holds the packet and the kernel's header; a block holds whole frames.
        frame, block = (2048, 4096) if mtu <= 1500 else (9216, 36864)
        self.vdevs = [f"net_af_packet{i},iface={tag}{side}0,framesz={frame},blocksz={block},framecnt=512"
                      for i, side in enumerate(sides)]
        self.sizes = [] if mtu <= 1500 else [f"--mbuf-size={frame + 128}"]

    def join(self, *arguments, name="umfwd"):
        """umfwd on all wires, forwarding."""
        self.forwarder = self.umfwd(
            name, self.vdevs, ["--auto-start", "--total-num-mbufs=4096", *self.sizes, *arguments])
        self.wait_until_joined()

    def wait_until_joined(self):
        lab.until(lambda: "1 received" in self.a.run("ping", "-c1", "-W1", ADDRESS_B, check=False),
                  "the first ping to cross", watch=[self.forwarder])

    def ping(self, size):
        """No echo may be missing, and none may need a fragment."""
        text = self.a.run("ping", "-c5", "-i0.2", "-W5", "-M", "do", "-s", str(size), ADDRESS_B)
        self.assertIn("5 received", text)
        self.assertNotIn("DUP!", text)

    def iperf(self, megabytes):
        server = self.lab.program("iperf3-server", self.b.command("iperf3", "-s", "-1", "--forceflush"))
        server.wait_for("Server listening")
        text = self.a.run("iperf3", "-c", ADDRESS_B, "-n", f"{megabytes}M", "-J")
        sums = json.loads(text)["end"]
        self.assertGreaterEqual(sums["sum_sent"]["bytes"], megabytes << 20)
        # What is in flight when the client has sent its share, iperf3 never counts as received.
        self.assertGreaterEqual(sums["sum_received"]["bytes"], megabytes << 19)
        self.assertEqual(server.wait(), 0, server.last_words())

    def copy_file(self, megabytes):
        """By HTTP, with curl; both ends compute the checksum."""
        there, here = self.lab.dir / "served" / "file", self.lab.dir / "fetched"
        there.parent.mkdir(exist_ok=True)
        there.write_bytes(self.random.randbytes(megabytes << 20))
        server = self.lab.program("http-server", self.b.command(
            "/usr/bin/python3", "-u", "-m", "http.server", "--bind", ADDRESS_B, "8000"),
            cwd=there.parent)
        server.wait_for("Serving HTTP")
        self.a.run("curl", "-sS", "--fail", "-o", str(here), f"http://{ADDRESS_B}:8000/file")
        self.assertEqual(here.stat().st_size, megabytes << 20)
        self.assertEqual(case.sha256(here), case.sha256(there))
        server.end()

    def end(self):
        """The forwarder saw the traffic in both directions and lost none of it; its report."""
        report = self.halt(self.forwarder)
        for port in report["ports"][:2]:
            self.assertGreater(port["rx_packets"], 0)
            self.assertGreater(port["tx_packets"], 0)
        return report
