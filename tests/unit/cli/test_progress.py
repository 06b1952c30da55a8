"""Bars on a real terminal: what is seen of them, and that nothing stays."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

DRAW = """
import time
from dais.cli.progress import transfer_bar
from dais.sdk.progress import Progress
with transfer_bar("push data") as tell:
    tell(Progress(1, 4, 512 << 20, 2 << 30))
    time.sleep(0.11)
    tell(Progress(2, 9, 2 << 30, 4 << 30))
    time.sleep(0.11)
    tell(Progress(9, 9, 4 << 30, 4 << 30))
print("done")
"""


def drawn(code: str) -> bytes:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the terminal's other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert process.wait(30) == 0, text
    return text


def test_a_bar_tells_files_bytes_and_rate_and_leaves_nothing() -> None:
    text = drawn(DRAW)
    shown = text.decode()
    for part in ("push data", "1/4 files", "512 MiB of 2 GiB", "25%", "2/9 files", "50%", "9/9 files", "100%", "/s"):
        assert part in shown, shown
    assert shown.endswith("\x1b[1A\x1b[2K\rdone\r\n")


def test_there_is_no_bar_where_nobody_looks() -> None:
    done = subprocess.run([sys.executable, "-c", DRAW.replace("tell(", "assert tell is None; (")], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
