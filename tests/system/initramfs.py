# SPDX-License-Identifier: BSD-2-Clause
# initramfs.py - the kernel of a small Linux guest, and all the files that it will ever see, in one archive.
#
# The kernel is Debian's for clouds, as it is installed, or as scripts/deps has unpacked it. The files are busybox,
# a few programs of this machine with their libraries, kernel modules, and an init that does what it reads from the
# second serial port (guest.py).
import dataclasses
import hashlib
import lzma
import pathlib
import re
import shutil
import stat
import subprocess

UNPACKED = pathlib.Path("/var/cache/umbuf/linux-image-cloud-amd64")

INIT = """#!/bin/busybox sh
# Each line that comes is a number and a command; its output goes back, then "= NUMBER STATUS".
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
: >/proc/sys/kernel/modprobe  # all that there is is loaded here: nobody need ask for more
while read -r module; do insmod "/lib/modules/$module" || echo "no module $module"; done </lib/modules/order
stty raw -echo </dev/ttyS1
exec 3<>/dev/ttyS1
ip() { /bin/ip "$@"; }  # busybox would take its own
serve() {
    echo "= 0 0" >&3
    while read -r number command <&3; do
        eval "$command" </dev/null >/tmp/said 2>&1
        status=$?
        cat /tmp/said >&3
        echo "
= $number $status" >&3
    done
}
# Not by the first process: it is told when a stranger's child ends, and forgets what it has read of a line.
serve &
wait
"""


@dataclasses.dataclass
class Kernel:
    image: pathlib.Path
    modules: pathlib.Path


def kernel():
    """The newest of Debian's kernels for clouds that is here, or None."""
    def version(image):
        return [int(n) for n in re.findall(r"\d+", image.name)]
    for root in pathlib.Path("/"), UNPACKED:
        for image in sorted((root / "boot").glob("vmlinuz-*-cloud-amd64"), key=version, reverse=True):
            for modules in root / "usr/lib/modules", root / "lib/modules":
                modules = modules / image.name.removeprefix("vmlinuz-") / "kernel"
                if modules.is_dir():
                    return Kernel(image, modules)
    return None


def module_text(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def modules_in_order(folder, names):
    """[(name, text)]: these modules, each behind those that it needs. What is built in needs none."""
    files = {p.name.partition(".")[0].replace("-", "_"): p for p in sorted(folder.rglob("*.ko*"))}
    order = {}

    def add(name):
        if name in order or name not in files:
            return
        text = module_text(files[name])
        for needed in re.search(rb"\0depends=([^\0]*)\0", text)[1].decode().split(","):
            add(needed.replace("-", "_"))
        order[name] = text
    for name in names:
        add(name)
    return list(order.items())


def libraries(program):
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    return re.findall(r"(?:=> |^\t)(/\S+)", said, re.MULTILINE)


def archive(files):
    """A cpio archive ("newc") of {path: (mode, content)}, with the folders that they are in."""
    folders = {str(parent) for path in files for parent in pathlib.PurePosixPath(path).parents}
    entries = {folder: (stat.S_IFDIR | 0o755, b"") for folder in folders - {"."}} | files
    out = bytearray()
    for number, (path, (mode, content)) in enumerate([*sorted(entries.items()), ("TRAILER!!!", (0, b""))], 1):
        device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)  # the console
        head = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path) + 1, 0)
        out += b"070701" + "".join(f"{field:08x}" for field in head).encode() + path.encode() + b"\0"
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)


def make(folder, programs, modules):
    """The archive, with `programs` {name in /bin: file of this machine}, and `modules`; kept in `folder` for the next run."""
    programs = {"busybox": shutil.which("busybox")} | programs
    files = {"init": (stat.S_IFREG | 0o755, INIT.encode()), "dev/console": (stat.S_IFCHR | 0o600, b"")}
    files |= {f"{empty}/.keep": (stat.S_IFREG | 0o644, b"") for empty in ("proc", "sys", "tmp", "srv")}
    for name, program in programs.items():
        files[f"bin/{name}"] = (stat.S_IFREG | 0o755, pathlib.Path(program).read_bytes())
        for library in libraries(program):
            files[library.lstrip("/")] = (stat.S_IFREG | 0o755, pathlib.Path(library).read_bytes())
    loaded = modules_in_order(kernel().modules, modules)
    files |= {f"lib/modules/{name}.ko": (stat.S_IFREG | 0o644, text) for name, text in loaded}
    files["lib/modules/order"] = (stat.S_IFREG | 0o644, "".join(f"{name}.ko\n" for name, _ in loaded).encode())
    image = archive(files)
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"guest-{hashlib.sha256(image).hexdigest()[:16]}.cpio"
    if not made.exists():
        made.write_bytes(image)
    return made
