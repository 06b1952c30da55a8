"""Large contents as the chunks that make them: what is sent, what is believed, what is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais import Client
from dais.data import BlobStore
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable
from dais.sdk.chunking import can_cut
from dais.sdk.progress import Progress
from dais.wire.lake import Chunk, Recipe
from tests.support.serving import Api, lake_api

DAY = 25 * 3600.0
PARTS = [bytes([number]) * 1000 * (number + 1) for number in range(5)]
WHOLE = b"".join(PARTS)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Api]:
    """An installation with a blob store."""
    with lake_api(tmp_path / "data") as running:
        yield running


def recipe(*parts: bytes, digest: str = "") -> Recipe:
    whole = b"".join(parts)
    chunks = [Chunk(digest_of(part), len(part)) for part in parts]
    return Recipe(digest=digest or digest_of(whole), size=len(whole), chunks=chunks)


def test_a_content_made_of_chunks_is_read_like_any_other(blobs: BlobStore) -> None:
    with pytest.raises(Conflict) as refused:
        blobs.put_recipe(recipe(*PARTS))
    assert refused.value.code == "blobs-missing"
    blobs.put_many(PARTS)
    made = recipe(*PARTS)
    blobs.put_recipe(made)
    assert (blobs.has(made.digest), blobs.size(made.digest)) == (True, len(WHOLE))
    assert blobs.read(made.digest) == WHOLE
    chance = random.Random(5)
    with blobs.open(made.digest) as content:
        for _ in range(50):
            start, count = chance.randrange(len(WHOLE) + 10), chance.randrange(9000)
            content.seek(start)
            assert content.read(count) == WHOLE[start : start + count]


@pytest.mark.parametrize("wrong", ["order", "digest", "size", "empty"])
def test_a_wrong_recipe_gives_no_content_another_name(blobs: BlobStore, wrong: str) -> None:
    blobs.put_many(PARTS)
    victim = digest_of(b"somebody else's content")
    made = {
        "order": recipe(*PARTS[::-1], digest=digest_of(WHOLE)),
        "digest": recipe(*PARTS, digest=victim),
        "size": Recipe(digest=digest_of(WHOLE), size=3, chunks=recipe(*PARTS).chunks),
        "empty": Recipe(digest=victim, size=0, chunks=[]),
    }[wrong]
    with pytest.raises(Invalid) as refused:
        blobs.put_recipe(made)
    assert refused.value.code in ("digest-mismatch", "bad-recipe")
    assert not blobs.has(made.digest)
    with pytest.raises(NotFound):
        blobs.open(made.digest)


def test_collection_keeps_the_chunks_of_what_is_kept(blobs: BlobStore) -> None:
    shared, own, other = b"s" * 100, b"o" * 100, b"x" * 100
    blobs.put_many([shared, own, other])
    needed, unneeded = recipe(shared, own), recipe(shared, other)
    blobs.put_recipe(needed)
    blobs.put_recipe(unneeded)
    later = time.time() + DAY
    freed = blobs.collect({needed.digest}, now=later, dry_run=True)
    assert blobs.has(unneeded.digest)
    assert blobs.collect({needed.digest}, now=time.time() + DAY) == freed > 100
    assert (blobs.has(needed.digest), blobs.has(unneeded.digest), blobs.has(digest_of(other))) == (True, False, False)
    assert blobs.read(needed.digest) == shared + own
    assert blobs.collect(set(), now=time.time()) == 0  # what was asked for lately stays, with its chunks
    assert blobs.read(needed.digest) == shared + own


def test_a_damaged_chunk_is_taken_away_and_can_be_sent_again(blobs: BlobStore) -> None:
    blobs.put_many(PARTS)
    made = recipe(*PARTS)
    blobs.put_recipe(made)
    damaged = blobs.path(made.chunks[2].digest)
    damaged.chmod(0o644)
    damaged.write_bytes(b"?" * len(PARTS[2]))
    with pytest.raises(Unavailable, match="upload it again"):
        blobs.read(made.digest)
    assert not blobs.has(made.digest)
    blobs.put(PARTS[2])
    assert blobs.read(made.digest) == WHOLE


@pytest.mark.skipif(not can_cut(), reason="pyfastcdc is not compiled here")
def test_a_large_file_with_a_small_change_is_hardly_sent(lake: Api, tmp_path: Path) -> None:
    chance = random.Random(7)
    content = chance.randbytes(40 << 20)
    place = tmp_path / "large"
    place.write_bytes(content)
    stored = tmp_path / "data/blobs"

    def size() -> int:
        return sum(path.stat().st_size for path in stored.glob("??/*"))

    with Client(lake.url, lake.administrator.token.secret) as client:
        client.files.upload([(place, "/large")])
        before = size()
        assert len(content) <= before < len(content) + (1 << 20)
        changed = content[: 20 << 20] + chance.randbytes(1 << 20) + content[(20 << 20) + 5 :]
        place.write_bytes(changed)
        told: list[Progress] = []
        assert client.files.upload([(place, "/large")], progress=told.append)[0].version == 2
        assert size() - before < 10 << 20
        assert told[-1].bytes == told[-1].total_bytes == len(changed)
        assert client.files.upload([(place, "/again")])[0].state == "new"
        client.files.download([("/large:1", str(tmp_path / "one")), ("/large", str(tmp_path / "two"))])
    assert (tmp_path / "one").read_bytes() == content
    assert (tmp_path / "two").read_bytes() == changed
    answer = lake.ask("GET", "/v1/files/content?path=/large", headers={"Range": "bytes=20000000-20009999"})
    assert (answer.status, answer.body) == (206, changed[20_000_000:20_010_000])
