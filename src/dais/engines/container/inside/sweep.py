"""Ends the commands that were begun by a server which has gone: its argument is the mark of the one that is there.

Commands bear their server's mark in their environment, and so does what they have started; apps and code runners, which
are to outlive servers, have put it off.
"""

from __future__ import annotations

import os
import signal
import sys

MARK = b"\0DAIS_EXEC="


def main() -> None:
    """Kill until nothing is found: what is killed may just have started another."""
    own = sys.argv[1].encode()
    for _ in range(100):
        strays = [int(name) for name in os.listdir("/proc") if name.isdigit() and is_stray(name, own)]
        for pid in strays:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        if not strays:
            return


def is_stray(pid: str, own: bytes) -> bool:
    """Whether another server's mark is on it; a zombie has none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = b"\0" + file.read()
    except OSError:
        return False
    _, found, rest = environ.partition(MARK)
    return bool(found) and rest.partition(b"\0")[0] != own
