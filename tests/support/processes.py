"""Processes and mounts of this machine, as /proc shows them."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path


def every_pid() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def processes_with(words: str) -> list[int]:
    """Those that have these words in their command line."""
    found = []
    for pid in every_pid():
        with contextlib.suppress(OSError):
            if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def root_mount(pid: int) -> str:
    """What a process has for its root directory, as the kernel tells it; empty once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/mountinfo").read_text(errors="replace").splitlines():
            if line.split()[4] == "/":
                return line
    return ""


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def unmount_below(directory: Path) -> None:
    """Whatever is mounted there, the last first."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False, timeout=30, capture_output=True)
