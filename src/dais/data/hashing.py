"""Digests of contents: `blake3:<64 hex digits>`; and what is remembered of files that have not changed."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict

from blake3 import blake3

from dais.kit.errors import Invalid

CHUNK = 1 << 20
PREFIX = "blake3:"

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
    """Hashers of files that are still growing, for the `limit` files that grew last. For several threads."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._running: OrderedDict[str, tuple[int, int, blake3]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, inode: int, size: int) -> blake3 | None:
        """The hasher that has seen exactly the `size` bytes of a file; it is kept no more. None when there is none."""
        with self._lock:
            inode_then, size_then, hasher = self._running.pop(key, (0, -1, None))
        if size == 0:
            return blake3()
        return hasher if (inode_then, size_then) == (inode, size) else None

    def keep(self, key: str, inode: int, size: int, hasher: blake3) -> None:
        """Keep a hasher until the file grows on."""
        with self._lock:
            self._running[key] = inode, size, hasher
            while len(self._running) > self._limit:
                self._running.popitem(last=False)
