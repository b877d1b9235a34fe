# SPDX-License-Identifier: BSD-2-Clause
# lab.py - what system tests are made of: programs, namespaces, hugepages, counters, captures.
#
# A Lab owns everything that it started or made and takes it back in reverse order, however the
# test ends. Waiting is always for something that a program said or counted, never for a time; the
# time-outs only keep a broken program from hanging the run.
import atexit
import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
UMFWD = os.environ.get("UMFWD", str(BUILD / "app" / "umfwd"))
TESTPMD = os.environ.get("TESTPMD", "dpdk-testpmd")
PATIENCE_S = float(os.environ.get("PATIENCE", "60"))  # no wait in a healthy run comes near it

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class LabError(Exception):
    """One sentence that says what went wrong, then what the program said last."""


# ---- waiting

def until(check, what, timeout=PATIENCE_S, watch=()):
    """Call check() until it returns something true, and return that.

    Fails at once when a program in `watch` dies."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = check()
        if value:
            return value
        for program in watch:
            program.must_live(what)
        if time.monotonic() > deadline:
            last = "\n".join(p.last_words() for p in watch)
            raise LabError(f"waited {timeout:g} s in vain for {what}\n{last}".rstrip())
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


# ---- programs

def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: also when we are killed with -9
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it


def _must_exist(program):
    if not shutil.which(program):
        raise LabError(f"there is no program {program}; scripts/build makes umfwd, "
                       "scripts/deps run test brings the others")


class Program:
    """A child process whose output goes to a log file and whose input is a pipe."""

    def __init__(self, name, argv, log, cwd=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        _must_exist(self.argv[0])
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as out:
            out.write(f"$ {' '.join(self.argv)}\n".encode())
            out.flush()
            self._from = out.tell()
            # A session of its own: Ctrl-C on the terminal is for the lab, which stops its programs
            # in the right order.
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                start_new_session=True, preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def output(self, since=None):
        """What the program has printed, from offset `since` of its log."""
        with open(self.log, "rb") as log:
            log.seek(self._from if since is None else since)
            return log.read().decode(errors="replace")

    def mark(self):
        """Where the output ends now, for output() and wait_for()."""
        return self.log.stat().st_size

    def last_words(self, n=12):
        lines = self.output().strip().splitlines()[-n:]
        return f"the last lines of {self.name} ({self.log}):\n" + "\n".join("  | " + x for x in lines)

    def alive(self):
        return self.process.poll() is None

    def how_it_ended(self):
        status = self.process.poll()
        if status is None:
            return "still runs"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"exited with status {status}"

    def must_live(self, doing):
        if not self.alive():
            raise LabError(f"{self.name} {self.how_it_ended()} while waiting for {doing}; "
                           f"{self.last_words()}")

    def wait_for(self, pattern, since=None, timeout=PATIENCE_S):
        """The first match of a regular expression in what the program prints."""
        regex = re.compile(pattern, re.MULTILINE)
        # Read before looking whether it lives: what it said last still counts.
        def look():
            alive = self.alive()
            found = regex.search(self.output(since))
            if not found and not alive:
                self.must_live(f"'{pattern}'")
            return found
        return until(look, f"{self.name} to print '{pattern}'", timeout, [])

    def type(self, line):
        """Type one line at the program's prompt."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def ask(self, line, pattern, timeout=PATIENCE_S):
        """Type a line and return the match of what must be answered."""
        here = self.mark()
        self.type(line)
        return self.wait_for(pattern, here, timeout)

    def send(self, number):
        if self.alive():
            self.process.send_signal(number)

    def wait(self, timeout=PATIENCE_S):
        """The exit status; negative: the signal that ended it."""
        with contextlib.suppress(BrokenPipeError, ValueError, OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {timeout:g} s; {self.last_words()}") from None

    def stop(self, number=signal.SIGINT, timeout=PATIENCE_S):
        """Ask the program to end in order; returns its exit status."""
        self.send(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} did not end within {timeout:g} s after "
                           f"{signal.Signals(number).name}; {self.last_words()}") from None

    def end(self):
        """Whatever it takes. Only ever this child."""
        if self.alive():
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.close()


def _own_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C is a signal to the program
    _die_with_parent()


