# SPDX-License-Identifier: BSD-2-Clause
# test_memif.py - net_memif: a shared-memory link between two processes.
import exchange
import roundtrip


class Memif(exchange.Exchange):
    def link(self):
        self.socket = self.lab.path("memif.sock")
        common = f"socket={self.socket},socket-abstract=no"
        return f"net_memif0,role=server,{common}", f"net_memif0,role=client,{common}"

    def test_counters_agree_with_testpmd_umfwd_is_the_server(self):
        server, client = self.link()
        self.start_pair(server, client, True, self.socket)
        self.exchange()

    def test_counters_agree_with_testpmd_umfwd_is_the_client(self):
        server, client = self.link()
        self.start_pair(client, server, False, self.socket)
        self.exchange()

    def test_numbered_packets_come_back_whole_between_two_umfwd(self):
        server, client = self.link()
        result = roundtrip.run(self.lab, server, client, roundtrip.socket_at(self.socket), packets=50000)
        self.assertEqual(result.complaints, [])
