# SPDX-License-Identifier: BSD-2-Clause
# bench_gateway.py - modes esp and route against programs that do the same, in turns, on the same devices.
#
#      esp      net_pcap, endless -> policy, SA, AES-128-GCM tunnel -> net_null     dpdk-ipsec-secgw, by librte_ipsec and crypto_aesni_gcm
#      route    net_pcap, endless -> fib, neighbour -> net_null                     dpdk-testpmd, mode mac
#      kernel   namespace -> veth -> router -> veth -> namespace                    the kernel's own forwarding
#
# A round runs each program once, so that what the machine does besides meets all of them. What is printed are
# medians of the rounds, and the least and the largest.
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "system"))
import lab  # noqa: E402

CONF = lab.ROOT / "conf" / "bench-esp.toml"
PAGES = 700          # 1 GB for the program that runs, and what testpmd has besides
FLOWS = 256          # packets of a capture
SIZES = (64, 1420)   # bytes of an IP packet
SOURCE_MAC = "027063617000"  # net_pcap's own
WARM_UP_S = 1.0


# ---- packets

def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(size, i, net):
    """UDP in IPv4 of `size` bytes, in Ethernet, for the first net_pcap device, from 10.(1 + net)."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, i, 0, 64, 17, 0, bytes([10, 1 + net, 0, 2 + i % 200]), bytes([198, 18, 0, 1 + i % 200]))
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    udp = struct.pack(">HHHH", 1000 + i, 9, size - 20, 0)
    ether = bytes.fromhex(SOURCE_MAC + "020000000009" + "0800")
    return ether + ip + udp + bytes(size - 28)


def capture(path, size, net=0):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i in range(FLOWS):
            frame = packet(size, i, net)
            out.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


# ---- programs; each returns Mpps

class Bench:
    def __init__(self, place, options):
        self.place, self.options = place, options
        self.cpus = place.cpus
        self.gateway_net = place.namespace("g")

    def path(self, name):
        return self.place.path(name)

    def run_umfwd(self, conf, *more):
        """umfwd by a configuration, for some seconds; packets sent a second, by its own report."""
        report = self.path("report.json")
        pathlib.Path(report).unlink(missing_ok=True)
        program = self.place.program("umfwd", [lab.UMFWD, f"--file-prefix=umlab{os.getpid()}n900", "--conf-readable", "--conf", conf, "--", "--auto-start",
                                               f"--tap-netns={self.gateway_net.name}", f"--seconds={self.options.seconds}", f"--json={report}", *more])
        status = program.wait(self.options.seconds + lab.PATIENCE_S)
        if status != 0:
            raise lab.LabError(f"umfwd {program.how_it_ended()}; {program.last_words()}")
        said = lab.load_json(report)
        lost = {stream["rx_port"]: {why: n for why, n in stream["drops"].items() if n} for stream in said["streams"]}
        if any(lost.values()):
            print(f"umfwd: packets died: {lost}", file=sys.stderr)
        return said["all"]["tx_packets"] / said["seconds"] / 1e6

    def esp_conf(self, size, cores):
        """conf/bench-esp.toml with this run's captures and memory; for each further core a queue, and an SA of its own."""
        pcaps = [self.path(f"{size}-{i}.pcap") for i in range(cores)]
        for i, path in enumerate(pcaps):
            capture(path, size, i)
        workers = ",".join(f"{1 + i}@{self.cpus[(1 + i) % len(self.cpus)]}" for i in range(cores))
        memory = ("true", '["--no-telemetry", "--in-memory"]') if self.place.huge else ("false", '"--no-telemetry"')
        text = CONF.read_text()
        for was, becomes in (('lcores = "0@0,1@1"', f'lcores = "0@{self.cpus[0]},{workers}"'),
                             ("rx_pcap=/tmp/umbuf-bench.pcap", ",".join(f"rx_pcap={path}" for path in pcaps)),
                             ("huge = false", f"huge = {memory[0]}"), ('args = "--no-telemetry"', f"args = {memory[1]}"),
                             ("[options]\n", f"[options]\nnb_cores = {cores}\nrxq = {cores}\ntxq = {cores}\n"),
                             ("[[policy]]", "".join(self.another_sa(i) for i in range(1, cores)) + "[[policy]]")):
            if text.count(was) != 1:
                raise lab.LabError(f"{CONF}: expected {was!r} once")
            text = text.replace(was, becomes)
        where = self.path("bench.toml")
        pathlib.Path(where).write_text(text)
        return where

    @staticmethod
    def another_sa(i):
        return f"""[[sa]]
child = "bench{i}"
direction = "out"
spi = {0x6001 + i}
alg = "aes-gcm-128"
key = "{i:02x}0102030405060708090a0b0c0d0e0f 10111213"
src = "192.0.2.1"
dst = "192.0.2.2"
esn = true
seq_floor = 0

[[policy]]
direction = "out"
src = "10.{1 + i}.0.0/16"
action = "protect"
child = "bench{i}"

"""

    def umfwd_esp(self, size, cores=1):
        return self.run_umfwd(self.esp_conf(size, cores))

    def secgw(self, size):
        """dpdk-ipsec-secgw by its own count, a second apart."""
        pcap, conf = self.path(f"{size}-0.pcap"), self.path("secgw.cfg")
        capture(pcap, size)
        key = ":".join(f"{n:02x}" for n in range(0x14))
        pathlib.Path(conf).write_text(
            "sp ipv4 out esp protect 5 pri 1 dst 198.18.0.0/24 sport 0:65535 dport 0:65535\n"
            "sp ipv4 in esp protect 105 pri 1 dst 10.99.0.0/24 sport 0:65535 dport 0:65535\n"
            f"sa out 5 aead_algo aes-128-gcm aead_key {key} mode ipv4-tunnel src 192.0.2.1 dst 192.0.2.2\n"
            f"sa in 105 aead_algo aes-128-gcm aead_key {key} mode ipv4-tunnel src 192.0.2.2 dst 192.0.2.1\n"
            "rt ipv4 dst 192.0.2.2/32 port 1\nneigh port 1 02:00:00:00:00:02\n")
        memory = ["--in-memory", "-m", "1024"] if self.place.huge else ["--no-huge", "-m", "1024"]
        program = self.place.program("secgw", [
            "stdbuf", "-oL", self.options.secgw, "-l", str(self.cpus[1 % len(self.cpus)]), "--no-pci", *memory, "--no-telemetry",
            f"--file-prefix=umlab{os.getpid()}n901", f"--vdev=net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev=net_null0,no-rx=1",
            "--vdev=crypto_aesni_gcm0", "--", "-p", "0x3", "-P", "-u", "0x2", "-l", "--config", "(0,0,{0}),(1,0,{0})".format(self.cpus[1 % len(self.cpus)]),
            "-f", conf, "-t", "1"])
        sent = lambda: [int(n) for n in re.findall(r"Total packets sent: +(\d+)", program.output())]  # noqa: E731
        want = int(self.options.seconds) + 2
        lab.until(lambda: len(sent()) >= want, "dpdk-ipsec-secgw to count", want + lab.PATIENCE_S, watch=[program])
        counts = sent()[1:want]
        program.end()
        return (counts[-1] - counts[0]) / (len(counts) - 1) / 1e6

    # ---- route

    def umfwd_route(self, size):
        text = pathlib.Path(self.esp_conf(size, 1)).read_text().split("[[sa]]")[0]
        where = self.path("route.toml")
        pathlib.Path(where).write_text(text + '[[route]]\nto = "198.18.0.0/24"\nvia = "192.0.2.2"\n')
        return self.run_umfwd(where, "--forward-mode=route")

    def testpmd_mac(self, size):
        pcap = self.path(f"{size}-0.pcap")
        capture(pcap, size)
        program = self.place.testpmd("testpmd", [f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "net_null0,no-rx=1"],
                                     ["-i", "--forward-mode=mac", "--burst=32", "--no-flush-rx"], memory_mb=1024)
        program.wait_for("testpmd> ")
        program.type("start")
        time.sleep(WARM_UP_S)
        program.type("clear fwd stats all")
        begin = time.monotonic()
        time.sleep(self.options.seconds)
        program.type("stop")
        seconds = time.monotonic() - begin
        block = r"Accumulated forward statistics for all ports(?s:.*?)\n\s*\+{20,}"
        program.wait_for(block)
        sent = lab.forward_statistics(program.output())["all"]["TX-packets"]
        program.end()
        return sent / seconds / 1e6

    # ---- kernel

    def joined(self, side, number):
        """A host behind a veth; the end for the router."""
        host, tag = self.place.namespace(side), f"um{os.getpid()}{side}"
        self.place.veth(f"{tag}0", f"{tag}1")
        host.adopt(f"{tag}1", f"10.9.{number}.2/24")
        host.interface = f"{tag}1"
        return host, f"{tag}0"

    def mac_of(self, namespace, interface):
        return namespace.run("cat", f"/sys/class/net/{interface}/address").strip()

    def received(self, host):
        return int(host.run("cat", f"/sys/class/net/{host.interface}/statistics/rx_packets"))

    def send_through(self, source, sink, mac):
        """dpdk-testpmd sends from a host as fast as it can; what the other host's interface gets."""
        program = self.place.program("sender", source.command(
            "stdbuf", "-oL", lab.TESTPMD, *self.place.eal([f"net_af_packet0,iface={source.interface},qdisc_bypass=1"], cpu=0), "--", "--total-num-mbufs=16384",
            "--forward-mode=txonly", "--auto-start", "--txpkts=64", "--tx-ip=10.9.1.2,10.9.2.2", f"--eth-peer=0,{mac}", "--no-lsc-interrupt", "--disable-link-check"))
        lab.until(lambda: self.received(sink) > 1000, "packets to pass", watch=[program])
        time.sleep(WARM_UP_S)
        first, begin = self.received(sink), time.monotonic()
        time.sleep(self.options.seconds)
        rate = (self.received(sink) - first) / (time.monotonic() - begin) / 1e6
        program.end()
        return rate

    def hosts(self):
        (a, a0), (b, b0) = self.joined("a", 1), self.joined("b", 2)
        for host, n in ((a, 1), (b, 2)):
            host.ip("route", "add", "default", "via", f"10.9.{n}.1")
        return a, a0, b, b0

    def kernel_route(self):
        with lab.Lab(self.place.logs, huge=self.place.huge) as inner:
            here = Bench.__new__(Bench)
            here.place, here.options, here.cpus = inner, self.options, self.cpus
            a, a0, b, b0 = here.hosts()
            router = inner.namespace("r")
            for interface, n in ((a0, 1), (b0, 2)):
                lab.run(["ip", "link", "set", interface, "netns", router.name])
                router.ip("addr", "add", f"10.9.{n}.1/24", "dev", interface)
                router.ip("link", "set", interface, "up", "promisc", "off")
            router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            router.ip("neigh", "replace", "10.9.2.2", "lladdr", here.mac_of(b, b.interface), "dev", b0)
            return here.send_through(a, b, here.mac_of(router, a0))

    def umfwd_between(self):
        with lab.Lab(self.place.logs, huge=self.place.huge) as inner:
            here = Bench.__new__(Bench)
            here.place, here.options, here.cpus = inner, self.options, self.cpus
            a, a0, b, b0 = here.hosts()
            router = inner.namespace("r")
            program = inner.umfwd("router", [f"net_af_packet0,iface={a0}", f"net_af_packet1,iface={b0}"],
                                  ["-i", "--forward-mode=route", "--auto-start", "--total-num-mbufs=8192", f"--tap-netns={router.name}"], cpu=1)
            program.wait_for("umfwd> ")
            for n in (0, 1):
                lab.until(lambda n=n: f"umf{n}" in router.run("ls", "/sys/class/net"), "the TAPs", watch=[program])
                router.ip("addr", "add", f"10.9.{n + 1}.1/24", "dev", f"umf{n}")
            router.ip("neigh", "replace", "10.9.2.2", "lladdr", here.mac_of(b, b.interface), "dev", "umf1")
            rate = here.send_through(a, b, here.mac_of(router, "umf0"))
            program.end()
            return rate


