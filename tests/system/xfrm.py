# SPDX-License-Identifier: BSD-2-Clause
# xfrm.py - one pair of SAs with its policies, in the words of umfwd's configuration and in those of ip xfrm.
#
#      us, here                                        they, there
#      10.77.N.1  behind  10.9.2.1  ===== tunnel ====  10.9.2.2  with  10.88.N.1
#      10.99.N.1  at      10.9.2.1  ==== transport ==  10.9.2.2  with  10.99.N.2
#
# and fd77:N::1 and so on. Transport mode is between addresses of the gateways that are not on the link, because who
# looks for a neighbour must not need an SA for that.
import dataclasses

AEADS = {"aes-gcm-128": ("rfc4106(gcm(aes))", 20), "aes-gcm-192": ("rfc4106(gcm(aes))", 28), "aes-gcm-256": ("rfc4106(gcm(aes))", 36),
         "aes-gmac-128": ("rfc4543(gcm(aes))", 20), "aes-gmac-256": ("rfc4543(gcm(aes))", 36),
         "chacha20-poly1305": ("rfc7539esp(chacha20,poly1305)", 36)}
CIPHERS = {"aes-cbc-128": ("cbc(aes)", 16), "aes-cbc-192": ("cbc(aes)", 24), "aes-cbc-256": ("cbc(aes)", 32),
           "aes-ctr-128": ("rfc3686(ctr(aes))", 20), "aes-ctr-192": ("rfc3686(ctr(aes))", 28), "aes-ctr-256": ("rfc3686(ctr(aes))", 36),
           "null": ("ecb(cipher_null)", 0)}
HMACS = {"hmac-sha1": ("hmac(sha1)", 20, 96), "hmac-sha256": ("hmac(sha256)", 32, 128),
         "hmac-sha384": ("hmac(sha384)", 48, 192), "hmac-sha512": ("hmac(sha512)", 64, 256)}
GATEWAYS = {4: ("10.9.2.1", "10.9.2.2"), 6: ("fd09:2::1", "fd09:2::2")}


def key_bytes(algorithm):
    if algorithm in AEADS:
        return AEADS[algorithm][1]
    cipher, hmac = algorithm.split("+")
    return CIPHERS[cipher][1] + HMACS[hmac][1]


def algorithm_words(algorithm, key):
    """What ip xfrm calls an algorithm and its keys."""
    def digits(some):
        return f"0x{some.hex()}" if some else '""'
    if algorithm in AEADS:
        return f"aead {AEADS[algorithm][0]} {digits(key)} 128"
    cipher, hmac = algorithm.split("+")
    name, length = CIPHERS[cipher]
    hash_name, _, bits = HMACS[hmac]
    return f"enc {name} {digits(key[:length])} auth-trunc {hash_name} {digits(key[length:])} {bits}"


@dataclasses.dataclass
class Pair:
    """Two SAs and what is between them. `inner` and `outer`: versions of IP."""
    number: int
    algorithm: str
    mode: str
    inner: int = 4
    outer: int = 4
    esn: bool = False
    nat: bool = False
    window: int = 64
    more: str = ""  # of umfwd's configuration, for what it sends
    keys: tuple = ()  # to them, to us
    spis: tuple = ()
    sent: tuple = (0, 0)  # how many numbers each key has used, below 2^32

    def make_keys(self, random):
        self.keys = tuple(random.randbytes(key_bytes(self.algorithm)) for _ in range(2))
        self.spis = tuple(random.randrange(1 << 16, 1 << 32) & ~0xffff | self.number << 1 | i for i in range(2))

    def __str__(self):
        more = "".join(f" {word}" for word in ("esn", "nat") if getattr(self, word))
        return f"{self.number}: {self.algorithm} {self.mode} {self.inner} in {self.outer}{more}"

    @property
    def hosts(self):
        """Who talks: our side's address, theirs."""
        ours, theirs = (("77", 1), ("88", 1)) if self.mode == "tunnel" else (("99", 1), ("99", 2))
        if self.inner == 6:
            return tuple(f"fd{net}:{self.number:x}::{host}" for net, host in (ours, theirs))
        return tuple(f"10.{net}.{self.number}.{host}" for net, host in (ours, theirs))

    @property
    def ends(self):
        return GATEWAYS[self.outer] if self.mode == "tunnel" else self.hosts

    def conf(self):
        """Of umfwd's file."""
        return "".join(self.conf_sa(i) + self.conf_policy(i) for i in range(2))

    def conf_sa(self, i):
        (our, their), direction = self.ends, ("out", "in")[i]
        src, dst = (our, their) if i == 0 else (their, our)
        lines = [f'name = "{direction}-{self.number}"', f'child = "{self.number}"', f'direction = "{direction}"',
                 f'mode = "{self.mode}"', f"spi = {self.spis[i]:#x}", f'alg = "{self.algorithm}"', f'key = "{self.keys[i].hex()}"',
                 f'src = "{src}"', f'dst = "{dst}"', f"esn = {str(self.esn).lower()}"]
        lines += [f"seq_floor = {self.sent[0]}", self.more] if i == 0 else [f"window = {self.window}"]
        lines += ["udp = true"] * self.nat
        if self.nat and self.mode == "transport" and i == 1:  # no NAT changed them
            lines += [f'nat_oa = {{ src = "{src}", dst = "{dst}" }}']
        return "[[sa]]\n" + "\n".join(lines) + "\n\n"

    def conf_policy(self, i):
        ours, theirs = self.hosts
        src, dst = (ours, theirs) if i == 0 else (theirs, ours)
        return f'[[policy]]\ndirection = "{("out", "in")[i]}"\nsrc = "{src}"\ndst = "{dst}"\naction = "protect"\nchild = "{self.number}"\n\n'

    def state(self, i):
        """One line of ip -batch: the SA to them, or to us."""
        our, their = self.ends
        src, dst = (our, their) if i == 0 else (their, our)
        flags = [flag for flag, there in (("esn", self.esn), ("af-unspec", self.mode == "tunnel")) if there]
        line = f"xfrm state add src {src} dst {dst} proto esp spi {self.spis[i]:#x} reqid {self.number} mode {self.mode} replay-window {self.window}"
        if self.sent[i]:
            line += f" replay-{('seq', 'oseq')[i]} {self.sent[i]:#x}"
        line += f" flag {' '.join(flags)}" if flags else ""
        line += " " + algorithm_words(self.algorithm, self.keys[i])
        return line + (f" encap espinudp 4500 4500 {'::' if ':' in src else '0.0.0.0'}" if self.nat else "")

    def state_delete(self, i):
        """The same for its end."""
        our, their = self.ends
        src, dst = (our, their) if i == 0 else (their, our)
        return f"xfrm state delete src {src} dst {dst} proto esp spi {self.spis[i]:#x}"

    def policies(self):
        (our, their), (ours, theirs) = self.ends, self.hosts
        ends = (f"src {their} dst {our} ", f"src {our} dst {their} ") if self.mode == "tunnel" else ("", "")
        for direction, src, dst, tunnel in (("out", theirs, ours, ends[0]), ("in", ours, theirs, ends[1])):
            yield f"xfrm policy add src {src} dst {dst} dir {direction} tmpl {tunnel}proto esp reqid {self.number} mode {self.mode}"

    def batch(self):
        """All of it, for ip -batch."""
        return [self.state(0), self.state(1), *self.policies()]
