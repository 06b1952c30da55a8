"""What a job wrote below a directory, taken into the blob store: files alone, and nothing that lies elsewhere.

The job may be hostile, and where jobs are not isolated something of it may still run: so no link is followed, every
file is opened below directories that were reached from the root, and one that changes while it is read is read again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from dais.data import safe_paths
from dais.data.blobs import BlobStore
from dais.data.errors import disk_errors, invalid_path
from dais.data.reading import walk
from dais.data.types import Entry
from dais.kit.errors import Conflict, Invalid
from dais.wire.lake import MAX_COMMIT, NewVersion, lake_path
from dais.wire.paths import PathError, shown

T = TypeVar("T")

SMALL = 1 << 20
"""Bytes of a file that is stored together with others."""
TOGETHER = 8 << 20
PIECE = 1 << 20
TRIES = 3
MOST_ENTRIES = 10 * MAX_COMMIT
NAMED = 5
"""Things that were left out and are named."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The files below a directory. `left_out` are links, pipes, devices and sockets; `there`: there is one at all."""

    files: list[Entry]
    left_out: list[str]
    there: bool

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def look_through(work: Path, path: str, *, most: int) -> Found:
    """What lies below `path` of a working directory. Reads no file. Blocks.

    Raises Invalid `output-too-large` beyond `most` bytes or MAX_COMMIT files, Invalid for a name that a versioned file
    cannot have, Conflict `no-permission`, `not-a-directory`.
    """
    files: list[Entry] = []
    left_out: list[str] = []
    size = 0
    with disk_errors(path), safe_paths.opened(work) as root:
        if safe_paths.look(root, path) is None:
            return Found(files=[], left_out=[], there=False)
        with safe_paths.directory(root, path):
            pass
        for count, entry in enumerate(walk(root, path)):
            if count >= MOST_ENTRIES:
                raise _too_large(f"more than {MOST_ENTRIES:,} entries")
            if entry.kind not in ("file", "directory"):
                left_out.append(f"{entry.path} ({'a link' if entry.kind == 'link' else 'no file'})")
                continue
            try:
                lake_path(f"/{entry.path}")
            except PathError as error:
                raise invalid_path(error) from error
            if entry.kind == "file":
                files.append(entry)
                size += entry.size
            if len(files) > MAX_COMMIT:
                raise _too_large(f"more than {MAX_COMMIT:,} files")
            if size > most:
                raise _too_large(f"more than {most:,} bytes")
    return Found(files=files, left_out=left_out, there=True)


def take(blobs: BlobStore, work: Path, files: Sequence[Entry], tell: Callable[[int], None]) -> list[NewVersion]:
    """Store the contents of files below a working directory; what they are, with their paths below it. Blocks.

    A file that is gone by now is left out. Raises Conflict `changed-while-read`, Unavailable `disk-full`.
    """
    blobs.check_space(sum(file.size for file in files))
    taken: list[NewVersion] = []
    small: list[tuple[Entry, bytes]] = []
    with safe_paths.opened(work) as root, safe_paths.Directories(root, create=False) as directories:
        for file in files:
            with disk_errors(file.path):
                try:
                    fd = _opened(directories, file.path)
                except FileNotFoundError:
                    continue
                try:
                    if os.fstat(fd).st_size < SMALL:
                        small.append((file, _again(partial(_joined, fd), file.path)))
                    else:
                        stored = _again(partial(_streamed, blobs, fd, tell), file.path)
                        taken.append(_version(file, *stored))
                finally:
                    os.close(fd)
            if sum(len(content) for _, content in small) > TOGETHER:
                taken += _put(blobs, small, tell)
                small = []
    return taken + _put(blobs, small, tell)


def words_of(left_out: Sequence[str]) -> str:
    """What was left out, in words: the first few by name."""
    more = f" and {len(left_out) - NAMED:,} more" if len(left_out) > NAMED else ""
    return f"{', '.join(left_out[:NAMED])}{more}"


def _opened(directories: safe_paths.Directories, path: str) -> int:
    parent, _, name = path.rpartition("/")
    return safe_paths.open_regular(directories.get(parent), name)


def _put(blobs: BlobStore, small: list[tuple[Entry, bytes]], tell: Callable[[int], None]) -> list[NewVersion]:
    digests = blobs.put_many([content for _, content in small])
    tell(sum(len(content) for _, content in small))
    return [_version(file, digest, len(content)) for (file, content), digest in zip(small, digests, strict=True)]


def _version(file: Entry, digest: str, size: int) -> NewVersion:
    return NewVersion(path=f"/{file.path}", digest=digest, size=size, executable=file.executable)


class _Changed(Exception):
    """A file did not stay as it was while it was read."""


def _again(read: Callable[[], T], path: str) -> T:
    """Read a file; once more when it changed meanwhile. Raises Conflict `changed-while-read`."""
    for _ in range(TRIES):
        try:
            return read()
        except _Changed:
            continue
    raise Conflict(
        f"{shown(path)} changes while it is read: something of the job still writes into it",
        code="changed-while-read",
        path=path[:200],
    )


def _pieces(fd: int) -> Iterator[bytes]:
    """All of an open file. Raises _Changed at its end."""
    before, at = _stamp(fd), 0
    while piece := os.pread(fd, PIECE, at):
        at += len(piece)
        yield piece
        if at > before[0]:
            raise _Changed
    if (after := _stamp(fd)) != before or at != after[0]:
        raise _Changed


def _joined(fd: int) -> bytes:
    return b"".join(_pieces(fd))


def _streamed(blobs: BlobStore, fd: int, tell: Callable[[int], None]) -> tuple[str, int]:
    return blobs.put_stream(_told(_pieces(fd), tell))


def _stamp(fd: int) -> tuple[int, int, int]:
    info = os.fstat(fd)
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _told(pieces: Iterator[bytes], tell: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        tell(len(piece))
        yield piece


def _too_large(what: str) -> Invalid:
    return Invalid(
        f"there is {what}, which no file set holds; write less there, or keep it in a folder", code="output-too-large"
    )