# ---- the whole

def build_secgw():
    """dpdk-ipsec-secgw of the Debian source package of the DPDK that is installed. It asks for a checksum offload that
    net_pcap does not have: that demand is taken out, and nothing else."""
    folder = lab.BUILD / "secgw"
    if (program := folder / "ipsec-secgw").exists():
        return str(program)
    version = lab.run(["dpkg-query", "-W", "-f=${source:Version}", "libdpdk-dev"])
    with tempfile.TemporaryDirectory() as there:
        lists = pathlib.Path(there) / "lists"
        (lists / "partial").mkdir(parents=True)
        sources = "\n".join(path.read_text() for path in [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")] if path.is_file())
        sources = "\n".join(line for line in sources.splitlines() if "debian.org" in line or not line.startswith("deb"))
        (pathlib.Path(there) / "src.sources").write_text(sources.replace("Types: deb\n", "Types: deb-src\n"))
        (pathlib.Path(there) / "src.list").write_text("\n".join(line.replace("deb ", "deb-src ", 1) for line in sources.splitlines() if line.startswith("deb ")))
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={there}/src.list", "-o", f"Dir::Etc::sourceparts={there}", "-o", f"Dir::State::lists={lists}"]
        lab.run([*apt, "update"], timeout=600)
        lab.run([*apt, "source", "--download-only", f"dpdk={version}"], timeout=600, cwd=there)
        archive = next(pathlib.Path(there).glob("dpdk_*.orig.tar.*"))
        lab.run(["tar", "xf", archive, "--wildcards", "*/examples/ipsec-secgw/*", "*/examples/common/*"], cwd=there)
        source = next(pathlib.Path(there).glob("dpdk-*/examples/ipsec-secgw"))
        main = source / "ipsec-secgw.c"
        main.write_text(main.read_text().replace(".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM", ".offloads = 0"))
        lab.run(["make", "-C", source], timeout=1200)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "build" / "ipsec-secgw-shared", program)
    return str(program)


def cases_of(bench, names, options):
    """(name, what, ours, peer's name, peer's or None)."""
    for size in SIZES:
        if "esp" in names:
            yield "esp", f"{size} bytes, 1 core", lambda size=size: bench.umfwd_esp(size), "ipsec-secgw", (lambda size=size: bench.secgw(size)) if options.secgw else None
            if len(bench.cpus) > 1:
                yield "esp", f"{size} bytes, 2 cores", lambda size=size: bench.umfwd_esp(size, 2), "1 core", lambda size=size: bench.umfwd_esp(size)
    for size in SIZES:
        if "route" in names:
            yield "route", f"{size} bytes, 1 core", lambda size=size: bench.umfwd_route(size), "testpmd mac", lambda size=size: bench.testpmd_mac(size)
    if "kernel" in names:
        yield "kernel", "64 bytes, veth", bench.umfwd_between, "Linux", bench.kernel_route


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench-gateway", description="Packets a second of modes esp and route, beside dpdk-ipsec-secgw, dpdk-testpmd and the kernel, in turns. "
        "dpdk-ipsec-secgw is an example of DPDK's that Debian does not build: --build-secgw gets its source package and does; it needs a network.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--secgw", metavar="PROGRAM", help="a dpdk-ipsec-secgw that was built before")
    parser.add_argument("--build-secgw", action="store_true")
    parser.add_argument("what", nargs="*", help="esp, route, kernel (all)")
    options = parser.parse_args()
    for name in options.what:
        if name not in ("esp", "route", "kernel"):
            parser.error(f"{name}: expected esp, route or kernel")
    return options


