# SPDX-License-Identifier: BSD-2-Clause
# test_esp.py - modes esp-enc and esp-dec against Scapy's IPsec layer, which knows nothing of ours.
#
# What Scapy 2.5 cannot do, AES-GMAC, and extended sequence numbers with an HMAC (its sign() is not told of
# them), is done by esp_by_hand.py. Each algorithm is tried in one shape, and each shape with some algorithms;
# UM_ESP_SHAPES=all tries all of them, every payload from 0 to 1500 with each algorithm, in some minutes.
import json
import os
import signal

import case
import esp_by_hand
import frames
import lab
from scapy.all import IP, UDP, Ether, IPv6, Raw  # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation

# Ours: Scapy's cipher, its integrity, bytes of the cipher's key and salt, bytes of the integrity's key.
AEADS = {
    "aes-gcm-128": ("AES-GCM", "NULL", 20, 0),
    "aes-gcm-192": ("AES-GCM", "NULL", 28, 0),
    "aes-gcm-256": ("AES-GCM", "NULL", 36, 0),
    "chacha20-poly1305": ("CHACHA20-POLY1305", "NULL", 36, 0),
}
CIPHERS = {"aes-cbc-128": ("AES-CBC", 16), "aes-cbc-192": ("AES-CBC", 24), "aes-cbc-256": ("AES-CBC", 32),
           "aes-ctr-128": ("AES-CTR", 20), "aes-ctr-192": ("AES-CTR", 28), "aes-ctr-256": ("AES-CTR", 36),
           "null": ("NULL", 0)}
INTEGRITIES = {"hmac-sha1": ("HMAC-SHA1-96", 20), "hmac-sha256": ("SHA2-256-128", 32),
               "hmac-sha384": ("SHA2-384-192", 48), "hmac-sha512": ("SHA2-512-256", 64)}
SPI = 0x2001
SIZES = [*range(0, 40), 63, 64, 65, 511, 512, 1400, 1447, 1448, 1500, 2048, 4000, 8900, 9000]
ALL = os.environ.get("UM_ESP_SHAPES") == "all"
# How a packet is wrapped. NAT is IPv4's.
SHAPES = [{"mode": "tunnel"}, {"mode": "transport", "inner_v6": True}, {"mode": "tunnel", "inner_v6": True, "v6": True},
          {"mode": "transport", "nat": True}, {"mode": "tunnel", "v6": True}, {"mode": "transport"},
          {"mode": "tunnel", "inner_v6": True, "nat": True}, {"mode": "tunnel", "inner_v6": True}, {"mode": "tunnel", "nat": True}]
BY_HAND = ["aes-gmac-128", "aes-gmac-192", "aes-gmac-256", "aes-cbc-128+hmac-sha256", "aes-ctr-256+hmac-sha512", "null+hmac-sha1",
           "aes-cbc-256+hmac-sha384"]


def algorithms():
    """Every cipher and every integrity, the pairs in turn."""
    for name, (crypt, auth, crypt_key, auth_key) in AEADS.items():
        yield name, crypt, auth, crypt_key, auth_key
    turn = 0
    for cipher, (crypt, crypt_key) in CIPHERS.items():
        with_it = INTEGRITIES if cipher in ("aes-cbc-128", "null") else [list(INTEGRITIES)[turn % 4]]
        turn += 1
        for integrity in with_it:
            auth, auth_key = INTEGRITIES[integrity]
            yield f"{cipher}+{integrity}", crypt, auth, crypt_key, auth_key


FILE_TO_ESP = lab.BUILD / "tests" / "system" / "file_to_esp"


