# SPDX-License-Identifier: BSD-2-Clause
# backend.py - a vhost-user back end without a data path, which falls silent at a chosen message.
#
# It connects to a virtio-user port that keeps the socket, and answers what must be answered
# (vhost-user protocol: a header of request, flags, size; version 1, bit 2: a reply). No feature that
# it offers makes the port send or expect more than that.
import socket
import struct
import threading

GET_FEATURES, SET_OWNER, GET_VRING_BASE = 1, 3, 11
VERSION, REPLY = 1, 1 << 2
FEATURES = 1 << 32 | 1 << 15  # VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF
HEADER = struct.Struct("<III")


class Backend:
    """Connected, and served by a thread of its own until it is silent or the port goes."""

    def __init__(self, path, silent_at=None):
        """silent_at: the request, by number, that it reads and never answers."""
        self.silent_at = silent_at
        self.silent = threading.Event()
        self.seen = []  # requests
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def die(self):
        """As a process does that is killed."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.socket.close()

    def _read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))  # file descriptors that come along are dropped
            if not more:
                raise ConnectionError
            data += more
        return data

    def _serve(self):
        try:
            while True:
                request, _, size = HEADER.unpack(self._read(HEADER.size))
                payload = self._read(size)
                self.seen.append(request)
                if request == self.silent_at:
                    self.silent.set()
                    self._read(1)  # the end
                if request == GET_FEATURES:
                    self._answer(request, struct.pack("<Q", FEATURES))
                elif request == GET_VRING_BASE:
                    self._answer(request, payload)
        except OSError:
            pass

    def _answer(self, request, payload):
        self.socket.sendall(HEADER.pack(request, VERSION | REPLY, len(payload)) + payload)
