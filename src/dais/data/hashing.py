"""Digests of contents: `blake3:<64 hex digits>`; and what is remembered of files that have not changed."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from blake3 import blake3

from dais.kit.errors import Invalid

log = logging.getLogger(__name__)

CHUNK = 256 << 10
TURN = 16 << 20
"""Bytes that a thread hashes of one growing file before it turns to the next."""
PREFIX = "blake3:"

_hashers = ThreadPoolExecutor(4, thread_name_prefix="dais-hash")

_shape = re.compile(r"blake3:[0-9a-f]{64}", re.ASCII)


def check_digest(digest: str) -> str:
    """The digest itself. Raises Invalid `bad-digest`."""
    if not _shape.fullmatch(digest):
        raise Invalid(
            f"{digest[:90]!r} is no digest; write blake3: and 64 hexadecimal digits",
            code="bad-digest",
            given=digest[:90],
        )
    return digest


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """The digest of bytes."""
    return PREFIX + blake3(data).hexdigest()


def digest_of_fd(fd: int) -> str:
    """The digest of an open file from its beginning; its position is left alone. Blocking."""
    hasher = blake3()
    feed(hasher, fd, 0, None)
    return PREFIX + str(hasher.hexdigest())


def feed(hasher: blake3, fd: int, start: int, end: int | None) -> int:
    """Hash the bytes of an open file from `start` to `end` (None: to its end); how many there were."""
    buffer = memoryview(bytearray(CHUNK))
    at = start
    while end is None or at < end:
        wanted = CHUNK if end is None else min(CHUNK, end - at)
        got = os.preadv(fd, [buffer[:wanted]], at)
        if not got:
            break
        hasher.update(buffer[:got])
        at += got
    return at - start


def read_into(fd: int, buffer: memoryview) -> int:
    """Fill a buffer from the beginning of an open file; how much there was. Blocking. Raises OSError."""
    got = 0
    while got < len(buffer) and (count := os.preadv(fd, [buffer[got:]], got)):
        got += count
    return got


def stamp_of(info: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes whenever a file's content may have changed."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


class DigestCache:
    """Digests of files by their stamps, in memory, for the `limit` files used last. For several threads.

    A file that was written in the last two seconds is not remembered: on file systems with coarse times another write
    could leave its stamp as it was.
    """

    FRESH_NS = 2_000_000_000

    def __init__(self, limit: int = 200_000) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[int, int, int, int, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def digest(self, fd: int, now_ns: int) -> str:
        """The digest of an open file. Blocking."""
        stamp = stamp_of(os.fstat(fd))
        with self._lock:
            found = self._known.get(stamp)
            if found is not None:
                self._known.move_to_end(stamp)
                return found
        computed = digest_of_fd(fd)
        if stamp_of(os.fstat(fd)) == stamp and now_ns - max(stamp[3], stamp[4]) > self.FRESH_NS:
            self.put(stamp, computed)
        return computed

    def put(self, stamp: tuple[int, int, int, int, int], digest: str) -> None:
        """Remember what is known already."""
        with self._lock:
            self._known[stamp] = digest
            self._known.move_to_end(stamp)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)


class RunningDigests:
    """Digests of files that grow, for the `limit` files that grew last. Threads hash what has come, beside the writers.

    What is hashed is read back from the file: so it does not matter who wrote it, and a digest that was forgotten (the
    server was started anew) begins again with the first byte while the rest still comes. For several threads.
    """

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._running: OrderedDict[str, _Running] = OrderedDict()
        self._changed = threading.Condition()

    def grown(self, key: str, fd: int, start: int, end: int) -> None:
        """The open file was written from `start` to `end`; nobody changes what lies before. Does not block."""
        with self._changed:
            running = self._find(key, fd, start) if start else None
            if running is None:
                running = self._running[key] = _Running(os.fstat(fd).st_ino)
            self._running.move_to_end(key)
            while len(self._running) > self._limit:
                self._running.popitem(last=False)
            self._hurry(running, fd, end)

    def digest(self, key: str, fd: int, size: int) -> str:
        """The digest of the open file's first `size` bytes, which are all that it has. Blocks. Raises OSError."""
        with self._changed:
            running = self._find(key, fd, size)
            self._running.pop(key, None)
            if running is not None:
                self._hurry(running, fd, size)
                self._changed.wait_for(lambda: not running.busy)
                if running.at == size:
                    return PREFIX + str(running.hasher.hexdigest())
        return digest_of_fd(fd)

    def forget(self, key: str) -> None:
        """The file is gone, or will begin anew."""
        with self._changed:
            self._running.pop(key, None)

    def _find(self, key: str, fd: int, size: int) -> _Running | None:
        running = self._running.get(key)
        if running is None or running.inode != os.fstat(fd).st_ino or running.end > size:
            return None
        return running

    def _hurry(self, running: _Running, fd: int, end: int) -> None:
        running.end = end
        if not running.busy and 0 <= running.at < end:
            running.busy = True
            _hashers.submit(self._go_on, running, os.dup(fd))

    def _go_on(self, running: _Running, fd: int) -> None:
        """One turn of a file; others that grow meanwhile get theirs."""
        start, end = running.at, min(running.end, running.at + TURN)
        failed = True
        try:
            failed = feed(running.hasher, fd, start, end) < end - start
        except OSError as error:  # whoever wants the digest reads the file again, and sees for himself
            log.warning("what is being uploaded cannot be read back: %s", error)
        with self._changed:
            running.at = -1 if failed else end
            if not failed and running.at < running.end:
                _hashers.submit(self._go_on, running, fd)
                return
            running.busy = False
            self._changed.notify_all()
        os.close(fd)


@dataclass(slots=True, eq=False)
class _Running:
    """A hasher that has seen the first `at` of the `end` bytes of a file (-1: it could not).

    `busy`: a thread is about to see the rest.
    """

    inode: int
    hasher: blake3 = field(default_factory=blake3)
    at: int = 0
    end: int = 0
    busy: bool = False
