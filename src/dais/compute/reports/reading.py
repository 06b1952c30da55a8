"""Reading what a run has written into its file. Blocking. The job may put anything in its place."""

from __future__ import annotations

import contextlib
import os
import stat

import msgspec

from dais.wire.reports import FILE, MAX_FILE, MAX_LINE, Report, parse_report

_once = 256 << 10
"""Bytes that are read at once."""


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines of a file: from the byte where reading began to the one after the last whole line."""

    start: int
    end: int
    reports: list[Report]
    refused: list[str]


def size_of(work: str) -> int:
    """Bytes of the file in a working directory; 0 when there is none."""
    try:
        status = os.lstat(f"{work}/{FILE}")
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def read_lines(work: str, start: int, *, last: bool) -> Lines | None:
    """The next lines from a byte on; None when there are none. With `last` one without an end is a line, too."""
    if start >= MAX_FILE:
        return None
    data = _read(work, start)
    if not data:
        return None
    whole = data.rfind(b"\n") + 1
    if whole == 0:
        if len(data) <= MAX_LINE and not (last and len(data) < _once):
            return None
        whole = len(data)  # the end of a line that is far too long, or was never ended
    elif last and len(data) < _once:
        whole = len(data)
    reports: list[Report] = []
    refused: list[str] = []
    for line in data[:whole].split(b"\n"):
        if not line.strip():
            continue
        try:
            reports.append(parse_report(line))
        except ValueError as error:
            refused.append(str(error))
    end = start + whole
    if end >= MAX_FILE:
        refused.append(f"of the file at most {MAX_FILE >> 20} MiB are read")
    return Lines(start=start, end=end, reports=reports, refused=refused)


def _read(work: str, start: int) -> bytes:
    """Nothing where it is a link, a pipe, or cannot be read."""
    with contextlib.ExitStack() as stack:
        try:
            directory = os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, directory)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            file = os.open(FILE, flags, dir_fd=directory)
            stack.callback(os.close, file)
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return b""
            return os.pread(file, min(_once, MAX_FILE - start), start)
        except OSError:
            return b""
