# SPDX-License-Identifier: BSD-2-Clause
# gateway_run.py - hosts behind two gateways: is every packet accounted for, and every payload what it was?
#
#      umfwd "A"                                                             umfwd "B"
#
#      seqgen ---- tee ---- gateway A  --- virtio-user ==== vhost-user ---  gateway B ---- 5tswap
#      numbers,     |        |   policies, ESP, routes (mode esp)             |            turns round
#      checks     rxonly   sendfile                                         recvfile
#                 copies   unmapped pages                                   compares, answers
#
# What is drawn with one line inside a program is a link (--links): packets pass it as they are, so that gateway A is
# given clusters that the tee shares with the listener, and pages of a file that no CPU can read. The way between the
# programs copies, as any wire does. Numbered packets come back through both gateways.
#
# Every packet is sent by one stream and received by the stream at the other end of that port, in one program or the
# other. So all that was sent and not received was lost on a wire, and must be counted by the wire's ends.
import dataclasses
import os
import secrets
import signal

import lab

FILE_BYTES = 16 << 20
PAYLOAD = 1344                       # of the file in a packet: with all headers, ESP's too, below 1500
LENGTHS = (64, 128, 256, 512, 1024, 1400)
# Where packets are meant to end, and what a generator had made and nobody had sent.
ENDS = {"seqgen": {"seq-received", "tx-full", "drained"}, "sendfile": {"file-answers", "tx-full", "drained"},
        "recvfile": {"file-received"}, "rxonly": {"rx-sink"}}
WAN = 0                              # the port's number, in both


@dataclasses.dataclass
class Result:
    summary: dict      # the numbers, with both reports inside
    complaints: list   # why the run is not good; empty: it is


def link_mac(link, end):
    return f"02:00:00:4c:{link:02x}:{'ab'.index(end) + 10:02x}"


def port(name, device, address, inside=True):
    side = 'side = "inside"\n' if inside else ""
    return f'[[port]]\nname = "{name}"\n{side}device = "{device}"\naddresses = "{address}"\n\n'


def neighbour(at, address, mac):
    return f'[[neighbour]]\nport = "{at}"\naddress = "{address}"\nmac = "{mac}"\n\n'


def route(to, via):
    return f'[[route]]\nto = "{to}"\nvia = "{via}"\n\n'


def association(direction, spi, key, src, dst):
    numbers = "seq_floor = 0\n" if direction == "out" else ""
    return (f'[[sa]]\nchild = "peer"\ndirection = "{direction}"\nspi = {spi:#x}\nalg = "aes-gcm-128"\nkey = "{key}"\n'
            f'src = "{src}"\ndst = "{dst}"\nesn = true\n{numbers}\n')


def policies():
    return "".join(f'[[policy]]\ndirection = "{d}"\naction = "protect"\nchild = "peer"\n\n' for d in ("out", "in"))


def new_keys():
    """A cipher's key and its salt, for each direction; of no use after the run."""
    return [f"{secrets.token_hex(16)} {secrets.token_hex(4)}" for _ in range(2)]


def conf_a(wan, peer_mac, keys):
    return "".join((
        port("wan", wan, "192.0.2.1/24", inside=False), port("lan", "net_ring_link1b", "10.1.0.1/16"),
        port("files", "net_ring_link3b", "10.3.0.1/16"),
        neighbour("wan", "192.0.2.2", peer_mac), neighbour("lan", "10.1.0.2", link_mac(0, "a")),
        neighbour("files", "10.3.0.2", link_mac(3, "a")), route("10.2.0.0/16", "192.0.2.2"), route("10.4.0.0/16", "192.0.2.2"),
        association("out", 0x1001, keys[0], "192.0.2.1", "192.0.2.2"),
        association("in", 0x1002, keys[1], "192.0.2.2", "192.0.2.1"), policies()))


def conf_b(wan, peer_mac, keys):
    return "".join((
        port("wan", wan, "192.0.2.2/24", inside=False), port("lan", "net_ring_link0a", "10.2.0.1/16"),
        port("files", "net_ring_link1a", "10.4.0.1/16"),
        neighbour("wan", "192.0.2.1", peer_mac), neighbour("lan", "10.2.0.2", link_mac(0, "b")),
        neighbour("files", "10.4.0.2", link_mac(1, "b")), route("10.1.0.0/16", "192.0.2.1"), route("10.3.0.0/16", "192.0.2.1"),
        association("in", 0x1001, keys[0], "192.0.2.1", "192.0.2.2"),
        association("out", 0x1002, keys[1], "192.0.2.2", "192.0.2.1"), policies()))


