"""Digests that are remembered of local files: for just the file that was read, and never in the way."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dais.sdk.digest_cache import DigestCache
from dais.sdk.local_files import stamp_of

DIGEST = "blake3:" + "1" * 64
OLD = (1, 2, 3, 4, 5)


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "cache" / "digests.db")


def test_a_digest_is_known_for_the_same_stamp_alone(cache: DigestCache) -> None:
    cache.put([("/a", OLD, DIGEST), ("/b", OLD, DIGEST)])
    assert cache.known({"/a": OLD, "/c": OLD}) == {"/a": DIGEST}
    for place in range(5):
        other = tuple(value + (at == place) for at, value in enumerate(OLD))
        assert cache.known({"/a": other}) == {}  # type: ignore[dict-item]
    cache.put([("/a", (1, 2, 3, 4, 6), DIGEST.replace("1", "2"))])
    assert cache.known({"/a": OLD}) == {}


def test_what_was_just_written_is_not_remembered(cache: DigestCache, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    fresh = stamp_of(file.stat())
    cache.put([(str(file), fresh, DIGEST)])
    assert cache.known({str(file): fresh}) == {}
    now = time.time_ns()
    cache.put([("/soon", (1, 2, 3, now + 10**12, 5), DIGEST)])
    assert cache.known({"/soon": (1, 2, 3, now + 10**12, 5)}) == {}


def test_a_cache_that_cannot_be_used_is_in_nobodys_way(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(os.urandom(5000))
    below = tmp_path / "file"
    below.write_text("")
    for path in (broken, below / "digests.db"):
        cache = DigestCache(path)
        cache.put([("/a", OLD, DIGEST)])
        assert cache.known({"/a": OLD}) == {}
