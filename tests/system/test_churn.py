# SPDX-License-Identifier: BSD-2-Clause
# test_churn.py - ports come, go, stop and start in any order while packets flow.
#
# Goal: no order of commands touches a stopped port, loses a buffer or loses count. Method: a long
# random walk through the commands, from a printed seed, typed as fast as they are taken; which of
# them are refused does not matter, only how it ends.
import os

import case
import lab

COMMANDS = 1500


class Churn(case.SystemTest):
    def walk(self, ports, attachable, n):
        """n random lines; the first words are the likelier ones."""
        def port():
            return self.random.randrange(ports + 2)  # also ports that are not there

        lines = {
            "start": lambda: "start",
            "start tx_first": lambda: f"start tx_first {self.random.randint(1, 4)}",
            "stop": lambda: "stop",
            "port stop": lambda: f"port stop {port()}",
            "port start": lambda: f"port start {port()}",
            "port start all": lambda: "port start all",
            "port close": lambda: f"port close {port()}",
            "port detach": lambda: f"port detach {port()}",
            "port attach": lambda: f"port attach {self.random.choice(attachable)}",
            "set fwd": lambda: f"set fwd {self.random.choice(('io', 'mac', 'macswap', 'tee'))}",
            "set burst": lambda: f"set burst {self.random.choice((1, 2, 32, 512))}",
            "show": lambda: self.random.choice(("show port stats all", "show fwd stats all")),
            "clear": lambda: self.random.choice(("clear fwd stats all", "clear port stats all")),
        }
        weights = [8, 4, 3, 8, 8, 6, 1, 3, 6, 2, 2, 2, 1]
        kinds = self.random.choices(list(lines), weights, k=n)
        return [lines[kind]() for kind in kinds]

    def churn(self, vdevs, attachable, n):
        forwarder = self.prompt(self.umfwd("umfwd", vdevs, ["-i", "--total-num-mbufs=8192"]))
        script = self.walk(len(vdevs), attachable, n)
        (self.logs / "script").write_text("\n".join(script) + "\n")
        forwarder.type("start tx_first 4")
        for line in script:
            forwarder.type(line)
        return self.quit(forwarder)

    def test_software_ports_in_any_order(self):
        self.churn(["net_ring0", "net_null0", "net_ring1"],
                   ["net_ring2", "net_null1", "net_ring3", "net_null0", "net_ring0"], COMMANDS)

    def test_the_two_ends_of_a_vhost_link_in_any_order(self):
        socket = self.lab.path("vhost.sock")
        self.churn([f"net_vhost0,iface={socket}"],
                   [f"net_virtio_user0,path={socket}", f"net_vhost0,iface={socket}"], 150)

    def test_a_vhost_port_in_any_order_under_load_from_testpmd(self):
        socket = self.lab.path("vhost.sock")
        forwarder = self.prompt(self.umfwd("umfwd", [f"net_vhost0,iface={socket}"], [
            "-i", "--auto-start", "--forward-mode=macswap", "--total-num-mbufs=8192"]))
        lab.until(lambda: os.path.exists(socket), "the vhost socket", watch=[forwarder])
        peer = self.lab.testpmd("testpmd", [f"net_virtio_user0,path={socket}"],
                                ["-i", "--auto-start", "--forward-mode=flowgen"])
        lab.until(lambda: lab.port_stats(forwarder)["RX-packets"] > 10000, "a load",
                  watch=[forwarder, peer])
        for _ in range(100):
            forwarder.type(self.random.choice(
                ("port stop 0", "port start 0", "stop", "start", "show port stats 0")))
        self.quit(forwarder)
