"""Large contents that come in pieces: kept aside until all has come and is verified, for a day if need be.

A file of pieces only ever grows. Who sends the same content for the same purpose goes on with what has come, also
after a crash of either side; pieces that came already are passed over, so each may be sent twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dais.data.durable import write_all, write_behind
from dais.data.errors import digest_mismatch, disk_errors, disk_full
from dais.data.hashing import RunningDigests
from dais.kit.errors import Conflict, Invalid, Unavailable
from dais.wire.paths import shown

Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Grown:
    """What has come: `have` bytes; `complete`: all of it, verified, in the open file `fd`."""

    have: int
    complete: bool
    fd: int


class Pieces:
    """Adds pieces. `check_space(bytes)` raises Unavailable `disk-full`. Blocks; for several threads and processes."""

    def __init__(self, check_space: Callable[[int], None]) -> None:
        self._check_space = check_space
        self._running = RunningDigests()

    def begun(self, aside: int, key: str) -> int:
        """Bytes that have come."""
        try:
            return os.stat(key, dir_fd=aside, follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def add(
        self, aside: int, key: str, data: Data, *, offset: int, size: int, digest: str, what: str
    ) -> Iterator[Grown]:
        """Add a piece of the content of `size` bytes and `digest`, kept as `key` in the open directory `aside`.

        Without a digest ("": it is not known yet) all bytes may come, and the content is not complete. When it is the
        caller renames it within the block; nobody else touches it meanwhile. `what` names it
        in messages. Raises Conflict `wrong-offset` (its field `expected` is where to go on), Invalid `bad-piece` or
        `digest-mismatch` (what has come is dropped), Unavailable `disk-full`.
        """
        if offset < 0 or size < 0 or offset + len(data) > size:
            raise Invalid(
                f"the piece from {offset} to {offset + len(data)} does not lie within the {size} bytes of the content",
                code="bad-piece",
            )
        with disk_errors(what):
            fd = _held(aside, key, create=offset == 0)
        if fd is None:
            raise _wrong_offset(what, 0, offset)
        try:
            with disk_errors(what):
                have = os.fstat(fd).st_size
                if offset > have:
                    raise _wrong_offset(what, have, offset)
                have = self._append(aside, key, fd, have, memoryview(data)[have - offset :])
                complete = have == size and digest != ""
                if complete:
                    self._verify(aside, key, fd, what, digest)
            yield Grown(have, complete, fd)
        finally:
            os.close(fd)

    def _append(self, aside: int, key: str, fd: int, have: int, data: memoryview) -> int:
        """Write after what has come; how much there is then."""
        try:
            self._check_space(len(data))
            write_all(fd, data, have)
        except (OSError, Unavailable) as error:
            if isinstance(error, Unavailable) or error.errno in (errno.ENOSPC, errno.EDQUOT):
                # A disk that is full gets free again only when somebody lets go of it.
                os.unlink(key, dir_fd=aside)
                raise disk_full() from error
            os.ftruncate(fd, have)
            raise
        if data:
            write_behind(fd, have, have + len(data))
            self._running.grown(key, fd, have, have + len(data))
        return have + len(data)

    def _verify(self, aside: int, key: str, fd: int, what: str, digest: str) -> None:
        found = self._running.digest(key, fd, os.fstat(fd).st_size)
        if found != digest:
            os.unlink(key, dir_fd=aside)
            raise digest_mismatch(what, digest, found)

    def drop(self, aside: int, key: str) -> None:
        """Forget what has come, so that it begins anew. Nothing to forget is no error. Raises OSError."""
        fd = _held(aside, key, create=False)
        if fd is not None:
            try:
                os.unlink(key, dir_fd=aside)
                self._running.forget(key)
            finally:
                os.close(fd)


def _wrong_offset(what: str, have: int, offset: int) -> Conflict:
    return Conflict(
        f"{shown(what)} has come to byte {have}; send what follows from there, not from {offset}",
        code="wrong-offset",
        expected=have,
        given=offset,
    )


def _held(aside: int, key: str, *, create: bool) -> int | None:
    """The file of pieces, opened and held alone. Another may have finished it while we waited: look again then.

    None when there is none and none is to be made.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    while True:
        try:
            fd = os.open(key, flags, 0o600, dir_fd=aside)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.stat(key, dir_fd=aside, follow_symlinks=False).st_ino == os.fstat(fd).st_ino:
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
