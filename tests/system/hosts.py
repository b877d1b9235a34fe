# SPDX-License-Identifier: BSD-2-Clause
# hosts.py - two namespaces, a and b, with something between them: their addresses, and what programs in them see of it.
#
#      10.9.1.2, fd09:1::2   a  -- the tested --  b   10.9.2.2, fd09:2::2
#
# Who derives from it makes self.a and self.b, and what is between.
import case

SIDES = {"a": 1, "b": 2}


def address(side, host=2, v6=False):
    return f"fd09:{SIDES[side]}::{host}" if v6 else f"10.9.{SIDES[side]}.{host}"


class TwoHosts(case.SystemTest):
    def ping(self, host, to, size, *options):
        # With -w it waits for three answers; else for no longer than two of the first ones took.
        text = host.run("ping", "-c3", "-i0.05", "-w20", "-s", str(size), *options, to)
        self.assertIn("3 received", text)
        self.assertNotIn("DUP!", text)

    def serve(self, megabytes, host=None):
        """A file by HTTP, for both families; in namespace b if nothing else is said."""
        there = self.lab.dir / "served" / "file"
        there.parent.mkdir()
        there.write_bytes(self.random.randbytes(megabytes << 20))
        server = self.lab.program("http-server", (host or self.b).command(
            "/usr/bin/python3", "-S", "-u", "-m", "http.server", "--bind", "::", "8000"), cwd=there.parent)
        server.wait_for("Serving HTTP")

    def fetch(self, v6):
        """a gets the file from b, whole."""
        self.fetch_by(self.a, address("b", v6=v6))

    def fetch_by(self, host, of, *options):
        here = self.lab.dir / "fetched"
        host.run("curl", "-gsS", "--fail", *options, "-o", str(here), f"http://[{of}]:8000/file" if ":" in of else f"http://{of}:8000/file")
        self.assertEqual(case.sha256(here), case.sha256(self.lab.dir / "served" / "file"))
