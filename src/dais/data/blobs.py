"""The blob store: contents by their digest, each stored once, in a directory. (`bucket_blobs` keeps them elsewhere.)

A blob appears under its name only when all of it is on the disk: written aside, flushed, renamed, and the directory
flushed. What a crash leaves aside is removed after a day. Collection and uploads meet under a lock of the file system:
a digest that was answered "already there" has been touched before, and what was touched in the last 24 hours stays.
A large content may be there as a recipe (`recipes`): then it is read, kept and missed with its chunks.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from blake3 import blake3

from dais.data.blob_files import flush_parents, locked, stored_as, sweep
from dais.data.durable import flush_files, write_all, write_behind
from dais.data.errors import blob_damaged, blobs_missing, digest_mismatch, disk_errors, disk_reserved, no_such_blob
from dais.data.hashing import PREFIX, check_digest, digest_of, digest_of_fd
from dais.data.pieces import Data, Pieces
from dais.data.recipes import SUFFIX, ChunkedContent, check_recipe, digest_of_chunks, read_recipe
from dais.data.types import Stored
from dais.kit.errors import Conflict, NotFound, Unavailable
from dais.kit.ids import new_id
from dais.wire.lake import Recipe

PINNED_SECONDS = 24 * 3600.0

GROUP = 64
"""Files that are open at once while many are written."""

_new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class BlobStore:
    """Blobs below `root`. Every method blocks; all may be used by several threads and processes."""

    flushed = True
    """Whether a file at a blob's `path` outlives a crash of the machine."""

    def __init__(self, root: Path, *, reserve: int = 0) -> None:
        self.root = root
        self._reserve = reserve
        self._aside = root / ".new"
        self._pieces = Pieces(self.check_space)
        with disk_errors(str(root)):
            self._aside.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(256):
                (root / f"{number:02x}").mkdir(exist_ok=True, mode=0o700)

    def check(self) -> None:
        """Return when contents can be kept and read. Raises Unavailable."""

    def path(self, digest: str) -> Path:
        """Where the blob is, or would be, on this machine. Raises Invalid `bad-digest`. Only this class writes there.

        Not every store has all of its blobs there: who wants a real file does without it where there is none.
        """
        digits = check_digest(digest).removeprefix(PREFIX)
        return self.root / digits[:2] / digits

    def has(self, digest: str) -> bool:
        """Whether the blob is there; if so, it stays for the next 24 hours."""
        return not self.missing([digest])

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those that are not there, each once. The others stay for the next 24 hours."""
        absent: dict[str, None] = {}
        with locked(self.root, fcntl.LOCK_SH):
            for digest in digests:
                try:
                    os.utime(self.path(digest))
                except FileNotFoundError:
                    if self._touched(digest) is None:
                        absent[digest] = None
        return list(absent)

    def absent(self, digests: Iterable[str]) -> list[str]:
        """Those that are not there, each once. Quick, and nothing is kept for it: for what is needed already."""
        root = str(self.root)
        return [
            digest
            for digest in dict.fromkeys(digests)
            if not os.access(f"{root}/{digest[7:9]}/{digest[7:]}", os.F_OK)  # the quickest of all, for ten thousand
            and not self._has_chunks(digest)
        ]

    def _has_chunks(self, digest: str) -> bool:
        try:
            return all(self.path(chunk.digest).exists() for chunk in self.recipe(digest).chunks)
        except (NotFound, Unavailable):
            return False

    def age(self, digest: str) -> float | None:
        """Seconds since the blob was written or asked for; None when it is not there."""
        for place in (self.path(digest), self._recipe(digest)):
            with suppress(FileNotFoundError):
                return time.time() - place.stat().st_mtime
        return None

    def size(self, digest: str) -> int:
        """Bytes of the blob. Raises NotFound `no-such-blob`."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return self.recipe(digest).size

    def recipe(self, digest: str) -> Recipe:
        """The chunks of a content that is kept so. Raises NotFound `no-such-blob`, Unavailable `blob-damaged`."""
        try:
            return read_recipe(self._recipe(digest))
        except FileNotFoundError as error:
            raise no_such_blob(digest) from error

    def open(self, digest: str) -> BinaryIO:
        """The blob, for reading. Raises NotFound `no-such-blob`, Unavailable `blob-damaged`."""
        try:
            return self.path(digest).open("rb", buffering=0)
        except FileNotFoundError:
            return cast("BinaryIO", ChunkedContent(self.recipe(digest), self._open_chunk))

    def read(self, digest: str) -> bytes:
        """All of the blob, verified. Raises NotFound `no-such-blob`, Unavailable `blob-damaged`."""
        with self.open(digest) as file:
            data = file.read()
        if digest_of(data) != digest:
            raise self.discard_damaged(digest)
        return data

    def put(self, data: Data, *, reserve: bool = True) -> str:
        """Store bytes; their digest. Raises Unavailable `disk-full`.

        Without `reserve` it may take from what uploads leave free, which is kept for what jobs need to end.
        """
        (digest,) = self.put_many([data], reserve=reserve)
        return digest

    def put_many(
        self,
        contents: Collection[Data],
        expected: Collection[str] = (),
        *,
        reserve: bool = True,
    ) -> list[str]:
        """Store many small contents at the price of few; their digests in order.

        With `expected`, nothing is stored unless every content has its digest (Invalid `digest-mismatch`). Raises
        Unavailable `disk-full`.
        """
        digests = [digest_of(content) for content in contents]
        for wanted, found in zip(expected, digests, strict=False):
            if wanted != found:
                raise digest_mismatch("a blob", wanted, found)
        new = self._new(dict(zip(digests, contents, strict=True)))
        if reserve:
            self.check_space(sum(len(content) for _, content in new))
        for start in range(0, len(new), GROUP):
            self._put_group(new[start : start + GROUP])
        return digests

    def put_stream(self, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Store a content that comes piece by piece, of whatever length; its digest and its bytes. It is hashed as it
        comes. What `pieces` raises goes on, with nothing stored. Raises Unavailable `disk-full`."""
        hasher, size = blake3(), 0
        aside = self._aside / new_id()
        with disk_errors("a blob"):
            fd = os.open(aside, _new, 0o444)
        try:
            for piece in pieces:
                hasher.update(piece)
                with disk_errors("a blob"):
                    write_all(fd, piece, size)
                    write_behind(fd, size, size + len(piece))
                size += len(piece)
            digest = PREFIX + str(hasher.hexdigest())
            if not self._whole(digest, size):
                with disk_errors("a blob"):
                    os.fsync(fd)
                    self._place({digest: aside})
        finally:
            os.close(fd)
            aside.unlink(missing_ok=True)
        return digest, size

    def _new(self, given: Mapping[str, Data]) -> list[tuple[str, Data]]:
        """Those that are not there with their full size. The others are touched, so that they stay."""
        with locked(self.root, fcntl.LOCK_SH):
            return [(digest, content) for digest, content in given.items() if not self._touch(digest, len(content))]

    def _put_group(self, new: list[tuple[str, Data]]) -> None:
        made: dict[Path, int] = {}
        with disk_errors("a blob"):
            try:
                for _, content in new:
                    aside = self._aside / new_id()
                    made[aside] = fd = os.open(aside, _new, 0o444)
                    write_all(fd, content, 0)
                flush_files(made.values())
                self._place({digest: aside for (digest, _), aside in zip(new, made, strict=True)})
            finally:
                for aside, fd in made.items():
                    os.close(fd)
                    aside.unlink(missing_ok=True)

    def put_piece(self, digest: str, data: bytes | bytearray, *, offset: int, size: int) -> int:
        """Add a piece of a large content of `size` bytes; how much has come: with the last piece it is stored.

        A content that is there already has come whole. Raises as `Pieces.add`.
        """
        name = check_digest(digest).removeprefix(PREFIX)
        if self._whole(digest, size):
            return size
        aside = os.open(self._aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        adding = self._pieces.add(aside, name, data, offset=offset, size=size, digest=digest, what=digest)
        try:
            with adding as grown:
                if grown.complete:
                    with disk_errors(digest):
                        os.fchmod(grown.fd, 0o444)
                        os.fsync(grown.fd)
                        self._place({digest: self._aside / name})
                return grown.have
        except Conflict as error:
            if error.code != "wrong-offset" or not self._whole(digest, size):
                raise
            return size  # another upload has finished meanwhile
        finally:
            os.close(aside)

    def put_recipe(self, recipe: Recipe) -> None:
        """Keep a content as the chunks that it is made of, once all of it was read and has its digest. Blocks.

        Raises Conflict `blobs-missing`, Invalid `bad-recipe`, `digest-mismatch`, Unavailable `blob-damaged` where a
        chunk is not what it should be: it is taken away then, to be sent again.
        """
        check_recipe(recipe)
        check_digest(recipe.digest)
        missing = self.missing(chunk.digest for chunk in recipe.chunks)
        if missing:
            raise blobs_missing("chunks", missing)
        found = digest_of_chunks(recipe.chunks, self._open_chunk)
        if found != recipe.digest:
            if self._discard_chunks(recipe):
                raise self.discard_damaged(recipe.digest)
            raise digest_mismatch("the chunks", recipe.digest, found)
        self._keep_recipe(recipe)

    def _keep_recipe(self, recipe: Recipe) -> None:
        aside = self._aside / new_id()
        with disk_errors("a recipe"):
            fd = os.open(aside, _new, 0o444)
            try:
                write_all(fd, msgspec.json.encode(recipe), 0)
                os.fsync(fd)
                place = self._recipe(recipe.digest)
                with locked(self.root, fcntl.LOCK_SH):  # collection looks at times, then removes names
                    aside.replace(place)
                flush_parents([place])
            finally:
                os.close(fd)
                aside.unlink(missing_ok=True)

    def stored(self) -> Iterator[Stored]:
        """All that is there."""
        for number in range(256):
            with os.scandir(self.root / f"{number:02x}") as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        info = entry.stat(follow_symlinks=False)
                        yield stored_as(entry.name, info.st_size, info.st_mtime)

    def sound(self, stored: Stored) -> bool:
        """Whether what is there is what it should be. Reads it. Raises NotFound when it is gone meanwhile."""
        if stored.is_recipe:
            try:
                return self.recipe(stored.digest).digest == stored.digest
            except Unavailable:
                return False
        with self._open_chunk(stored.digest) as file:
            try:
                return digest_of_fd(file.fileno()) == stored.digest
            except OSError:  # the disk itself says that it cannot be read
                return False

    def is_whole(self, digest: str) -> bool:
        """Whether the blob is there by itself, not as chunks."""
        return self.path(digest).exists()

    def begun(self, digest: str) -> int:
        """How much has come of a large content that is sent in pieces."""
        with suppress(FileNotFoundError):
            return (self._aside / check_digest(digest).removeprefix(PREFIX)).stat().st_size
        return 0

    def discard_damaged(self, digest: str) -> Unavailable:
        """Take away a blob whose content was seen to be wrong, so that it can be uploaded again; the error to raise."""
        with suppress(FileNotFoundError):
            self.path(digest).rename(self._aside / new_id())
        with suppress(NotFound, Unavailable):
            self._discard_chunks(self.recipe(digest))
        return blob_damaged(digest)

    def collect(self, used: Collection[str], *, now: float | None = None, dry_run: bool = False) -> int:
        """Remove blobs that are not `used` and were not asked for or written in 24 hours; the bytes that became free.

        `used` must have been read after the blobs' users were written, or at most 24 hours ago. The chunks of what
        stays stay, too. With `dry_run` nothing is removed.
        """
        before = (time.time() if now is None else now) - PINNED_SECONDS
        spared = self._with_chunks(used, before)
        freed = 0
        for number in range(256):
            with locked(self.root, fcntl.LOCK_EX):
                freed += sweep(self.root / f"{number:02x}", spared, before, dry_run=dry_run)
        return freed + sweep(self._aside, (), before, dry_run=dry_run)

    def _with_chunks(self, used: Collection[str], before: float) -> Collection[str]:
        """What is used, and the chunks of all recipes that will stay: used ones, and those asked for lately."""
        spared: set[str] | None = None
        for one in self.stored():
            if one.is_recipe and (one.digest in used or one.changed >= before):
                with suppress(NotFound, Unavailable):
                    spared = set(used) if spared is None else spared
                    spared.update(chunk.digest for chunk in self.recipe(one.digest).chunks)
        return used if spared is None else spared

    def _recipe(self, digest: str) -> Path:
        """Where the recipe of a content is, or would be."""
        return self.path(digest).with_suffix(SUFFIX)

    def _open_chunk(self, digest: str) -> BinaryIO:
        try:
            return self.path(digest).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise no_such_blob(digest) from error

    def _touched(self, digest: str) -> Recipe | None:
        """The recipe of a content, of which all chunks are there: they stay for the next 24 hours. Under the lock."""
        place = self._recipe(digest)
        try:
            os.utime(place)
            recipe = read_recipe(place)
            for chunk in recipe.chunks:
                os.utime(self.path(chunk.digest))
        except (FileNotFoundError, Unavailable):
            return None
        return recipe

    def _discard_chunks(self, recipe: Recipe) -> int:
        """Take away chunks that are not what they should be; how many."""
        count = 0
        for chunk in recipe.chunks:
            with suppress(FileNotFoundError):
                if digest_of(self.path(chunk.digest).read_bytes()) != chunk.digest:
                    self.path(chunk.digest).rename(self._aside / new_id())
                    count += 1
        return count

    def _whole(self, digest: str, size: int) -> bool:
        """Whether the blob is there with its full size; touched, so that it stays."""
        with locked(self.root, fcntl.LOCK_SH):
            return self._touch(digest, size)

    def _touch(self, digest: str, size: int) -> bool:
        """The same, under the lock."""
        place = self.path(digest)
        try:
            if place.stat().st_size == size:
                os.utime(place)
                return True
        except FileNotFoundError:
            pass
        return False

    def _place(self, ready: dict[str, Path]) -> None:
        """Give flushed files their names."""
        places = {digest: self.path(digest) for digest in ready}
        with locked(self.root, fcntl.LOCK_SH):  # collection looks at times, then removes names
            for digest, aside in ready.items():
                aside.replace(places[digest])
        flush_parents(places.values())

    def check_space(self, wanted: int) -> None:
        """Raises Unavailable `disk-full` when so many bytes more would leave less than the reserve."""
        free = free_space(self.root)
        if free < wanted + self._reserve:
            raise disk_reserved(free, wanted, self._reserve)


def free_space(path: Path) -> int:
    """Bytes that ordinary users may still write on the file system of `path`."""
    info = os.statvfs(path)
    return info.f_bavail * info.f_frsize
