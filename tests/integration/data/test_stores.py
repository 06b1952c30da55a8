"""What every blob store does: the one in a directory, and the one in a bucket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.data import BlobStore, scrub, unsound
from dais.data.hashing import digest_of
from dais.data.recipes import Content
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable
from dais.wire.lake import Chunk, Recipe
from tests.support.buckets import ObjectStore

DAY = 24 * 3600.0
PARTS = [bytes([number]) * 1000 * (number + 1) for number in range(5)]
WHOLE = b"".join(PARTS)
RECIPE = Recipe(digest=digest_of(WHOLE), size=len(WHOLE), chunks=[Chunk(digest_of(part), len(part)) for part in PARTS])


@pytest.fixture(params=["directory", "bucket"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BlobStore]:
    """Opens the store; another time, as after a restart on another machine."""
    if request.param == "directory":
        return lambda: BlobStore(tmp_path / "blobs")
    running: ObjectStore = request.getfixturevalue("objects")
    running.empty()
    number = iter(range(1000))
    return lambda: running.blobs(tmp_path / f"data{next(number)}")


@pytest.fixture
def blobs(again: Callable[[], BlobStore]) -> BlobStore:
    return again()


def test_what_was_put_is_there_for_everybody(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    blobs.check()
    digest = blobs.put(b"hello")
    other = again()
    for store in (blobs, other, other):
        assert store.has(digest)
        assert store.size(digest) == 5
        assert store.read(digest) == b"hello"
        assert store.missing([digest, digest_of(b"x"), digest_of(b"x")]) == [digest_of(b"x")]
        assert store.absent([digest, digest_of(b"x")]) == [digest_of(b"x")]
        age = store.age(digest)
        assert age is not None
        assert -5 < age < 600
    assert other.read(other.put(b"")) == b""
    assert other.age(digest_of(b"x")) is None
    for refused in (other.read, other.size, other.open, other.recipe):
        with pytest.raises(NotFound):
            refused(digest_of(b"x"))
    with pytest.raises(Invalid):
        other.has("../../etc/passwd")


def test_many_are_put_in_order_and_none_when_one_is_wrong(blobs: BlobStore) -> None:
    contents = [bytes([number % 7]) * number * 20 for number in range(150)]
    digests = [digest_of(content) for content in contents]
    with pytest.raises(Invalid, match="digest"):
        blobs.put_many(contents, [*digests[:-1], digests[0]])
    assert list(blobs.stored()) == []
    assert blobs.put_many(contents, digests) == digests
    assert all(blobs.read(digest) == content for digest, content in zip(digests, contents, strict=True))
    assert {one.digest: one.size for one in blobs.stored()} == {
        digest: len(content) for digest, content in zip(digests, contents, strict=True)
    }
    assert list((blobs.root / ".new").iterdir()) == []


def test_a_large_one_comes_in_pieces_and_ranges_of_it_are_read(
    blobs: BlobStore, again: Callable[[], BlobStore]
) -> None:
    content = os.urandom(36_000_001)
    digest, size = digest_of(content), len(content)
    assert blobs.put_piece(digest, content[:20_000_000], offset=0, size=size) == 20_000_000
    assert not blobs.has(digest)
    assert list(blobs.stored()) == [], "nothing half is there"
    with pytest.raises(Conflict) as refused:
        blobs.put_piece(digest, content[30_000_000:], offset=30_000_000, size=size)
    assert refused.value.fields["expected"] == 20_000_000
    assert blobs.put_piece(digest, content[10_000_000:], offset=10_000_000, size=size) == size
    assert blobs.put_piece(digest, content[30_000_000:], offset=30_000_000, size=size) == size, "a lost answer"
    other = again()
    assert other.has(digest)
    with other.open(digest) as file:
        for start, count in ((0, 10), (4 << 20, 100), ((4 << 20) - 5, 10), (size - 3, 100), (size, 5)):
            got = file.read_at(start, count) if isinstance(file, Content) else os.pread(file.fileno(), count, start)
            assert got == content[start : start + count]
    assert other.read(digest) == content


def test_pieces_of_something_else_are_dropped(blobs: BlobStore) -> None:
    digest = digest_of(b"a" * 10)
    with pytest.raises(Invalid) as refused:
        blobs.put_piece(digest, b"b" * 10, offset=0, size=10)
    assert refused.value.code == "digest-mismatch"
    assert not blobs.has(digest)
    assert blobs.begun(digest) == 0


def test_a_content_is_made_of_chunks(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    with pytest.raises(Conflict) as refused:
        blobs.put_recipe(RECIPE)
    assert refused.value.code == "blobs-missing"
    blobs.put_many(PARTS)
    lie = digest_of(b"another")
    with pytest.raises(Invalid) as refused_lie:
        blobs.put_recipe(Recipe(digest=lie, size=RECIPE.size, chunks=RECIPE.chunks))
    assert refused_lie.value.code == "digest-mismatch"
    blobs.put_recipe(RECIPE)
    for store in (blobs, again()):
        assert (store.missing([RECIPE.digest]), store.absent([RECIPE.digest])) == ([], [])
        assert store.size(RECIPE.digest) == len(WHOLE)
        assert store.read(RECIPE.digest) == WHOLE
        with store.open(RECIPE.digest) as content:
            content.seek(900)
            assert content.read(300) == WHOLE[900:1200]


def test_collection_keeps_what_is_used_and_its_chunks(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    used, forgotten = blobs.put(b"used"), blobs.put(b"forgotten")
    blobs.put_many(PARTS)
    blobs.put_recipe(RECIPE)
    now = time.time()
    assert blobs.collect({used}, now=now) == 0, "all are young"
    later = now + 2 * DAY
    other = again()
    assert other.collect({used, RECIPE.digest}, now=later, dry_run=True) == len(b"forgotten")
    assert other.has(forgotten)
    assert again().collect({used, RECIPE.digest}, now=later + DAY) == len(b"forgotten")
    assert again().missing([used, forgotten, RECIPE.digest]) == [forgotten]
    assert again().read(RECIPE.digest) == WHOLE
    again().collect((), now=later + 4 * DAY)
    assert list(again().stored()) == []


def test_a_scrub_reads_everything(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    digest = blobs.put(b"hello")
    blobs.put_many(PARTS)
    blobs.put_recipe(RECIPE)
    found = scrub(again())
    assert (found.contents, found.damaged) == (len(PARTS) + 2, set())
    gone = digest_of(b"gone")
    assert unsound(again(), [digest, RECIPE.digest, gone], ()) == {gone: "missing"}
    assert unsound(again(), [digest, RECIPE.digest], {digest, RECIPE.chunks[1].digest}) == {
        digest: "damaged",
        RECIPE.digest: "damaged",
    }


def test_two_who_finish_the_same_at_once_both_succeed(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    content = os.urandom(3_000_000)
    digest, size = digest_of(content), len(content)
    blobs.put_piece(digest, content[:-1], offset=0, size=size)
    with ThreadPoolExecutor(4) as threads:
        ends = [threads.submit(blobs.put_piece, digest, content[-1:], offset=size - 1, size=size) for _ in range(4)]
        small = [threads.submit(store.put_many, PARTS) for store in (blobs, again()) for _ in range(3)]
    assert [end.result() for end in ends] == [size] * 4
    assert len({tuple(one.result()) for one in small}) == 1
    assert again().read(digest) == content
    assert list((blobs.root / ".new").iterdir()) == []


def test_a_damaged_chunk_is_taken_away_and_can_be_sent_again(blobs: BlobStore, again: Callable[[], BlobStore]) -> None:
    blobs.put_many(PARTS)
    blobs.put_recipe(RECIPE)
    damage(blobs, RECIPE.chunks[2].digest)
    other = again()
    assert scrub(other).damaged == {RECIPE.chunks[2].digest}
    with pytest.raises(Unavailable) as told:
        other.read(RECIPE.digest)
    assert told.value.code == "blob-damaged"
    assert again().missing([RECIPE.digest]) == [RECIPE.digest]
    blobs.put_many(PARTS)
    assert again().read(RECIPE.digest) == WHOLE


def damage(blobs: BlobStore, digest: str) -> None:
    """Change a byte where the store keeps it."""
    name = digest.removeprefix("blake3:")
    bucket = getattr(blobs, "_bucket", None)
    if bucket is not None:
        data = bytearray(bucket.get(f"{name[:2]}/{name}"))
        data[0] ^= 1
        bucket.put(f"{name[:2]}/{name}", data)
        return
    place = blobs.path(digest)
    place.chmod(0o600)
    data = bytearray(place.read_bytes())
    data[0] ^= 1
    place.write_bytes(data)