def main():
    options = arguments()
    if os.geteuid() != 0:
        raise lab.LabError("this needs root: network namespaces, and TAPs")
    if options.build_secgw:
        options.secgw = build_secgw()
    names = options.what or ["esp", "route", "kernel"]
    rows = []
    with lab.Hugepages(PAGES) as pages, lab.Lab(lab.BUILD / "bench-logs", huge=pages.pages > 0) as place:
        bench = Bench(place, options)
        for name, what, ours, peer, theirs in cases_of(bench, names, options):
            pairs = [(ours(), theirs() if theirs else None) for _ in range(options.rounds)]
            mine = [pair[0] for pair in pairs]
            row = {"name": name, "what": what, "umfwd_mpps": statistics.median(mine), "peer": None, "peer_mpps": None, "ratio": None}
            text = f"{name:7} {what:20} {row['umfwd_mpps']:7.3f} Mpps ({min(mine):.3f} to {max(mine):.3f})"
            if theirs:
                ratios = [pair[0] / pair[1] for pair in pairs]
                row |= {"peer": peer, "peer_mpps": statistics.median(pair[1] for pair in pairs), "ratio": statistics.median(ratios),
                        "ratio_least": min(ratios), "ratio_most": max(ratios)}
                text += f"  {peer} {row['peer_mpps']:.3f}  ratio {row['ratio']:.2f} ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})"
            print(text, flush=True)
            rows.append(row)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (lab.LabError, OSError, subprocess.SubprocessError) as error:
        print(f"scripts/bench-gateway: {error}", file=sys.stderr)
        sys.exit(1)
