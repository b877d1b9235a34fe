# SPDX-License-Identifier: BSD-2-Clause
# segment.py - a second reader of the statistics' segment, written from lib/stat/layout.h alone: what it
# sees must be what the C++ reader sees.
import collections
import mmap
import struct

HEADER = struct.Struct("<QIIQQQIIQIIQII")  # up to `unlisted`
ENTRY = struct.Struct("<IIQQQ")
STATES = {1: "starting", 2: "running", 3: "stopped", 4: "ended"}
Header = collections.namedtuple("Header", "magic abi header_bytes bytes generation started pid entry_bytes "
                                          "directory most_entries entries beat state unlisted")


class Segment:
    """A file of statistics, mapped once and read as often as you like; the writer notices nothing."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._names = {}

    def header(self):
        return Header(*HEADER.unpack_from(self._bytes, 0))

    def state(self):
        return STATES[self.header().state]

    def _text(self, at, n):
        return self._bytes[at:at + n].split(b"\0")[0].decode()

    def _words(self, at):
        return self._text(at + 32, 48), self._text(at + 96, 96)

    def sample(self):
        """{(name, labels): value or tuple of cells}, but for what is being changed."""
        numbers = {}
        h = self.header()
        for i in range(h.entries):
            at = h.directory + i * h.entry_bytes
            turn, kind, cells_at, cells, _ = ENTRY.unpack_from(self._bytes, at)
            if kind == 0 or turn % 2 == 1 or cells_at + 8 * cells > h.bytes:
                continue
            words = self._names.get((i, turn)) or self._words(at)
            values = struct.unpack_from(f"<{cells}Q", self._bytes, cells_at)
            if struct.unpack_from("<I", self._bytes, at)[0] == turn:
                self._names[i, turn] = words
                numbers[words] = values[0] if cells == 1 else values
        return numbers


def total(numbers, name, label=""):
    """The sum over all of this name that have the label."""
    return sum(value for (each, labels), value in numbers.items()
               if each == name and (not label or label in labels.split(",")))
