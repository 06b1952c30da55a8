"""OpenSSH's server and client, as this machine has them."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import free_port, wait_port
from bench.peers.processes import process
from tests.support.sshd import LoginNode, login_node

CIPHER = "aes128-gcm@openssh.com"
"""For both sides: the gateway would choose it, OpenSSH another one."""


@contextmanager
def openssh() -> Iterator[LoginNode]:
    """A server that whoever measures may log in to."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with login_node(pwd.getpwuid(os.getuid())) as node:
        yield node


def options(node: LoginNode) -> tuple[str, ...]:
    """What every client is told to get there."""
    return ("-F", "/dev/null", *node.options(), f"-oCiphers={CIPHER}", "-oBatchMode=yes")


@contextmanager
def forwarded(app: int) -> Iterator[int]:
    """A port that `ssh -L` forwards to a port of this machine."""
    port = free_port()
    with openssh() as node:
        words = ("ssh", *options(node), "-N", f"-L127.0.0.1:{port}:127.0.0.1:{app}", node.name)
        with process(*words):
            wait_port(port)
            yield port
