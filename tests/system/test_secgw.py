# SPDX-License-Identifier: BSD-2-Clause
# test_secgw.py - scripts/secgw2toml: ipsec-secgw's rules become a configuration that umfwd takes, or a line says why not.
import importlib.machinery
import importlib.util
import re
import stat
import subprocess

import case
import lab

SCRIPT = lab.ROOT / "scripts" / "secgw2toml"
DATA = lab.ROOT / "tests" / "data" / "secgw"
loader = importlib.machinery.SourceFileLoader("secgw2toml", str(SCRIPT))
secgw2toml = importlib.util.module_from_spec(importlib.util.spec_from_loader("secgw2toml", loader))
loader.exec_module(secgw2toml)
KEY = ":".join(["a1"] * 20)
SA = f"sa out 1005 aead_algo aes-128-gcm aead_key {KEY} mode ipv4-tunnel src 172.16.1.5 dst 172.16.2.5"
SP = "sp ipv4 out esp bypass sport 0:65535 dport 0:65535"


class Secgw(case.SystemTest):
    def convert(self, cfg, *arguments, status=0):
        done = subprocess.run([SCRIPT, *arguments, cfg], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertTrue(status == 0 or done.stdout == "", "nothing is written")
        return done.stdout if status == 0 else done.stderr.splitlines()

    @staticmethod
    def errors(text):
        converter = secgw2toml.Converter({0: "net_null0"}, 0)
        converter.convert(text)
        return converter.errors("F")

    def cfg(self, text):
        file = self.logs / "secgw.cfg"
        file.write_text(text)
        return file

    def checked(self, *arguments):
        """umfwd's word on the converted file; its text."""
        toml = self.logs / "umfwd.toml"
        self.convert(*arguments, "-o", toml)
        self.assertEqual(stat.S_IMODE(toml.stat().st_mode), 0o600)
        done = subprocess.run([lab.UMFWD, "--check-conf", toml], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=lab.PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return toml.read_text(), done.stdout

    def test_a_gateway_is_converted_and_umfwd_takes_it(self):
        text, said = self.checked(DATA / "gateway.cfg", "--port", "0=net_null0", "--port", "1=0000:00:04.0")
        self.assertIn("good: 2 ports, 4 SAs, 6 policies, 3 routes, 2 neighbours", said)
        for lines in (
                # esn N is how far the numbers have come; the rest of the line is not for us.
                '[[sa]]  # line 13\n# Not taken: telemetry\nchild = "out-1005"\ndirection = "out"\nspi = 1005\nalg = "aes-gcm-128"\n',
                "esn = true\nseq_floor = 7\n",
                # Lines that go on, bytes of one digit, cipher and integrity behind each other.
                'alg = "aes-ctr-256+hmac-sha256"\nkey = "0102030405060708090a0b0c0d0e0f10111213141516171819',
                'mode = "transport"\nudp = true\n',
                # The highest priority is the lowest number, 0 stays last.
                '[[policy]]  # line 4\ndirection = "out"\npriority = 0\n', '[[policy]]  # line 10\ndirection = "in"\npriority = 2\n',
                'protocol = "udp"\ndst_port = "53"\n', 'dst = "::5555:5555:0:0/96"\n',
                '[[route]]  # line 28\nto = "172.16.2.5/32"\nport = "port0"\nvia = "169.254.1.1"\n',
                'address = "169.254.1.1"\nmac = "de:ad:be:ef:01:02"\n', '[[route]]  # line 29\nto = "192.168.0.0/16"\nport = "port1"\n\n',
                "# line 31: flow: not taken"):
            self.assertIn(lines, text)

    def test_each_example_of_the_manual_is_converted_or_refused_by_its_line(self):
        said = self.convert(DATA / "manual.cfg", "--spi-add=4096", "--port=0=net_null0", status=1)
        self.assertEqual([int(line.split(":")[1]) for line in said[:-1]], [3, 9, 29, 34])
        for line, what in zip(said, ("protect 105: expected the SPI of an sa out rule", "auth_algo null", "the key of line 20 again", "auth_algo null")):
            self.assertIn(what, line)
        # Without those four, the others are taken.
        rules = (DATA / "manual.cfg").read_text().split("\n\n")
        good = [rule for rule in rules if not re.match(r"sp ipv4 out esp protect 105|sa (out 5|in 117) cipher_algo null|sa in 35", rule)]
        self.assertEqual(len(rules) - len(good), 4)
        text, said = self.checked(self.cfg("\n\n".join(good)), "--spi-add=4096", "--port=0=net_null0")
        self.assertIn("good: 1 port, 3 SAs, 1 policy, 2 routes, 2 neighbours", said)
        self.assertIn("# Not taken: type lookaside-protocol-offload\n# Not taken: port_id 4\n", text)
        self.assertIn("\nspi = 4201\n", text)

    def test_every_wrong_rule_is_told_by_its_line(self):
        rows = (
            ("ike out 5", "ike: expected sa, sp, rt, neigh, flow"), ("sa", "the line ends: expected a direction"),
            ("sa up 1005", "up: expected a direction: in, out"), ("sa out x", "x: expected an SPI, 1 to"),
            ("sa out 5", "SPI 5: expected 256 to"), ("sa out 1005", "cipher_algo is missing, or aead_algo"),
            (f"{SA} colour blue", "colour: not known in an sa rule"), (f"{SA} mode transport", "mode is there twice"),
            (SA.replace("ipv4-tunnel", "tunnel"), "tunnel: expected a mode"), (SA.replace("ipv4", "ipv6"), "src 172.16.1.5: expected an address of ipv6"),
            (SA.replace(" dst 172.16.2.5", ""), "dst is missing"), (SA.replace("172.16.1.5", "172.16.1.256"), "172.16.1.256: expected an address"),
            (SA.replace("aes-128-gcm", "aes-128-ccm"), "aead_algo aes-128-ccm: umfwd has aes-128-gcm"),
            (SA.replace("a1:a1 mode", "a1 mode"), "a key of 19 bytes: expected 20"), (SA.replace("a1:a1 mode", "a1:xx mode"), "that is no bytes"),
            (SA.replace("aead_algo aes-128-gcm ", ""), "aead_key: expected behind aead_algo"), (f"{SA} auth_algo sha1-hmac", "brings its own integrity"),
            ("sa out 1005 cipher_algo 3des-cbc", "cipher_algo 3des-cbc: umfwd has"), ("sa out 1005 cipher_algo null auth_algo sha1-hmac", "auth_key is missing"),
            (f"{SA} esn", "the line ends: expected the last number"), (f"{SA}\n{SA.replace('a1', 'b1')}", "an SA out 1005 is in line 1 already"),
            (f"{SA}\n{SA.replace('1005', '1006')}", "the key of line 1 again"), (f"sa out {KEY}", "...: expected an SPI"),
            ("sp ipv5 out", "ipv5: expected a version of IP"), ("sp ipv4 out ah", "ah: expected the protocol: esp"),
            ("sp ipv4 out esp protect 1005 sport 0:65535 dport 0:65535", "protect 1005: expected the SPI of an sa out rule"),
            (SP.replace("sport 0:65535 ", ""), "sport is missing: ipsec-secgw then takes port 0 alone"), (SP.replace("sport 0:65535", "sport 9:3"), "not backwards"),
            (SP.replace("sport 0:65535", "sport 9:9"), "sport: expected with a protocol that has ports"), (SP.replace("0:65535", "0-65535"), "0-65535: expected ports, as FROM:TO"),
            (f"{SP} proto 17:17", "proto 17:17: expected 0:0 for any, or 17:255"), (f"{SP} pri -1", "-1: expected a priority"),
            (f"{SP} dst ffff::/16", "ffff::/16: expected a network of IPv4"), (f"{SP} dst 10.0.0.0/33", "10.0.0.0/33: expected a network"), (f"{SP} src", "the line ends: expected a network"),
            ("rt ipv4 dst 10.0.0.0/8 port 7", "port 7: say which device it is, such as --port 7="), ("rt ipv4 port 0", "dst is missing"),
            ("rt ipv4 dst 10.0.0.0/8 src 10.0.0.0/8", "expected none: routes are by destination"), ("rt ipv4 dst 10.0.0.0/8 metric 1", "metric: not known in an rt rule"),
            ("neigh 0", "0: expected the word: port"), ("neigh port 0 DE:AD:BE:EF:01", "expected an Ethernet address"), ("neigh port 0 01:00:00:00:00:01", "of one station"),
            ("neigh port 0 2:0:0:0:0:1\nneigh port 0 2:0:0:0:0:2", "port 0 has a neighbour already, of line 1"))
        for text, expected in rows:
            said = self.errors(f"{text}\n# the end \\\n\n")
            self.assertEqual(len(said), 1, said)
            self.assertIn(f"F:{text.count(chr(10)) + 1}: ", said[0])
            self.assertIn(expected, said[0])
            self.assertNotIn("a1:a1", said[0], "no key in a message")
        self.assertGreater(len(self.errors("\n".join(text for text, _ in rows))), len(rows), "all are told at once")

    def test_a_file_that_is_none(self):
        self.assertEqual(self.convert("/nonexistent.cfg", status=1), ["secgw2toml: /nonexistent.cfg: No such file or directory"])
        self.assertEqual(self.convert(self.cfg(SP), "-o", "/nonexistent/x.toml", status=1), ["secgw2toml: /nonexistent/x.toml: No such file or directory"])
