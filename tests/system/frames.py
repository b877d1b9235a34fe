# SPDX-License-Identifier: BSD-2-Clause
# frames.py - odd Ethernet frames, made with scapy from a seed.
import logging
import random

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    ARP, ICMP, IP, TCP, UDP, Dot1Q, Dot1AD, Ether, ICMPv6EchoRequest, IPOption_RR,
    IPOption_Router_Alert, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, PadN, Raw)

DST, SRC = "02:00:00:00:00:01", "02:00:00:00:00:02"
HEADER_BYTES = 14  # a frame shorter than this has no addresses to swap


def odd_frames(seed):
    """Name -> frame: what a careless parser trips over."""
    rng = random.Random(seed)
    ether = Ether(dst=DST, src=SRC)
    v4 = IP(src="198.18.0.1", dst="198.18.0.2")
    v6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
    udp = UDP(sport=9, dport=9)

    def payload(n):
        return Raw(rng.randbytes(n))

    layers = {
        "udp": ether / v4 / udp / payload(64),
        "tcp": ether / v4 / TCP(sport=80, dport=1024, options=[("MSS", 1460), ("SAckOK", b"")]),
        "icmp echo": ether / v4 / ICMP() / payload(56),
        "arp": ether / ARP(psrc="198.18.0.1", pdst="198.18.0.2"),
        "broadcast arp": Ether(dst="ff:ff:ff:ff:ff:ff", src=SRC) / ARP(pdst="198.18.0.2"),
        "multicast": Ether(dst="01:00:5e:00:00:fb", src=SRC) / v4 / udp / payload(30),
        "vlan": ether / Dot1Q(vlan=5, prio=3) / v4 / udp / payload(100),
        "vlan 0": ether / Dot1Q(vlan=0) / v4 / udp / payload(100),
        "qinq": ether / Dot1AD(vlan=100) / Dot1Q(vlan=200) / v4 / udp / payload(100),
        "qinq in 0x8100": ether / Dot1Q(vlan=1) / Dot1Q(vlan=4094) / v6 / udp / payload(7),
        "ip options": ether / IP(src="198.18.0.1", dst="198.18.0.2", options=[
            IPOption_Router_Alert(), IPOption_RR(routers=["0.0.0.0"] * 5)]) / udp / payload(20),
        "ip fragment": ether / IP(src="198.18.0.1", dst="198.18.0.2", flags="MF", frag=185) / payload(80),
        "ip length too long": ether / IP(len=1400, src="198.18.0.1", dst="198.18.0.2") / udp,
        "ip header length 0": ether / Raw(b"\x40" + bytes(45)),
        "udp length 0": ether / v4 / UDP(sport=9, dport=9, len=0) / payload(18),
        "bad ip checksum": ether / IP(src="198.18.0.1", dst="198.18.0.2", chksum=0xBAD) / udp / payload(9),
        "ipv6": ether / v6 / udp / payload(64),
        "ipv6 echo": ether / v6 / ICMPv6EchoRequest(data=b"x" * 32),
        "ipv6 headers": ether / v6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)])
        / IPv6ExtHdrRouting(addresses=["2001:db8::9"]) / IPv6ExtHdrDestOpt() / udp / payload(33),
        "ipv6 fragment": ether / v6 / IPv6ExtHdrFragment(offset=100, m=1, id=7) / payload(64),
        "ipv6 ends in a header": ether / IPv6(nh=0, plen=0),
        "unknown type": Ether(dst=DST, src=SRC, type=0x88B5) / payload(50),
        "802.3 length": Ether(dst=DST, src=SRC, type=46) / payload(46),
    }
    frames = {name: bytes(layer) for name, layer in layers.items()}
    for n in (60, 61, 64, 1514, 1518, 2000, 2048, 2049, 4096, 8192, 9000, 9014):
        frames[f"{n} bytes"] = bytes(ether / v4 / udp / payload(n - 42))
    for n in (1, 6, 12, 13, 14, 15, 17, 33, 41, 59):
        frames[f"runt of {n} bytes"] = frames["udp"][:n]
    return frames


def swapped(frame):
    """The frame after mode macswap."""
    return frame[6:12] + frame[:6] + frame[12:]
