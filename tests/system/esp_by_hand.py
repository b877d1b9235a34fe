# SPDX-License-Identifier: BSD-2-Clause
# esp_by_hand.py - one end of an SA, written down from the RFCs, for what Scapy's ESP cannot do.
#
# AES-GMAC (RFC 4543), and extended sequence numbers with an HMAC (RFC 4303, 2.2.1: the upper half is
# authenticated behind everything else, and does not travel). Python's cryptography has the primitives.
import hmac
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.all import IP, IPv6

HASHES = {"hmac-sha1": ("sha1", 20, 12), "hmac-sha256": ("sha256", 32, 16),
          "hmac-sha384": ("sha384", 48, 24), "hmac-sha512": ("sha512", 64, 32)}
ESP = 50


class ByHand:
    """encrypt() and decrypt() of whole IP packets, like those of Scapy's SecurityAssociation."""

    nat_t_header = None

    def __init__(self, name, key, spi, tunnel=None, esn=False):
        cipher, _, self.integrity = name.partition("+")
        self.kind = cipher.rsplit("-", 1)[0] if cipher != "null" else cipher
        bits = 0 if cipher == "null" else int(cipher.rsplit("-", 1)[1])
        salt = {"aes-gmac": 4, "aes-ctr": 4}.get(self.kind, 0)
        self.key, self.salt, self.mac = key[:bits // 8], key[bits // 8:bits // 8 + salt], key[bits // 8 + salt:]
        self.spi, self.tunnel, self.esn = spi, tunnel, esn
        self.iv = {"aes-gmac": 8, "aes-ctr": 8, "aes-cbc": 16, "null": 0}[self.kind]
        self.icv = HASHES[self.integrity][2] if self.integrity else 16

    @staticmethod
    def key_bytes(name):
        cipher, _, integrity = name.partition("+")
        own = 0 if cipher == "null" else int(cipher.rsplit("-", 1)[1]) // 8
        return own + (4 if "gmac" in cipher or "ctr" in cipher else 0) + (HASHES[integrity][1] if integrity else 0)

    def crypt(self, iv, text, encrypt):
        if self.kind in ("null", "aes-gmac"):
            return text
        mode = modes.CBC(iv) if self.kind == "aes-cbc" else modes.CTR(self.salt + iv + struct.pack(">I", 1))
        machine = Cipher(algorithms.AES(self.key), mode)
        worker = machine.encryptor() if encrypt else machine.decryptor()
        return worker.update(text) + worker.finalize()

    def tag(self, number, head, sealed):
        high = struct.pack(">I", number >> 32) if self.esn else b""
        if self.kind == "aes-gmac":
            aad = head[:4] + high + head[4:8] + head[8:] + sealed
            return AESGCM(self.key).encrypt(self.salt + head[8:16], b"", aad)
        return hmac.new(self.mac, head + sealed + high, HASHES[self.integrity][0]).digest()[:self.icv]

    def encrypt(self, packet, seq_num):
        packet = bytes(packet)
        inner = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
        if self.tunnel is not None:
            outer, text, following = self.tunnel.copy(), packet, 4 if isinstance(inner, IP) else 41
        else:
            header = 20 if isinstance(inner, IP) else 40
            outer, text = type(inner)(packet[:header]), packet[header:]
            following = packet[9 if isinstance(inner, IP) else 6]
        align = 16 if self.kind == "aes-cbc" else 4
        pad = -(len(text) + 2) % align
        text += bytes(range(1, pad + 1)) + bytes([pad, following])
        iv = os.urandom(self.iv) if self.iv == 16 else struct.pack(">Q", seq_num)[:self.iv]
        head = struct.pack(">II", self.spi, seq_num & 0xFFFFFFFF) + iv
        sealed = self.crypt(iv, text, True)
        return self.wrapped(outer, ESP, head + sealed + self.tag(seq_num, head, sealed))

    def decrypt(self, outer, number=None):
        packet = bytes(outer)
        header = 20 if packet[0] >> 4 == 4 else 40
        head, sealed, tag = packet[header:header + 8 + self.iv], packet[header + 8 + self.iv:-self.icv], packet[-self.icv:]
        spi, low = struct.unpack(">II", head[:8])
        assert spi == self.spi
        if tag != self.tag(low, head, sealed):  # these tests stay in the first subspace
            raise ValueError("the ICV is wrong")
        text = self.crypt(head[8:], sealed, False)
        pad, following = text[-2], text[-1]
        assert text[-2 - pad:-2] == bytes(range(1, pad + 1))
        inner = text[:-2 - pad]
        if self.tunnel is not None:
            return IP(inner) if following == 4 else IPv6(inner)
        assert following != ESP
        return self.wrapped(type(outer)(packet[:header]), following, inner)

    @staticmethod
    def wrapped(header, protocol, payload):
        """Behind a header that says what it carries, and how much."""
        raw = bytearray(bytes(header)[:20 if isinstance(header, IP) else 40])
        if isinstance(header, IPv6):
            raw[4:6], raw[6] = struct.pack(">H", len(payload)), protocol
            return IPv6(bytes(raw) + payload)
        raw[2:4], raw[9], raw[10:12] = struct.pack(">H", 20 + len(payload)), protocol, b"\0\0"
        total = sum(struct.unpack(">10H", raw))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        raw[10:12] = struct.pack(">H", ~total & 0xFFFF)
        return IP(bytes(raw) + payload)
