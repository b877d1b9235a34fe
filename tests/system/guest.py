# SPDX-License-Identifier: BSD-2-Clause
# guest.py - a Linux machine that is not this one: Debian's kernel in QEMU, emulated, on one interface of a namespace.
#
#      this machine                               the guest
#      namespace, TAP  ------------------------   eth0
#      a socket        ------------------------   ttyS1: one command after the other, by init (initramfs.py)
#
# The first serial port is its console, which is in the logs. It needs neither KVM nor a disk.
import re
import select
import shutil
import socket
import time

import initramfs
import lab

QEMU = "qemu-system-x86_64"


def missing():
    """The Debian packages that a guest needs and that are not here."""
    needed = {"qemu-system-x86": shutil.which(QEMU), "busybox-static": shutil.which("busybox"), "linux-image-cloud-amd64": initramfs.kernel()}
    return [package for package, found in needed.items() if not found]


class Guest:
    """One boot. Commands run one at a time, as root, in a shell that goes on."""

    def __init__(self, the_lab, namespace, tap, image, mac, memory_mb=256):
        port = the_lab.path("guest.sock")
        self.console = the_lab.logs / "guest-console.log"
        self.log = open(the_lab.logs / "guest-commands.log", "w", encoding="utf-8")
        the_lab.on_close(self.log.close)
        # No offload: what the guest sends is what is on the wire. No option ROM: nobody boots from a network.
        plain = ",".join(f"{feature}=off" for feature in (
            "csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4", "host_tso6",
            "host_ecn", "host_ufo", "mrg_rxbuf"))
        self.program = the_lab.program("guest", namespace.command(
            QEMU, "-accel", "tcg", "-cpu", "max", "-machine", "q35", "-smp", "1", "-m", str(memory_mb), "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
            "-serial", f"unix:{port},server=on,wait=off", "-kernel", initramfs.kernel().image, "-initrd", image,
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests",
            "-netdev", f"tap,id=link,ifname={tap},script=no,downscript=no,vnet_hdr=off",
            "-device", f"virtio-net-pci,netdev=link,mac={mac},romfile=,{plain}"))
        self.number, self.seen = 0, ""
        self.socket = socket.socket(socket.AF_UNIX)
        the_lab.on_close(self.socket.close)
        # Before it has booted: what it says to nobody is lost.
        lab.until(lambda: self._connected(port), "QEMU to open its serial ports", watch=[self.program])

    def _connected(self, port):
        try:
            self.socket.connect(port)
        except OSError:
            return False
        return True

    def ready(self):
        """Wait until it has booted."""
        self._answer()

    def try_run(self, command, timeout=lab.PATIENCE_S):
        """(status, output) of one line of shell."""
        self.begin(command)
        return self.finish(timeout)

    def run(self, command, timeout=lab.PATIENCE_S):
        """Its output; it must succeed."""
        status, text = self.try_run(command, timeout)
        if status != 0:
            raise lab.LabError(f"the guest's '{command}' failed with status {status}:\n{text}")
        return text

    def ip_batch(self, lines):
        """Lines for ip(8), up to the first that fails."""
        for first in range(0, len(lines), 16):
            some = lines[first:first + 16]
            status, text = self.try_run(f"printf '%s\\n' {' '.join(map(repr, some))} | ip -batch -")
            if status != 0:
                number = re.search(r"Command failed -:(\d+)", text)
                raise lab.LabError(f"the guest's 'ip {some[int(number[1]) - 1] if number else some}' failed:\n{text}")

    def begin(self, command):
        """Let it run while others do something; finish() is next."""
        self.number += 1
        self.log.write(f"# {command}\n")
        self.socket.sendall(f"{self.number} {command}\n".encode())

    def finish(self, timeout=lab.PATIENCE_S):
        return self._answer(timeout)

    def _answer(self, timeout=lab.PATIENCE_S):
        deadline = time.monotonic() + timeout
        end = re.compile(rf"^= {self.number} (\d+)\r?\n", re.MULTILINE)
        while not (found := end.search(self.seen)):
            self.program.must_live("an answer of the guest")
            if time.monotonic() > deadline:
                raise lab.LabError(f"the guest did not answer within {timeout:g} s; it said:\n{self.seen[-2000:]}\n{self.last_words()}")
            if select.select([self.socket], [], [], 0.2)[0]:
                self.seen += self.socket.recv(65536).decode(errors="replace")
        text, self.seen = self.seen[:found.start()].strip("\r\n"), self.seen[found.end():]
        self.log.write(f"{text}\n= {found[1]}\n")
        self.log.flush()
        return int(found[1]), text

    def last_words(self):
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return "the guest's console:\n" + "\n".join(f"  | {line}" for line in console.splitlines()[-12:])
