# SPDX-License-Identifier: BSD-2-Clause
# file_receiver.py - puts together what mode sendfile sends, from a UDP socket of the kernel's.
#
# usage: file_receiver.py ADDRESS PORT SIZE
# Ends when SIZE bytes are there, or when its input ends; prints one line of JSON. Knows the 16 bytes
# before the file's (app/umfwd/engines/sendfile.h) and nothing else of umbuf.
import hashlib
import json
import mmap
import select
import socket
import struct
import sys

HEADER = struct.Struct("!QII")
SO_RCVBUFFORCE = 33


def main():
    address, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    data = mmap.mmap(-1, size)
    seen, result = set(), {"bytes": 0, "packets": 0, "again": 0, "wrong": 0, "last": 0}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        # All that the sender may have sent while we are not looked after.
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 30)
        s.bind((address, port))
        s.settimeout(0.1)
        print("receiving", flush=True)
        packet = bytearray(65536)
        view = memoryview(packet)
        while result["bytes"] < size:
            try:
                n = s.recv_into(packet)
            except TimeoutError:
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
                continue
            take(view[:n], data, size, seen, result)
    result["sha256"] = hashlib.sha256(data).hexdigest()
    result["first_missing"] = first_missing(seen)
    print(json.dumps(result), flush=True)


def take(packet, data, size, seen, result):
    if len(packet) < HEADER.size:
        result["wrong"] += 1
        return
    offset, length, flags = HEADER.unpack_from(packet)
    if length != len(packet) - HEADER.size or offset + length > size or bool(flags & 1) != (offset + length == size):
        result["wrong"] += 1
        return
    result["packets"] += 1
    if (offset, length) in seen:
        result["again"] += 1
        return
    seen.add((offset, length))
    data[offset:offset + length] = packet[HEADER.size:]
    result["bytes"] += length
    result["last"] += flags & 1


def first_missing(seen):
    """Where the first hole begins; the file's size if there is none."""
    at = 0
    for offset, length in sorted(seen):
        if offset != at:
            break
        at += length
    return at


if __name__ == "__main__":
    main()
