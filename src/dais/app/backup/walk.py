"""Going through what an installation has on the disk. Jobs write there meanwhile: no link is followed anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from dais.app.backup.manifest import Entry, encode_path
from dais.data import safe_paths

Visit = Callable[[int, str, Entry], None]
"""Called with the directory's descriptor, the name in it, and what is known of it."""


DEPTH = 400
"""Directories below each other: each stays open while what is in it is visited, and a process may open 1,024."""


def walk(root: Path, prefix: str, visit: Visit, left_out: Callable[[str], None], *, skip: Collection[str] = ()) -> None:
    """Visit everything below `root`, whose path in the backup is `prefix`; `skip` are names directly in it."""
    try:
        fd = os.open(root, safe_paths.DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _walk(fd, os.fsencode(prefix), visit, left_out, frozenset(map(os.fsencode, skip)), 0)
    finally:
        os.close(fd)


def _walk(
    fd: int, path: bytes, visit: Visit, left_out: Callable[[str], None], skip: frozenset[bytes], depth: int
) -> None:
    if depth > DEPTH:
        left_out(f"{os.fsdecode(path)}: more than {DEPTH} directories deep")
        return
    for raw, info in _entries(fd):
        if raw in skip:
            continue
        full = path + b"/" + raw
        name = os.fsdecode(raw)
        if stat.S_ISREG(info.st_mode):
            visit(fd, name, entry_of(full, info, "f"))
        elif stat.S_ISLNK(info.st_mode):
            with suppress(FileNotFoundError):
                target = encode_path(os.readlink(raw, dir_fd=fd))
                visit(
                    fd, name, Entry(path=encode_path(full), kind="l", target=target, uid=info.st_uid, gid=info.st_gid)
                )
        elif stat.S_ISDIR(info.st_mode):
            visit(fd, name, entry_of(full, info, "d"))
            try:
                inner = os.open(raw, safe_paths.DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                left_out(f"{os.fsdecode(full)}: {error.strerror}")
                continue
            try:
                _walk(inner, full, visit, left_out, frozenset(), depth + 1)
            finally:
                os.close(inner)
        else:
            left_out(f"{os.fsdecode(full)}: no file, directory or link")


def _entries(fd: int) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(fd) as found:
        names = sorted(os.fsencode(entry.name) for entry in found)
    for name in names:
        with suppress(FileNotFoundError):
            yield name, os.stat(name, dir_fd=fd, follow_symlinks=False)


def entry_of(path: bytes, info: os.stat_result, kind: str) -> Entry:
    """What is known of a file or directory before it is read."""
    return Entry(
        path=encode_path(path),
        kind="f" if kind == "f" else "d",
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        mtime_ns=info.st_mtime_ns,
        size=info.st_size if kind == "f" else 0,
        stamp=(info.st_ino, info.st_ctime_ns) if kind == "f" else (),
    )