class Esp(case.SystemTest):
    engine = ()

    def setUp(self):
        super().setUp()
        if ALL:
            signal.alarm(3600)

    def sa(self, algorithm, mode="tunnel", v6=False, esn=False, nat=False):
        """One SA, as umfwd's words and as Scapy's object; `algorithm` is a name alone: as one by hand."""
        by_hand = isinstance(algorithm, str)
        if by_hand:
            algorithm = (algorithm, None, None, esp_by_hand.ByHand.key_bytes(algorithm), 0)
        name, crypt, auth, crypt_bytes, auth_bytes = algorithm
        crypt_key, auth_key = self.random.randbytes(crypt_bytes), self.random.randbytes(auth_bytes)
        key = self.logs / "sa.key"
        key.touch(mode=0o600)
        key.write_text((crypt_key + auth_key).hex() + "\n")
        words = f"spi {SPI:#x} alg {name} key {key} mode {mode}"
        outer = None
        if mode == "tunnel":
            ends = ("2001:db8:f::1", "2001:db8:f::2") if v6 else ("172.16.0.1", "172.16.0.2")
            words += " src {} dst {}".format(*ends)
            outer = (IPv6 if v6 else IP)(src=ends[0], dst=ends[1])
        words += (" esn" if esn else "") + (" udp 4500 4500" if nat else "")
        if nat and mode == "transport":  # no NAT changed them: UDP's checksum stays what it was
            words += " nat-oa 10.1.0.1 10.2.0.2"
        if by_hand:
            return words, esp_by_hand.ByHand(name, crypt_key, SPI, outer, esn)
        theirs = SecurityAssociation(
            ESP, spi=SPI, crypt_algo=crypt, crypt_key=crypt_key or None, auth_algo=auth, auth_key=auth_key or None,
            tunnel_header=outer, nat_t_header=UDP(sport=4500, dport=4500) if nat else None, esn_en=esn, esn=0)
        return words, theirs

    def through(self, mode, words, sent, extra=()):
        source, sink = self.logs / "in.pcap", self.logs / "out.pcap"
        lab.write_pcap(source, sent)
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_pcap0,rx_pcap={source},tx_pcap={sink}"],
            ["-i", f"--forward-mode={mode}", f"--esp-sa={words}", "--port-topology=loop", "--no-flush-rx",
             "--auto-start", "--total-num-mbufs=8192", *self.engine, *extra]))
        lab.until(lambda: lab.port_stats(forwarder)["RX-packets"] >= len(sent), "the frames", watch=[forwarder])
        self.quit(forwarder)
        return lab.read_pcap(sink)

    def packets(self, v6=False, sizes=()):
        net = IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0xB8) if v6 else IP(src="10.1.0.1", dst="10.2.0.2", tos=0xB8)
        return [net.copy() / UDP(sport=1000, dport=2000) / Raw(self.random.randbytes(n)) for n in [*SIZES, *sizes]]

    def both_ways(self, algorithm, inner_v6=False, sizes=(), **terms):
        packets = [type(p)(bytes(p)) for p in self.packets(inner_v6, sizes)]
        ether = Ether(dst=frames.DST, src=frames.SRC)
        words, theirs = self.sa(algorithm, **terms)
        sealed = self.through("esp-enc", words, [bytes(ether / p) for p in packets], ["--esp-seq-floor=0"])
        self.assertEqual(len(sealed), len(packets))
        for number, (frame, packet) in enumerate(zip(sealed, packets), 1):
            outer = Ether(frame).payload
            self.assertEqual((outer[ESP].spi, outer[ESP].seq), (SPI, number))
            if isinstance(outer, IP):  # Scapy makes a new checksum when there is none
                again = IP(bytes(outer))
                del again.chksum
                self.assertEqual(outer.chksum, IP(bytes(again)).chksum)
            self.assertEqual(bytes(theirs.decrypt(outer)).hex(), bytes(packet).hex())
        opened = self.through("esp-dec", words, [
            bytes(ether / self.sealed(theirs, p, number)) for number, p in enumerate(packets, 1)])
        self.assertEqual([f[14:].hex() for f in opened], [bytes(p).hex() for p in packets])

    @staticmethod
    def sealed(theirs, packet, number):
        made = theirs.encrypt(type(packet)(bytes(packet)), seq_num=number)
        if UDP in made and theirs.nat_t_header is not None:
            made[UDP].len = len(bytes(made[UDP]))  # Scapy says 8: it counts before ESP is there
        return made

    def test_esp_agrees_with_scapy_about_every_algorithm_and_shape(self):
        """Each shape is tried with an algorithm or two. Together they carry every payload from 0 to 1500."""
        every = list(algorithms())
        for turn, algorithm in enumerate(every):
            tried = list(enumerate(SHAPES)) if ALL else [(turn, SHAPES[turn % len(SHAPES)])]
            for i, shape in tried:
                # Extended numbers are beyond Scapy with an HMAC.
                esn = algorithm[0] in AEADS and (i % 2 == 1 if ALL else turn > 0)
                with self.subTest(f"{algorithm[0]} {shape} {'ESN' if esn else ''}"):
                    self.both_ways(algorithm, esn=esn, sizes=range(i, 1501, len(SHAPES) if ALL else len(every)), **shape)

    def test_esp_agrees_with_the_rfcs_where_scapy_has_no_word(self):
        shapes = [shape for shape in SHAPES if "nat" not in shape]
        for turn, name in enumerate(BY_HAND if ALL else [BY_HAND[0], *BY_HAND[2:6]]):
            for shape in shapes if ALL else [shapes[turn % len(shapes)]]:
                for esn in (False, True) if ALL else [turn != 0]:
                    with self.subTest(f"{name} {shape} {'ESN' if esn else ''}"):
                        self.both_ways(name, esn=esn, **shape)

    def test_esp_agrees_with_scapy_through_crypto_devices(self):
        for device, algorithm, terms in (
                ("crypto_openssl", ("aes-gcm-128", *AEADS["aes-gcm-128"]), {"esn": True}),
                ("crypto_openssl", ("aes-cbc-256+hmac-sha512", "AES-CBC", "SHA2-512-256", 32, 64), {"mode": "transport"}),
                ("crypto_aesni_mb", ("aes-ctr-128+hmac-sha256", "AES-CTR", "SHA2-256-128", 20, 32), {"nat": True})):
            with self.subTest(f"{device} {algorithm[0]}"):
                difference = self.logs / "difference.pcapng"
                self.engine = ["--esp-engine=cryptodev:" + device, "--cross-check=2", f"--cross-check-file={difference}"]
                self.both_ways(algorithm, **terms)
                self.assertFalse(difference.exists())

    def test_an_engine_that_is_not_here_is_refused_with_a_sentence(self):
        words, _ = self.sa(("aes-gcm-128", *AEADS["aes-gcm-128"]))
        for engine, said in (("security", "no device"), ("cryptodev:crypto_null", "none of ESP's algorithms"),
                             ("cryptodev:crypto_aesni_gcm", "has no aes-cbc-128+hmac-sha1")):
            if "aesni_gcm" in engine:
                words, _ = self.sa(("aes-cbc-128+hmac-sha1", "AES-CBC", "HMAC-SHA1-96", 16, 20))
            with self.subTest(engine):
                program = self.umfwd("umfwd", ["net_null0"], [
                    "--forward-mode=esp-enc", f"--esp-sa={words}", "--esp-seq-floor=0", f"--esp-engine={engine}",
                    "--port-topology=loop", "--total-num-mbufs=4096"])
                self.assertEqual(program.wait(), 1, program.last_words())
                self.assertIn(said, program.output())

    def numbers(self, words, *app):
        """The sequence numbers of one run of esp-enc."""
        sent = [bytes(Ether(dst=frames.DST, src=frames.SRC) / p) for p in self.packets()]
        return [Ether(frame)[ESP].seq for frame in self.through("esp-enc", words, sent, app)]

    def test_a_file_remembers_the_numbers_that_a_key_has_sent(self):
        words, _ = self.sa(("aes-gcm-128", *AEADS["aes-gcm-128"]))
        file, n = self.logs / "one.seq", len(SIZES)
        self.assertEqual(self.numbers(words, f"--esp-seq-file={file}", "--esp-seq-floor=100"), [*range(101, 101 + n)])
        self.assertEqual(self.numbers(words, f"--esp-seq-file={file}"), [*range(101 + n, 101 + 2 * n)])
        source = self.logs / "in.pcap"
        killed = self.prompt(self.umfwd("killed", [f"net_pcap0,rx_pcap={source},tx_pcap={self.logs / 'lost.pcap'}"], [
            "-i", "--forward-mode=esp-enc", f"--esp-sa={words}", "--port-topology=loop", "--no-flush-rx", "--auto-start",
            "--total-num-mbufs=8192", f"--esp-seq-file={file}"]))
        lab.until(lambda: lab.port_stats(killed)["RX-packets"] >= n, "the frames", watch=[killed])
        killed.send(signal.SIGKILL)
        killed.wait()
        after = self.numbers(words, f"--esp-seq-file={file}")
        self.assertEqual(after, [*range(after[0], after[0] + n)])
        self.assertGreater(after[0], 100 + 3 * n)
        self.assertLessEqual(after[0], 101 + 2 * n + 2**20)

    def file_through(self, algorithm, checksums):
        """A file from the cache's pages into mode esp-enc, opened by Scapy: seed 000, R01."""
        file, arrived = self.logs / "file", self.logs / "out.pcap"
        content = self.random.randbytes((1 << 19) + 1234)
        file.write_bytes(content)
        words, theirs = self.sa(algorithm)
        empty = self.logs / "empty.pcap"
        lab.write_pcap(empty, [])
        program = self.lab.program("file_to_esp", [
            FILE_TO_ESP, *self.lab.eal([f"net_pcap0,rx_pcap={empty},tx_pcap={arrived}"], huge=False),
            "--", file, words, checksums])
        self.assertEqual(program.wait(), 0, program.last_words())
        said = json.loads(program.output()[program.output().index("{"):].splitlines()[0])
        self.assertEqual(said["bytes"], 2 * len(content))
        self.assertEqual(said["read_bytes"], len(content))  # the second time from the cache
        self.assertEqual((said["copied"], said["faults"], said["pages_changed"]), (0, 0, 0))
        self.assertGreater(said["pages_looked_at"], 2 * said["packets"] - 1)
        frames_ = lab.read_pcap(arrived)
        self.assertEqual(len(frames_), said["packets"])
        got = b""
        for frame in frames_:
            packet = theirs.decrypt(Ether(frame).payload)
            raw = bytes(packet)
            again = IP(raw)
            del again.chksum, again[UDP].chksum
            self.assertEqual(bytes(again), raw, "both checksums are right")
            got += bytes(packet[UDP].payload)[16:]
        self.assertEqual(got == 2 * content, True)
        self.assertEqual(file.read_bytes() == content, True)

    def test_r01_a_file_from_the_caches_pages_into_esp_is_what_scapy_opens(self):
        for name, checksums in (("aes-gcm-128", "device"), ("chacha20-poly1305", "us")):
            with self.subTest(f"{name}, checksums by {checksums}"):
                self.file_through((name, *AEADS[name]), checksums)

    def test_esp_dec_behind_a_bad_link_delivers_what_was_sent_once_or_counts_why_not(self):
        packets = [bytes(IP(src="10.1.0.1", dst="10.2.0.2") / UDP(sport=1, dport=2) / Raw(n.to_bytes(4, "big") + self.random.randbytes(n % 700)))
                   for n in range(4000)]
        ether = bytes(Ether(dst=frames.DST, src=frames.SRC, type=0x0800))
        words, _ = self.sa(("aes-gcm-128", *AEADS["aes-gcm-128"]), nat=True)
        sealed = self.through("esp-enc", words, [ether + p for p in packets], ["--esp-seq-floor=0"])
        self.assertEqual(len(sealed), len(packets))
        faults = f"seed={self.random.randrange(1 << 32)},drop=9000,duplicate=11000,reorder=20000,corrupt=13000,no_mbuf=4000"
        source, sink = self.logs / "in.pcap", self.logs / "out.pcap"
        lab.write_pcap(source, sealed)
        forwarder = self.prompt(self.umfwd(
            "umfwd", [f"net_pcap0,rx_pcap={source},tx_pcap={sink}"],
            ["-i", "--forward-mode=esp-dec", f"--esp-sa={words}", f"--faults={faults}", "--port-topology=loop", "--no-flush-rx",
             "--auto-start", "--total-num-mbufs=8192"]))
        lab.until(lambda: lab.port_stats(forwarder)["RX-packets"] >= len(sealed), "the frames", watch=[forwarder])
        report = self.quit(forwarder)  # conserved, and the pools balanced
        delivered = [f[14:] for f in lab.read_pcap(sink)]
        self.assertEqual(len(set(delivered)), len(delivered), "one came twice")
        self.assertEqual(set(delivered) - set(packets), set(), "one came that nobody sent")
        met = {name: count for name, count in report["drops"].items() if count}
        fault = report["ports"][0]["faults"]
        self.assertEqual(met.pop("fault-drop"), fault["drop"])
        self.assertEqual(set(met) - {"esp-refused", "no-mbuf", "not-handled"}, set())
        self.assertGreater(met["esp-refused"], 30)
        self.assertGreater(len(delivered), 3700)
        self.assertEqual(len(delivered) + sum(met.values()), len(sealed) - fault["drop"] + fault["duplicate"])
