# SPDX-License-Identifier: BSD-2-Clause
# test_greeting.py - a peer that falls silent while a virtio-user port greets it, and dies later.
#
# Goal: umfwd lives and its report is sound, whatever it is told between the silence and the death.
# Method: the port keeps the socket; its first peer goes, and the second one reads a message and never
# answers. Meanwhile DPDK's handler waits on EAL's interrupt thread: dpdk-testpmd 22.11 that is told
# "port stop 0" and "port close 0" then dies of "PANIC in eal_intr_thread_main()" once the peer does.
import os
import time

import backend
import case
import lab

WAITS = {"features": backend.GET_FEATURES, "ring positions": backend.GET_VRING_BASE}


class Greeting(case.SystemTest):
    def silent_peer(self, request):
        """umfwd that forwards, and the peer that its port greets in vain."""
        path = self.lab.path(f"vhost{request}.sock")  # one that was not closed leaves it behind
        self.device = f"net_virtio_user0,path={path},server=1"
        self.forwarder = self.umfwd("umfwd", [self.device], ["-i", "--total-num-mbufs=4096"])
        lab.until(lambda: os.path.exists(path), "the socket", watch=[self.forwarder])
        first = backend.Backend(path)
        self.prompt(self.forwarder)
        self.forwarder.type("start")
        self.forwarding(self.forwarder)
        here = self.forwarder.mark()
        first.die()
        self.forwarder.wait_for("is down", here)
        peer = backend.Backend(path, request)
        lab.until(peer.silent.is_set, "the greeting", watch=[self.forwarder])
        return peer

    def each_silence(self, and_then):
        for name, request in WAITS.items():
            with self.subTest(silent_at=name):
                peer = self.silent_peer(request)
                and_then(peer)
                self.quit(self.forwarder)

    def told(self, *commands):
        def and_then(peer):
            for command in commands:
                self.forwarder.type(command)
            time.sleep(0.2)  # only makes it likely that they are in the midst of it; any order must hold
            peer.die()
        return and_then

    def test_a_port_is_stopped_and_closed(self):
        self.each_silence(self.told("stop", "port stop 0", "port close 0"))

    def test_a_port_is_detached(self):
        self.each_silence(self.told("stop", "port detach 0"))

    def test_a_port_is_stopped_and_started(self):
        self.each_silence(self.told("port stop 0", "port start 0", "port stop 0", "port start 0"))

    def test_the_forwarder_ends(self):
        self.each_silence(self.told("quit"))

    def test_a_port_that_cannot_be_stopped_says_so_and_can_be_stopped_later(self):
        def and_then(peer):
            self.forwarder.ask("port stop 0", "its peer has connected and says nothing.* try again")
            self.forwarder.ask("port close 0", "its peer has connected and says nothing.* try again")
            peer.die()
            here = self.forwarder.mark()
            self.forwarder.ask("port close 0", "^Done$")
            self.assertNotIn("cannot", self.forwarder.output(here))
        self.each_silence(and_then)

    def test_an_end_that_the_peer_holds_up_is_a_failure_and_no_abort(self):
        for name, request in WAITS.items():
            with self.subTest(silent_at=name):
                peer = self.silent_peer(request)
                self.forwarder.type("quit")
                self.assertEqual(self.forwarder.wait(), 1, self.forwarder.last_words())
                self.assertRegex(self.forwarder.output(), "umfwd: .*its peer has connected and says nothing")
                peer.die()