class Terminal:
    """A program on a pseudo-terminal, as a person would use it."""

    def __init__(self, name, argv, log):
        self.name, self.seen = name, ""
        _must_exist(argv[0])
        self.log = pathlib.Path(log)
        self.master, self.slave = pty.openpty()
        self.settings = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [str(a) for a in argv], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            start_new_session=True, preexec_fn=_own_terminal)

    def _read(self, timeout):
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        chunk = os.read(self.master, 65536).decode(errors="replace")
        self.seen += chunk
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(chunk)
        return True

    def expect(self, pattern, timeout=PATIENCE_S):
        """Read until the pattern appears; what came before it is then forgotten."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            if not self._read(0.1) and (time.monotonic() > deadline or self.process.poll() is not None):
                raise LabError(f"{self.name} never showed '{pattern}'; it showed:\n{self.seen[-2000:]}")

    def keys(self, text):
        os.write(self.master, text.encode())

    def wait(self, timeout=PATIENCE_S):
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            self._read(0.05)  # a full terminal would block it
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not end; it showed:\n{self.seen[-2000:]}")
        while self._read(0):
            pass
        return self.process.returncode

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def last_words(self):
        return f"{self.name} showed last:\n{self.seen[-1000:]}"


def run(argv, timeout=PATIENCE_S, check=True, cwd=None):
    """Run a command to its end; its output as text."""
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=cwd,
                          stderr=subprocess.STDOUT, timeout=timeout, preexec_fn=_die_with_parent)
    text = done.stdout.decode(errors="replace")
    if check and done.returncode != 0:
        raise LabError(f"'{' '.join(argv)}' failed with status {done.returncode}:\n{text}")
    return text


# ---- namespaces

def forget_the_dead():
    """Take back what runs left that were killed with -9: namespaces, folders and DPDK's run-time files.

    Only what bears our own names with the pid of a process that is gone."""
    def dead(name, pattern):
        found = re.fullmatch(pattern, name)
        return found and not os.path.isdir(f"/proc/{found[1]}")

    if os.geteuid() == 0:
        for line in run(["ip", "netns", "list"], check=False).splitlines():
            name = line.partition(" ")[0]
            if dead(name, r"um(\d+)[a-z]+"):
                run(["ip", "netns", "delete", name], check=False)
    for base, pattern in [(pathlib.Path(tempfile.gettempdir()), r"umbuf-(\d+)-.*")] + \
                         [(pathlib.Path(base), r"umlab(\d+)n\d+") for base in run_time_folders()]:
        for entry in base.iterdir() if base.is_dir() else ():
            if dead(entry.name, pattern):
                shutil.rmtree(entry, ignore_errors=True)


def _enter(namespace):
    if _libc.setns(namespace, 0) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """A network namespace. Its name holds our pid, so that two runs never meet."""

    def __init__(self, label):
        self.name = f"um{os.getpid()}{label}"
        run(["ip", "netns", "add", self.name])
        try:
            self.ip("link", "set", "lo", "up")
        except LabError:
            self.delete()
            raise

    def command(self, *argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv, **options):
        return run(self.command(*argv), **options)

    def ip(self, *argv):
        return run(["ip", "-n", self.name, *argv])

    def sysctl(self, path, value):
        self.run("sh", "-c", f"echo {value} > /proc/sys/net/{path}")

    def adopt(self, interface, address, mtu=1500):
        """Take an interface in, with an address."""
        self.take(interface)
        self.ip("link", "set", interface, "mtu", str(mtu))
        self.ip("addr", "add", address, "dev", interface)
        self.ip("link", "set", interface, "up")

    def take(self, interface):
        """Take an interface in, without any offload: what the kernel sends is what is on the wire."""
        run(["ip", "link", "set", interface, "netns", self.name])
        self.run("ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso", "off",
                 "gro", "off", check=False)

    def packet_socket(self, interface):
        """A socket for the frames of an interface, both ways. It stays there; the thread comes back."""
        here, there = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", f"/run/netns/{self.name}"))
        try:
            _enter(there)
            try:
                frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
                frames.bind((interface, 0))
            finally:
                _enter(here)
        finally:
            os.close(here)
            os.close(there)
        return frames

    def delete(self):
        run(["ip", "netns", "delete", self.name], check=False)


def quiet(interface, mtu=1500):
    """For umfwd: the kernel sends nothing there, and leaves what it sees as it is."""
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")
    run(["ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"],
        check=False)
    run(["ip", "link", "set", interface, "mtu", str(mtu)])
    run(["ip", "link", "set", interface, "up", "promisc", "on"])


def veth(outer, inner, mtu=1500):
    """A pair of interfaces; the outer one is for umfwd, so the kernel keeps quiet on it."""
    run(["ip", "link", "add", outer, "type", "veth", "peer", "name", inner])
    quiet(outer, mtu)


# ---- memory

HUGE_DIR = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
CLAIMS = pathlib.Path("/run/lock/umbuf-hugepages")
ADDED = pathlib.Path("/run/lock/umbuf-hugepages-added")


class Hugepages:
    """2 MB pages for as long as the object lives; `pages` is 0 when there are none to be had.

    Only root may reserve. What is already there and claimed by nobody is used as it is; what had to
    be added is given back, by the next run if this one is killed with -9. Runs side by side know of
    each other by a file of claims; another has what each of them added."""

    def __init__(self, pages):
        self.pages = 0
        self._added = 0
        if not HUGE_DIR.is_dir():
            return
        if os.geteuid() != 0:
            # Without root DPDK cannot use pages that root reserved, unless somebody mounted a
            # hugetlbfs for the user; --no-huge always works.
            return
        with self._books() as (claims, added):
            free = int((HUGE_DIR / "free_hugepages").read_text())
            spoken_for = sum(claims.values())
            shortfall = pages if spoken_for else max(0, pages - free)
            before = self._total()
            if shortfall:
                self._set_total(before + shortfall)
            self._added = self._total() - before
            if self._added < shortfall:
                self._give_back()
                return
            self.pages = pages
            claims[os.getpid()] = claims.get(os.getpid(), 0) + pages
            added[os.getpid()] = added.get(os.getpid(), 0) + self._added
        atexit.register(self.release)

    def release(self):
        if not self.pages:
            return
        with self._books() as (claims, added):
            for book, pages in ((claims, self.pages), (added, self._added)):
                left = book.pop(os.getpid(), 0) - pages
                if left > 0:
                    book[os.getpid()] = left
            self._give_back()
        self.pages = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def _give_back(self):
        if self._added:
            self._set_total(max(0, self._total() - self._added))
        self._added = 0

    @staticmethod
    def _total():
        return int((HUGE_DIR / "nr_hugepages").read_text())

    @staticmethod
    def _set_total(pages):
        with contextlib.suppress(OSError):
            (HUGE_DIR / "nr_hugepages").write_text(str(pages))

    @classmethod
    @contextlib.contextmanager
    def _books(cls):
        """Pages by process: claimed, and added. The lock of the first file is for both."""
        CLAIMS.parent.mkdir(parents=True, exist_ok=True)
        with open(CLAIMS, "a+", encoding="ascii") as first, open(ADDED, "a+", encoding="ascii") as second:
            fcntl.flock(first, fcntl.LOCK_EX)
            books = []
            for file in first, second:
                file.seek(0)
                books.append({int(pid): int(pages) for pid, pages in map(str.split, file)})
            claims, added = books
            for pid in [pid for pid in claims | added if not os.path.isdir(f"/proc/{pid}")]:
                claims.pop(pid, None)
                if pages := added.pop(pid, 0):
                    cls._set_total(max(0, cls._total() - pages))
            yield claims, added
            for file, book in zip((first, second), books):
                file.seek(0)
                file.truncate()
                file.write("".join(f"{pid} {pages}\n" for pid, pages in book.items()))


def huge_is_possible():
    return os.geteuid() == 0 and HUGE_DIR.is_dir() and \
        int((HUGE_DIR / "nr_hugepages").read_text()) > 0


# ---- the lab itself

class Lab:
    """Owner of everything that a test starts. Use with `with`, or call close()."""

    def __init__(self, logs=None, huge=None):
        self._stack = contextlib.ExitStack()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"umbuf-{os.getpid()}-"))
        self._stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.logs = pathlib.Path(logs) if logs else self.dir
        self.logs.mkdir(parents=True, exist_ok=True)
        self.huge = huge_is_possible() if huge is None else huge
        self.cpus = sorted(os.sched_getaffinity(0))
        self.programs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._stack.close()

    def path(self, name):
        return str(self.dir / name)

    def on_close(self, function, *args):
        self._stack.callback(function, *args)

    def program(self, name, argv, cwd=None):
        program = Program(name, argv, self.logs / f"{name}.log", cwd)
        self.programs.append(program)
        self._stack.callback(program.end)
        return program

    def terminal(self, name, argv):
        terminal = Terminal(name, argv, self.logs / f"{name}.log")
        self.programs.append(terminal)
        self._stack.callback(terminal.end)
        return terminal

    def namespace(self, label):
        namespace = Namespace(label)
        self._stack.callback(namespace.delete)
        return namespace

    def veth(self, outer, inner, mtu=1500):
        veth(outer, inner, mtu)
        self._stack.callback(run, ["ip", "link", "delete", outer], check=False)

    def eal(self, vdevs, cpu=0, huge=None, memory_mb=192, workers=1):
        """EAL arguments: main lcore and one worker, or more, on one CPU, and a name of our own."""
        prefix = f"umlab{os.getpid()}n{next(_numbers)}"
        cpu = self.cpus[cpu % len(self.cpus)]
        args = ["--lcores", ",".join(f"{i}@{cpu}" for i in range(workers + 1)), "--no-pci", f"--file-prefix={prefix}",
                "-m", str(memory_mb)]
        if self.huge if huge is None else huge:
            args += ["--in-memory", "--single-file-segments"]
        else:
            args += ["--no-huge"]
        self.on_close(forget_prefix, prefix)
        for vdev in vdevs:
            args += ["--vdev", vdev]
        return args

    def umfwd(self, name, vdevs, app, cpu=0, huge=None, memory_mb=192, workers=1):
        return self.program(name, [UMFWD, *self.eal(vdevs, cpu, huge, memory_mb, workers), "--", *app])

    def testpmd(self, name, vdevs, app, cpu=1, huge=None, memory_mb=192):
        # stdbuf: testpmd prints into a buffer when its output is not a terminal.
        return self.program(name, ["stdbuf", "-oL", TESTPMD, *self.eal(vdevs, cpu, huge, memory_mb), "--",
                                   "--total-num-mbufs=16384", "--no-lsc-interrupt",
                                   "--disable-link-check", *app])


def run_time_folders():
    return "/var/run/dpdk", os.environ.get("XDG_RUNTIME_DIR", "/tmp") + "/dpdk"


def forget_prefix(prefix):
    """DPDK leaves its run-time files where they are; nobody will ever use these again."""
    for base in run_time_folders():
        shutil.rmtree(f"{base}/{prefix}", ignore_errors=True)
    for numbers in (f"/dev/shm/umbuf.{prefix}", f"/dev/shm/umbuf.{prefix}.trace"):
        pathlib.Path(numbers).unlink(missing_ok=True)


def schemes():
    """The reference-count schemes that umfwd has, as it names them to somebody who asks for another."""
    said = run([UMFWD, "--", "--refcnt=?"], check=False)
    named = re.search(r"one of ([\w+-]+(?:, [\w+-]+)*)", said)
    if not named:
        raise LabError(f"umfwd names no reference-count schemes:\n{said}")
    return named[1].split(", ")


# ---- counters

def load_json(path):
    """A report that a program wrote. Half a report or none is an error with the path in it."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise LabError(f"no report in {path}: {error}") from None