# The wide area's ports come first, then the links': 0a is 1, 0b is 2, 1a is 3 ...
HOSTS_A = ["--links=4", "--port-mode=1:seqgen", "--port-mode=2,3,5:tee", "--port-mode=6:rxonly", "--port-mode=7:sendfile",
           f"--eth-peer=1,{link_mac(1, 'b')}", f"--eth-peer=7,{link_mac(3, 'b')}",
           "--tx-ip=10.1.0.2,10.2.0.2", "--sendfile-ip=10.3.0.2,10.4.0.2", f"--txpkts={','.join(map(str, LENGTHS))}",
           "--sendfile-loops=0", f"--sendfile-payload={PAYLOAD}", "--sendfile-window=48", "--page-cache=32",
           "--sendfile-compare",
           "--rxd=256", "--txd=1024"]  # the generators' windows are as small as the smaller one
HOSTS_B = ["--links=2", "--port-mode=2:5tswap", "--port-mode=4:recvfile"]


# ---- what came of it

def streams_of(reports):
    return [(who, stream) for who, report in reports.items() for stream in report["streams"]]


def missed(stream):
    """Copies that a tee made for a listener who was behind: none of them was on its way to anybody else."""
    return sum(way["dropped"] for way in stream["tee"])


def losses(reports):
    """What was lost, by name: whose, and why. In a stream, or between two."""
    lost = {}
    for who, stream in streams_of(reports):
        drops = dict(stream["drops"])
        if stream["mode"] == "tee":
            drops["tx-full"] -= missed(stream)
        for why, n in drops.items():
            if n and why not in ENDS.get(stream["mode"], ()):
                lost[f"{who} {why}"] = lost.get(f"{who} {why}", 0) + n
    for who, report in reports.items():
        wires = {"fault-drop": report["all"]["faults"]["drop"], "rx-missed": report["all"]["rx_dropped"],
                 "rx-error": report["all"]["rx_error"]}
        lost |= {f"{who} {why}": n for why, n in wires.items() if n}
    return lost


def unaccounted(reports):
    """Packets that one stream has sent and no stream received, beyond those that a wire's ends have counted."""
    missing = sum(stream["tx"] - stream["rx"] for _, stream in streams_of(reports))
    for report in reports.values():
        ports = report["all"]
        missing += ports["faults"]["duplicate"] - ports["faults"]["drop"] - ports["rx_dropped"] - ports["rx_error"]
    return missing


def judge(a, b, statuses):
    """One summary of the two reports, and what is wrong with it."""
    reports = {"A": a, "B": b}
    wan = next(p for p in a["ports"] if p["port"] == WAN)
    esp = wan["tx_packets"] + wan["rx_packets"]
    seconds = a["seconds"] or 1
    sent, received = a["sent"] + a["file"]["packets"], a["received"] - a["duplicate"] + b["recvfile"]["packets"]
    copied = sum(a["copies"].values())
    cycles = sum(lcore["busy_cycles"] for report in reports.values() for lcore in report["lcores"])
    summary = {
        "seconds": a["seconds"], "mpps": sent / seconds / 1e6, "sent": sent, "received": received,
        "corrupt": a["corrupt"] + b["recvfile"]["corrupt"], "duplicate": a["duplicate"],
        "lost": losses(reports), "lost_unaccounted": unaccounted(reports),
        "esp_packets": esp, "esp_mpps": esp / seconds / 1e6,
        "esp_gbps": 8 * (wan["nic"]["tx_bytes"] + wan["nic"]["rx_bytes"]) / seconds / 1e9,
        "payload_bytes_copied_per_packet": copied / wan["tx_packets"] if wan["tx_packets"] else 0,
        "shared_packets": sum(way["tx"] for stream in a["streams"] if stream["mode"] == "tee" for way in stream["tee"]),
        "listener_missed": sum(missed(stream) for stream in a["streams"] if stream["mode"] == "tee"),
        "unmapped_packets": a["file"]["packets"] - a["file"]["copied_packets"],
        "page_hashes_unchanged": a["file"]["pages_compared"] > 0 and a["file"]["pages_changed"] == 0,
        "pages_compared": a["file"]["pages_compared"],
        "cycles_per_packet": cycles / esp if esp else 0,
        "pools_balanced": a["pools_balanced"] and b["pools_balanced"],
        "conserved": a["conserved"] and b["conserved"],
        "A": a, "B": b,
    }
    return Result(summary, complaints(summary, reports, statuses))


