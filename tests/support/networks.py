"""A small internet of network namespaces: a machine, and beyond its gateway everything else that a job could look for.

The world answers on port 8000 with "world" and the machine with "machine", each on all of its addresses.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.needs import needs_bwrap, needs_program, needs_root

INTERNET, LATER = "203.0.113.10", "203.0.113.77"
"""In the world. The second becomes the machine's own in one test."""
PRIVATE = ("10.9.0.5", "10.9.0.53", "172.16.4.4", "192.168.7.7", "100.64.0.9", "169.254.169.254", "198.18.0.3")
"""In the world, too: neighbours, a name server, carrier-grade NAT, metadata."""
OWN = ("198.51.100.2", "203.0.113.200", "10.77.0.1")
"""The machine's: towards its gateway, a public one, and a private one."""
PORT = 8000

_SERVER = """
import os, socket, sys, threading
def names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("10.9.0.53", 53))
    while True:
        asked, whom = server.recvfrom(512)
        end = asked.index(0, 12) + 5
        found = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4" + socket.inet_aton(sys.argv[2])
        found = found if asked[end - 4 : end - 2] == b"\\0\\1" else b""
        head = asked[:2] + b"\\x81\\x80\\0\\1\\0" + bytes([bool(found)]) + bytes(4)
        server.sendto(head + asked[12:end] + found, whom)
if sys.argv[1] == "world":
    threading.Thread(target=names, daemon=True).start()
server = socket.create_server(("0.0.0.0", 8000))
print("up", flush=True)
while True:
    taken, _ = server.accept()
    taken.sendall(sys.argv[1].encode())
    taken.close()
"""


@dataclass
class Networks:
    """The names of the two namespaces, and a Python that starts inside the machine."""

    machine: str
    world: str
    directory: Path

    def ip(self, *words: str) -> None:
        _ip("-n", self.machine, *words)

    def python(self, uid: int | None = None) -> str:
        """A program that runs Python in the machine, with its name server and a TUN device, as this user."""
        become = "" if uid is None else f"setpriv --reuid {uid} --regid {uid} --clear-groups "
        path = self.directory / f"python-{uid}"
        path.write_text(
            "#!/bin/sh\n"
            "exec unshare --mount --propagation slave sh -c '"
            f"mount --bind {self.directory}/resolv.conf /etc/resolv.conf && "
            "mount -t tmpfs -o mode=755 none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && "
            f'exec nsenter --net=/run/netns/{self.machine} {become}{sys.executable} "$@"\' sh "$@"\n'
        )
        path.chmod(0o755)
        return str(path)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Networks]:
    """A machine and a world, made anew for a module's tests."""
    needs_root()
    needs_bwrap()
    for program, package in (("ip", "iproute2"), ("pasta", "passt"), ("nsenter", "util-linux"), ("setpriv", None)):
        needs_program(program, package)
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs the device /dev/net/tun (modprobe tun)")
    directory = tmp_path_factory.mktemp("networks")
    (directory / "resolv.conf").write_text("nameserver 10.9.0.53\n")
    made = Networks(f"dais-m{os.getpid()}", f"dais-w{os.getpid()}", directory)
    with contextlib.ExitStack() as held:
        for name in (made.machine, made.world):
            try:
                _ip("netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"needs network namespaces: {error.stderr.strip()}")
            held.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", "out", "netns", made.machine, "type", "veth", "peer", "name", "in", "netns", made.world)
        _ip("-n", made.world, "addr", "add", "198.51.100.1/24", "dev", "in")
        _ip("-n", made.world, "link", "set", "in", "up")
        for address in (INTERNET, LATER, *PRIVATE):
            _ip("-n", made.world, "addr", "add", f"{address}/32", "dev", "lo")
        made.ip("addr", "add", f"{OWN[0]}/24", "dev", "out")
        made.ip("link", "set", "out", "up")
        for address in OWN[1:]:
            made.ip("addr", "add", f"{address}/32", "dev", "lo")
        made.ip("route", "add", "default", "via", "198.51.100.1")
        for name, kind in ((made.machine, "machine"), (made.world, "world")):
            held.enter_context(_serving(name, kind))
        yield made


@contextlib.contextmanager
def _serving(namespace: str, kind: str) -> Iterator[None]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", _SERVER, kind, INTERNET]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        yield
        server.kill()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30)
