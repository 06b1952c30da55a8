"""The blob store over a bucket. The directory keeps what comes in pieces, and copies of what was read last.

An object is there whole or not at all, and is made of bytes that were verified before. The names are those of the
directory store, so that copying one into the other moves an installation. What is read is verified when it is copied
here; copies of an earlier boot of the machine are not trusted, for nothing flushes them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from blake3 import blake3

from dais.data.blob_files import stored_as, sweep
from dais.data.blobs import PINNED_SECONDS, BlobStore
from dais.data.bucket import Bucket
from dais.data.bucket_pins import PINNED_AGAIN, Pins
from dais.data.copies import Copies
from dais.data.durable import write_all
from dais.data.errors import blob_damaged, disk_errors, no_such_blob
from dais.data.hashing import PREFIX, check_digest
from dais.data.pieces import Data
from dais.data.recipes import SUFFIX, ChunkedContent, Content, decode_recipe, read_recipe
from dais.data.types import Stored
from dais.kit.errors import NotFound, Unavailable
from dais.kit.ids import new_id
from dais.wire.lake import Recipe

SMALL = 256 << 10
"""What is put without a look whether it is there: the look costs as much."""

COPIED = 16 << 20
"""Blobs up to this size are copied whole when they are read; of larger ones only what is wanted comes."""

BLOCK = 4 << 20
GONE_AT_ONCE = 1_000


class BucketBlobs(BlobStore):
    """Blobs in a bucket, with `root` on this machine beside. `cache_bytes` bounds the copies."""

    flushed = False

    def __init__(
        self,
        root: Path,
        bucket: Bucket,
        *,
        reserve: int = 0,
        cache_bytes: int = 10 << 30,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(root, reserve=reserve)
        self._bucket = bucket
        self._now = now
        self._pins = Pins(bucket, now)
        self._copies = Copies(root, cache_bytes)

    def check(self) -> None:
        self._bucket.check()

    def missing(self, digests: Iterable[str]) -> list[str]:
        wanted = list(dict.fromkeys(map(check_digest, digests)))
        self._pins.pin(wanted)
        recipes: dict[str, Recipe] = {}
        absent = self._absent(wanted, recipes)
        if recipes:
            chunks = {chunk.digest for recipe in recipes.values() for chunk in recipe.chunks}
            self._pins.pin(chunks)
            gone = self._not_whole(chunks)
            absent += [
                digest for digest, recipe in recipes.items() if any(chunk.digest in gone for chunk in recipe.chunks)
            ]
        return absent

    def absent(self, digests: Iterable[str]) -> list[str]:
        recipes: dict[str, Recipe] = {}
        absent = self._absent(list(dict.fromkeys(digests)), recipes)
        gone = self._not_whole({chunk.digest for recipe in recipes.values() for chunk in recipe.chunks})
        return absent + [
            digest for digest, recipe in recipes.items() if any(chunk.digest in gone for chunk in recipe.chunks)
        ]

    def _absent(self, digests: list[str], recipes: dict[str, Recipe]) -> list[str]:
        """Those that are there neither whole nor as a recipe; recipes that were found are added to `recipes`."""
        absent: list[str] = []
        gone = self._not_whole(digests)
        for digest in digests:
            if digest in gone:
                try:
                    recipes[digest] = self.recipe(digest)
                except (NotFound, Unavailable) as error:
                    if isinstance(error, Unavailable) and error.code != "blob-damaged":
                        raise
                    absent.append(digest)
        return absent

    def _not_whole(self, digests: Iterable[str]) -> set[str]:
        wanted = list(digests)
        sizes = self._bucket.each(self._bucket.size, map(_key, wanted))
        return {digest for digest, size in zip(wanted, sizes, strict=True) if size is None}

    def is_whole(self, digest: str) -> bool:
        return self._bucket.size(_key(digest)) is not None

    def age(self, digest: str) -> float | None:
        found = self._bucket.look(_key(digest)) or self._bucket.look(_key(digest) + SUFFIX)
        if found is None:
            return None
        pinned = self._pins.age(digest)
        written = self._now() - found.changed
        return written if pinned is None else min(written, pinned)

    def size(self, digest: str) -> int:
        with suppress(FileNotFoundError):
            return self.path(digest).stat().st_size
        found = self._bucket.size(_key(digest))
        return self.recipe(digest).size if found is None else found

    def recipe(self, digest: str) -> Recipe:
        with suppress(FileNotFoundError, Unavailable):
            return read_recipe(self._recipe(digest))
        data = self._bucket.get(_key(digest) + SUFFIX)
        if data is None:
            raise no_such_blob(digest)
        recipe = decode_recipe(data, digest)
        self._copies.keep(self._recipe(digest), data)
        return recipe

    def open(self, digest: str) -> BinaryIO:
        copy = self._copies.open(self.path(digest))
        if copy is not None:
            return copy
        size = self._bucket.size(_key(digest))
        if size is None:
            return cast("BinaryIO", ChunkedContent(self.recipe(digest), self._open_chunk))
        if size <= COPIED:
            return self._open_chunk(digest)
        return cast("BinaryIO", RangedContent(self._bucket, digest, size))

    def _open_chunk(self, digest: str) -> BinaryIO:
        """A copy of the blob, which is made if need be. Raises NotFound, Unavailable."""
        copy = self._copies.open(self.path(digest))
        return self._copy(digest) if copy is None else copy

    def _copy(self, digest: str) -> BinaryIO:
        hasher, at = blake3(), 0
        aside = self._aside / new_id()
        with disk_errors("a copy of a blob"), aside.open("xb", buffering=0) as file:
            try:

                def write(piece: bytes) -> None:
                    nonlocal at
                    hasher.update(piece)
                    write_all(file.fileno(), piece, at)
                    at += len(piece)

                if not self._bucket.read(_key(digest), write):
                    raise no_such_blob(digest)
                if PREFIX + hasher.hexdigest() != digest:
                    raise self.discard_damaged(digest)
                os.fchmod(file.fileno(), 0o444)
                copy = aside.open("rb", buffering=0)
                self._copies.place(aside, self.path(digest), at)
            finally:
                aside.unlink(missing_ok=True)
        return copy

    def sound(self, stored: Stored) -> bool:
        if stored.is_recipe:
            data = self._bucket.get(_key(stored.digest) + SUFFIX)
            if data is None:
                raise no_such_blob(stored.digest)
            try:
                return decode_recipe(data, stored.digest).digest == stored.digest
            except Unavailable:
                return False
        return self._read_through(stored.digest) == stored.digest

    def _read_through(self, digest: str) -> str:
        """The digest of what the bucket has under this one. Raises NotFound."""
        hasher = blake3()

        def write(piece: bytes) -> None:
            hasher.update(piece)

        if not self._bucket.read(_key(digest), write):
            raise no_such_blob(digest)
        return PREFIX + str(hasher.hexdigest())

    def discard_damaged(self, digest: str) -> Unavailable:
        """Of a blob whose copy here was wrong the object may be right: then it stays."""
        self.path(digest).unlink(missing_ok=True)
        try:
            if self._read_through(digest) != digest:
                self._bucket.delete([_key(digest)])
        except NotFound:
            with suppress(NotFound, Unavailable):
                self._discard_chunks(self.recipe(digest))
        return blob_damaged(digest)

    def _discard_chunks(self, recipe: Recipe) -> int:
        damaged: list[str] = []
        for chunk in recipe.chunks:
            with suppress(NotFound):
                if self._read_through(chunk.digest) != chunk.digest:
                    damaged.append(chunk.digest)
                    self.path(chunk.digest).unlink(missing_ok=True)
        self._bucket.delete([_key(digest) for digest in damaged])
        return len(damaged)

    def _whole(self, digest: str, size: int) -> bool:
        self._pins.pin([digest])
        return self._bucket.size(_key(digest)) == size

    def _new(self, given: Mapping[str, Data]) -> list[tuple[str, Data]]:
        self._pins.pin(given)
        large = [digest for digest, content in given.items() if len(content) > SMALL]
        sizes = dict(zip(large, self._bucket.each(self._bucket.size, map(_key, large)), strict=True))
        return [(digest, content) for digest, content in given.items() if sizes.get(digest) != len(content)]

    def _put_group(self, new: list[tuple[str, Data]]) -> None:
        for _ in self._bucket.each(lambda one: self._bucket.put(_key(one[0]), one[1]), new):
            pass
        for digest, content in new:
            self._copies.keep(self.path(digest), content)

    def _place(self, ready: dict[str, Path]) -> None:
        for digest, aside in ready.items():
            size = aside.stat().st_size
            self._bucket.put_file(_key(digest), aside, size)
            self._copies.place(aside, self.path(digest), size)

    def _keep_recipe(self, recipe: Recipe) -> None:
        self._pins.pin([recipe.digest])
        self._bucket.put(_key(recipe.digest) + SUFFIX, msgspec.json.encode(recipe))

    def stored(self) -> Iterator[Stored]:
        for one in self._bucket.list():
            directory, _, name = one.key.rpartition("/")
            if len(directory) == 2 and name.startswith(directory) and len(name.removesuffix(SUFFIX)) == 64:
                yield stored_as(name, one.size, one.changed)

    def collect(self, used: Collection[str], *, now: float | None = None, dry_run: bool = False) -> int:
        before = (self._now() if now is None else now) - PINNED_SECONDS
        pinned = self._pins.pinned(before - PINNED_AGAIN, drop=not dry_run)
        spared = self._with_chunks(set(used) | pinned, before)
        going = [one for one in self.stored() if one.changed < before and one.digest not in spared]
        freed = 0
        for start in range(0, len(going), GONE_AT_ONCE):
            freed += self._remove(going[start : start + GONE_AT_ONCE], before, dry_run=dry_run)
        self._copies.evict()
        return freed + sweep(self._aside, (), before, dry_run=dry_run)

    def _remove(self, going: list[Stored], before: float, *, dry_run: bool) -> int:
        """Remove what was not pinned meanwhile; the bytes."""
        if dry_run:
            return sum(one.size for one in going)
        with self._pins.sweep({one.digest for one in going}) as timely:
            pinned = self._pins.pinned(before - PINNED_AGAIN)
            gone = [one for one in going if one.digest not in pinned]
            if not timely():
                return 0
            self._bucket.delete([_key(one.digest) + (SUFFIX if one.is_recipe else "") for one in gone])
        for one in gone:
            place = self._recipe(one.digest) if one.is_recipe else self.path(one.digest)
            place.unlink(missing_ok=True)
        return sum(one.size for one in gone)


class RangedContent(Content):
    """A large blob in a bucket, of which what is wanted comes, in blocks."""

    def __init__(self, bucket: Bucket, digest: str, size: int) -> None:
        super().__init__(size)
        self._bucket = bucket
        self._digest = digest
        self._block = b""
        self._start = 0

    def read_at(self, offset: int, count: int) -> bytes:
        found = bytearray()
        count = min(count, max(0, self.size - offset))
        while len(found) < count:
            at = offset + len(found)
            if not self._start <= at < self._start + len(self._block):
                start = at - at % BLOCK
                block = self._bucket.get_range(_key(self._digest), start, min(BLOCK, self.size - start))
                if block is None:
                    raise no_such_blob(self._digest)
                if not block:
                    raise blob_damaged(self._digest)
                self._start, self._block = start, block
            inside = at - self._start
            found += self._block[inside : inside + count - len(found)]
        return bytes(found)


def _key(digest: str) -> str:
    digits = check_digest(digest).removeprefix(PREFIX)
    return f"{digits[:2]}/{digits}"
