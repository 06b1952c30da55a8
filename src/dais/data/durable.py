"""Writing so that a crash, of the process or of the machine, leaves a file whole or absent."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

STRIDE = 16 << 20
"""Bytes of a large file that go to the disk together while it comes."""

_flushers = ThreadPoolExecutor(8, thread_name_prefix="dais-flush")


def write_all(fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """Write everything at a place of an open file. Raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def write_behind(fd: int, start: int, end: int) -> None:
    """Have the disk begin with what was written from `start` to `end` of a file, so that its flush has little left."""
    first, last = start // STRIDE, end // STRIDE
    if first < last:
        # What is not on the disk yet cannot be dropped: the kernel starts to write it, and waits for nothing.
        os.posix_fadvise(fd, first * STRIDE, (last - first) * STRIDE, os.POSIX_FADV_DONTNEED)


def flush_files(fds: Collection[int]) -> None:
    """Bring open files to the disk. Side by side: file systems write many flushes with one turn of their journal."""
    if len(fds) < 3:
        for fd in fds:
            os.fsync(fd)
        return
    for _ in _flushers.map(os.fsync, fds):
        pass


def flush_directories(fds: Iterable[int]) -> None:
    """Bring the names in open directories to the disk."""
    flush_files(list(fds))
