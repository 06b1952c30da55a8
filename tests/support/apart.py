"""A node in a network namespace of its own, joined to this one by a cable, and who may open connections over it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from dais.node import supervisor_command
from tests.support.needs import needs_program, needs_root

Opens = Literal["server", "node", "both", "nobody"]

_SYN = ("-p", "tcp", "--syn")


@dataclass
class Apart:
    """`server` is this namespace's address on the cable, `node` the other's."""

    name: str
    server: str
    node: str

    def allow(self, opens: Opens) -> None:
        """Who can open connections from now on; those that are there stay. Nobody: the cable is cut, silently."""
        self._rule("-F")
        if opens == "nobody":
            self._rule("-A", "INPUT", "-i", "cable", "-j", "DROP")
            self._rule("-A", "OUTPUT", "-o", "cable", "-j", "DROP")
        if opens == "server":
            self._rule("-A", "OUTPUT", "-o", "cable", *_SYN, "-j", "DROP")
        if opens == "node":
            self._rule("-A", "INPUT", "-i", "cable", *_SYN, "-j", "DROP")

    def within(self, *argv: str) -> list[str]:
        """The command that runs this one in the node's namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *argv]

    def supervisor(self, directory: Path, invitation: bytes, *options: str) -> subprocess.Popen[bytes]:
        """Start a supervisor there, in the foreground, that is told by its standard input how to be reached."""
        directory.mkdir(mode=0o711, exist_ok=True)
        argv = [*supervisor_command(), "--dir", str(directory), "--remote", "-", *options]
        log = (directory.parent / f"{directory.name}.log").open("ab")
        with log:
            started = subprocess.Popen(self.within(*argv), stdin=subprocess.PIPE, stdout=log, stderr=log)
        assert started.stdin is not None
        started.stdin.write(invitation)
        started.stdin.close()
        return started

    def _rule(self, *words: str) -> None:
        _run(*self.within("iptables", "-w", *words))


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """The two namespaces, for a module's tests."""
    needs_root()
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux"), ("iptables", None)):
        needs_program(program, package)
    number = os.getpid() % 16_384
    net = f"10.{200 + number // 4096}.{number // 16 % 256}"
    made = Apart(f"dais-n{os.getpid()}", f"{net}.{number % 16 * 4 + 1}", f"{net}.{number % 16 * 4 + 2}")
    here = f"dais{number}"
    with contextlib.ExitStack() as held:
        try:
            _run("ip", "netns", "add", made.name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs network namespaces: {error.stderr.strip()}")
        held.callback(_run, "ip", "netns", "del", made.name)
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", "cable", "netns", made.name)
        _run("ip", "addr", "add", f"{made.server}/30", "dev", here)
        _run("ip", "link", "set", here, "up")
        _run("ip", "-n", made.name, "addr", "add", f"{made.node}/30", "dev", "cable")
        for link in ("lo", "cable"):
            _run("ip", "-n", made.name, "link", "set", link, "up")
        yield made


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)
