# SPDX-License-Identifier: BSD-2-Clause
# ike.py - strongSwan's charon in a namespace: with umfwd, or with its own kernel-libipsec, to carry the ESP.
#
# Debian's charon-systemd, because it needs no file of its process under a name that is always the same: many run side
# by side. They have configurations and sockets of their own. Ours is among the plug-ins by a mount that nobody else sees.
import os
import pathlib
import re
import shutil
import signal
import subprocess

import lab

PLUGINS = pathlib.Path("/usr/lib/ipsec/plugins")
CHARON = "/usr/sbin/charon-systemd"
SECRET = "known to everybody who reads this test"


def plugin():
    """Our plug-in as a file, or what is missing for it, as text."""
    for package, file in (("charon-systemd", pathlib.Path(CHARON)), ("strongswan-swanctl", pathlib.Path("/usr/sbin/swanctl")),
                          ("libcharon-extra-plugins", PLUGINS / "libstrongswan-kernel-libipsec.so"),
                          ("libstrongswan-standard-plugins", PLUGINS / "libstrongswan-openssl.so")):
        if not file.exists():
            return f"there is no {file}; scripts/deps test brings it ({package})"
    made = subprocess.run([lab.ROOT / "scripts" / "charon-plugin"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "BUILD": str(lab.BUILD)})
    if made.returncode == 3:
        return made.stderr.strip()
    if made.returncode != 0:
        raise lab.LabError(f"scripts/charon-plugin: {made.stderr}")
    return lab.ROOT / made.stdout.strip()


class Charon:
    """A daemon that negotiates for its namespace. kernel: kernel-umbuf or kernel-libipsec."""

    def __init__(self, the_lab, name, namespace, kernel, our_plugin, control=""):
        self.name, self.namespace, self.lab = name, namespace, the_lab
        self.socket = the_lab.path(f"{name}.vici")
        self.log = pathlib.Path(the_lab.logs) / f"charon-{name}-said.log"
        self.conf = pathlib.Path(the_lab.path(f"{name}.strongswan.conf"))
        self.conf.write_text(f"""
charon {{
    load = random nonce openssl kdf kernel-netlink socket-default vici {kernel}
    filelog {{ all {{
        path = {self.log}
        default = 1
        flush_line = yes
    }} }}
    journal {{ default = -1 }}
    plugins {{
        vici {{ socket = unix://{self.socket} }}
        {kernel} {{ load = 2000 }}
        kernel-umbuf {{ socket = {control} }}
    }}
}}
swanctl {{ load = random openssl }}
""")
        plugins = pathlib.Path(the_lab.path("charon-plugins"))
        if not plugins.exists():
            shutil.copytree(PLUGINS, plugins)
            shutil.copy(our_plugin, plugins)
        self.start_again(plugins)

    def start_again(self, plugins=None):
        pathlib.Path(self.socket).unlink(missing_ok=True)
        plugins = plugins or self.lab.path("charon-plugins")
        self.program = self.lab.program(f"charon-{self.name}", self.namespace.command(
            "sh", "-c", f"mount --bind {plugins} {PLUGINS} && exec env STRONGSWAN_CONF={self.conf} {CHARON}"))
        lab.until(lambda: pathlib.Path(self.socket).exists(), f"{self.name} to listen", watch=[self.program])

    def swanctl(self, *words, check=True):
        return self.namespace.run("env", f"STRONGSWAN_CONF={self.conf}", "swanctl", *words, "--uri", f"unix://{self.socket}", check=check)

    def load(self, me, peer, children, more=""):
        """One connection. children: name -> words."""
        text = "".join(f"{name} {{\n{words}\n}}\n" for name, words in children.items())
        conf = pathlib.Path(self.lab.path(f"{self.name}.swanctl.conf"))
        conf.write_text(f"""
connections {{ peer {{
    version = 2
    local_addrs = {me}
    remote_addrs = {peer}
    proposals = aes128gcm16-prfsha256-x25519
    {more}
    local {{
        auth = psk
        id = {me}
    }}
    remote {{
        auth = psk
        id = {peer}
    }}
    children {{
{text}
    }}
}} }}
secrets {{ ike-peer {{ secret = "{SECRET}" }} }}
""")
        self.swanctl("--load-all", "--file", str(conf))

    def initiate(self, child):
        return self.swanctl("--initiate", "--child", child)

    def rekey(self, child):
        """Begin to; it is done when the other end has answered."""
        self.swanctl("--rekey", "--child", child)

    def installed(self, child):
        """SPIs of the CHILD_SAs of this name that are in use, in and out."""
        text = self.swanctl("--list-sas", "--raw")
        return re.findall(rf"{child}-\d+ {{name={child} [^}}]*?state=INSTALLED [^}}]*?spi-in=(\w+) spi-out=(\w+)", text)

    def carried(self, child):
        """Packets that came and went by the CHILD_SAs of this name that are in use."""
        text = self.swanctl("--list-sas", "--raw")
        found = re.findall(rf"{child}-\d+ {{name={child} [^}}]*?state=INSTALLED [^}}]*?packets-in=(\d+) [^}}]*?packets-out=(\d+)", text)
        return tuple(sum(map(int, column)) for column in zip(*found))

    def terminate(self, *what):
        self.swanctl("--terminate", *(what or ("--ike", "peer")))

    def stop(self):
        self.program.stop(signal.SIGTERM)