def complaints(summary, reports, statuses):
    said = []
    a, b = reports["A"], reports["B"]
    if a["received"] == 0:
        said.append("no numbered packet came back")
    if b["recvfile"]["packets"] == 0:
        said.append("no packet of the file arrived")
    if summary["lost_unaccounted"]:
        said.append(f"{summary['lost_unaccounted']} packets are lost without a reason")
    for key in ("corrupt", "duplicate"):
        if summary[key]:
            said.append(f"{summary[key]} packets were {key} when they arrived")
    if not summary["page_hashes_unchanged"]:
        said.append(f"{a['file']['pages_changed']} of {a['file']['pages_compared']} pages of the file are not what they were")
    for (who, report), status in zip(reports.items(), statuses):
        if not report["pools_balanced"]:
            said.append(f"{who}: buffers are missing from the pools at the end")
        if not report["conserved"]:
            said.append(f"{who}: a stream's packets in and out do not add up")
        if status:
            said.append(f"{who}: exit status {status}")
    return said


# ---- doing it

def write_private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


def run(place, seconds, gateway_args=(), progress=None):
    """Do it in a Lab. `progress(program)` is called now and then, with the program that has the sending host."""
    socket, file = place.path("vhost.sock"), place.path("file")
    with open(file, "wb") as out:
        out.write(os.urandom(FILE_BYTES))
    keys, mac_a = new_keys(), "02:00:00:57:41:4e"
    paths = {who: place.path(f"{who}.json") for who in "AB"}
    common = ["--auto-start", "--tap=none", "--total-num-mbufs=8192", "--stats-period=1", f"--sendfile={file}"]

    def start(who, wan, conf, hosts, cpu, *more):
        write_private(place.path(f"{who}.toml"), conf)
        return place.umfwd(who, [wan], [f"--conf={place.path(f'{who}.toml')}", *common, f"--json={paths[who]}",
                                        *hosts, *more, *gateway_args], cpu=cpu, memory_mb=MEMORY_MB)

    wan = f"net_vhost0,iface={socket}"
    b = start("B", wan, conf_b(wan, mac_a, keys), HOSTS_B, 1)
    mac_b = b.wait_for(r"^Port 0: ((?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2})$")[1]
    b.wait_for(r"packet forwarding - ports=")
    wan = f"net_virtio_user0,path={socket},mac={mac_a},queue_size=1024"
    a = start("A", wan, conf_a(wan, mac_b, keys), HOSTS_A, 0, f"--seconds={seconds}")

    def ended():
        if progress:
            progress(a)
        return not a.alive()
    lab.until(ended, "the sending host to end", seconds + lab.PATIENCE_S, watch=[b])
    statuses = a.wait(), b.stop(signal.SIGINT)
    return judge(lab.load_json(paths["A"]), lab.load_json(paths["B"]), statuses)


MEMORY_MB = 320  # each: the tables of routes are most of it


def text(summary):
    """The report for people."""
    lost = ", ".join(f"{n} {why}" for why, n in summary["lost"].items()) or "none"
    yes = {True: "yes", False: "NO"}
    return "\n".join((
        f"payload           {summary['mpps']:.3f} Mpps sent, for {summary['seconds']:.1f} s",
        f"ESP               {summary['esp_mpps']:.3f} Mpps, {summary['esp_gbps']:.2f} Gbit/s, both ways",
        f"sent              {summary['sent']}  ({summary['unmapped_packets']} of unmapped pages; "
        f"{summary['shared_packets']} shared with a listener)",
        f"received          {summary['received']}  ({summary['corrupt']} corrupt, "
        f"{summary['duplicate']} duplicate)",
        f"lost, by reason   {lost}",
        f"lost, no reason   {summary['lost_unaccounted']}",
        f"copied            {summary['payload_bytes_copied_per_packet']:.1f} bytes of payload per ESP packet in A",
        f"pages unchanged   {yes[summary['page_hashes_unchanged']]}  ({summary['pages_compared']} compared)",
        f"cycles per packet {summary['cycles_per_packet']:.0f}  (of ESP, hosts included)",
        f"pools balanced    {yes[summary['pools_balanced']]}",
    ))