_COUNTER = re.compile(r"([A-Z][A-Za-z0-9-]+):\s*(\d+)")
_PORT_HEAD = re.compile(r"-+ *Forward statistics for port (\d+) *-+")
_ALL_HEAD = re.compile(r"\++ *Accumulated forward statistics for all ports *\++")
_RULE = re.compile(r"^\s*[-+]{20,}\s*$")


def forward_statistics(text):
    """The last block of testpmd's forward statistics: {0: {"RX-packets": n, ...}, ..., "all": {...}}."""
    result, current = {}, None
    for line in text.splitlines():
        head = _PORT_HEAD.search(line)
        if head:
            if "all" in result:
                result = {}  # an earlier stop's block
            current = result.setdefault(int(head[1]), {})
        elif _ALL_HEAD.search(line):
            current = result.setdefault("all", {})
        elif _RULE.match(line):
            current = None
        elif current is not None:
            current.update({key: int(n) for key, n in _COUNTER.findall(line)})
    if "all" not in result:
        raise LabError("no 'Accumulated forward statistics for all ports' in:\n" + text[-2000:])
    return result


def stop_forwarding(program):
    """Type 'stop' and return the forward statistics that it prints."""
    block = r"Accumulated forward statistics for all ports(?s:.*?)\n\s*\+{20,}"
    here = program.mark()
    program.ask("stop", block)
    return forward_statistics(program.output(here))


