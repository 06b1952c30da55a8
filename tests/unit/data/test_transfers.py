"""Packs, digests in memory, and batches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.data.hashing import DigestCache, RunningDigests, check_digest, digest_of
from dais.kit.errors import Invalid
from dais.sdk.local_files import LocalFile, batches
from dais.wire.transfers import PackEntry, PackError, pack_header, unpack


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=10))
def test_what_is_packed_comes_out(contents: list[tuple[str, bytes]]) -> None:
    pack = b"".join(pack_header(PackEntry(path=path, size=len(data))) + data for path, data in contents)
    assert [(entry.path, bytes(data)) for entry, data in unpack(pack)] == contents


@given(st.binary(min_size=1, max_size=40), st.integers(0, 100))
def test_a_pack_that_is_cut_or_none_is_refused(data: bytes, cut: int) -> None:
    whole = pack_header(PackEntry(path="a", size=len(data))) + data
    if 0 < cut < len(whole):
        with pytest.raises(PackError):
            list(unpack(whole[:cut]))


@pytest.mark.parametrize("pack", [b"\xff\xff\xff\xff{}", b"\0\0\0\2[]", b"\0\0\0\x0d" + b'{"size": -10}', b"abc"])
def test_garbage_is_no_pack(pack: bytes) -> None:
    with pytest.raises(PackError):
        list(unpack(pack))


@pytest.mark.parametrize("digest", ["", "blake3:", "sha256:" + "0" * 64, "blake3:" + "0" * 63, "blake3:" + "Z" * 64])
def test_only_digests_are_digests(digest: str) -> None:
    with pytest.raises(Invalid):
        check_digest(digest)


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    """Another write within the same tick of the clock would leave its times as they are."""
    file = tmp_path / "file"
    file.write_bytes(b"one")
    fd = os.open(file, os.O_RDWR)
    cache = DigestCache()
    written = os.fstat(fd).st_ctime_ns
    assert cache.digest(fd, written) == digest_of(b"one")
    assert len(cache._known) == 0
    later = written + DigestCache.FRESH_NS + 1
    assert cache.digest(fd, later) == cache.digest(fd, later) == digest_of(b"one")
    assert len(cache._known) == 1
    os.pwrite(fd, b"two!", 0)
    assert cache.digest(fd, later) == digest_of(b"two!")
    os.close(fd)


def test_a_running_digest_is_only_for_the_very_same_bytes() -> None:
    running = RunningDigests(limit=2)
    hasher = running.take("a", 1, 0)
    assert hasher is not None
    hasher.update(b"abc")
    running.keep("a", 1, 3, hasher)
    assert running.take("a", 1, 3) is hasher
    assert running.take("a", 1, 3) is None, "it was taken"
    for key in "abc":
        running.keep(key, 1, 3, hasher)
    assert running.take("a", 1, 3) is None, "the oldest is forgotten"
    assert running.take("b", 2, 3) is None, "another file"
    assert running.take("c", 1, 4) is None, "another length"


def test_batches_are_bounded_by_bytes_and_by_number() -> None:
    files = [LocalFile(str(number), "", size, False) for number, size in enumerate([5, 5, 1, 20, 1, 1, 1])]
    assert [[file.size for file in batch] for batch in batches(files, 10, 3)] == [[5, 5], [1], [20], [1, 1, 1]]
