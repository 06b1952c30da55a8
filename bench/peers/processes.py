"""Peers in processes of their own, which end with the block that started them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load import free_port, wait_port

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def process(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends: TERM, then KILL."""
    null = subprocess.DEVNULL
    started = subprocess.Popen(command, cwd=cwd, env=env, stdin=null, stdout=null, stderr=null)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def raw_asgi(app: str, *arguments: str) -> Iterator[int]:
    """A bare application of `asgi.py` on the server that Dais runs on, too; its port."""
    port = free_port()
    with process(*python("bench.peers.asgi", app, str(port), *arguments)):
        wait_port(port)
        yield port


def python(module: str, *arguments: str) -> Sequence[str]:
    """A module of ours, run by this interpreter."""
    return [sys.executable, "-m", module, *arguments]