def running_statistics(program):
    """The same while it forwards, by 'show fwd stats all'."""
    here = program.mark()
    program.ask("show fwd stats all", r"Accumulated forward statistics for all ports(?s:.*?)\n\s*\+{20,}")
    return forward_statistics(program.output(here))


def port_stats(program, port=0):
    """A port's counters as 'show port stats' prints them, in testpmd and in umfwd."""
    text = program.ask(f"show port stats {port}",
                       rf"NIC statistics for port {port} +#+\s*\n(?s:.*?)\n\s*#{{20,}}")[0]
    return {key: int(n) for key, n in _COUNTER.findall(text)}


# ---- captures

def read_pcap(path):
    """The frames of a classic pcap file, in order. A frame that was cut short is an error."""
    data = pathlib.Path(path).read_bytes()
    if len(data) < 24:
        raise LabError(f"{path} is no capture: {len(data)} bytes")
    magic = struct.unpack("<I", data[:4])[0]
    order = "<" if magic in (0xA1B2C3D4, 0xA1B23C4D) else ">"
    frames, at = [], 24
    while at < len(data):
        _, _, kept, length = struct.unpack(order + "IIII", data[at:at + 16])
        if kept != length:
            raise LabError(f"{path}: frame {len(frames)} has {kept} of {length} bytes")
        frames.append(data[at + 16:at + 16 + kept])
        at += 16 + kept
    return frames


def write_pcap(path, frames):
    """A capture of these frames; its path."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, frame in enumerate(frames):
            out.write(struct.pack("<IIII", i // 1000, i % 1000 * 1000, len(frame), len(frame)))
            out.write(frame)
    return path
