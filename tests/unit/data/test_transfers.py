"""Packs, digests in memory, and batches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.data.hashing import TURN, DigestCache, RunningDigests, check_digest, digest_of
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


def test_a_growing_file_is_hashed_beside_its_writers(tmp_path: Path) -> None:
    running = RunningDigests(limit=2)
    fd = os.open(tmp_path / "growing", os.O_RDWR | os.O_CREAT)
    data = os.urandom(3 * TURN + 5)
    for start in range(0, len(data), 1_000_000):
        piece = data[start : start + 1_000_000]
        os.pwrite(fd, piece, start)
        running.grown("a", fd, start, start + len(piece))
    assert running.digest("a", fd, len(data)) == digest_of(data)
    assert running._running == {}, "it was taken"
    assert running.digest("a", fd, len(data)) == digest_of(data), "what is not known is read again"
    os.close(fd)


def test_a_running_digest_is_only_for_the_very_same_file(tmp_path: Path) -> None:
    running = RunningDigests(limit=2)

    def written(name: str, content: bytes) -> int:
        fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, content, 0)
        return fd

    one, other = written("one", b"one"), written("other", b"other")
    running.grown("a", one, 0, 3)
    assert running.digest("a", other, 5) == digest_of(b"other"), "another file"
    running.grown("a", one, 0, 3)
    os.pwrite(one, b"ONE!", 0)
    running.grown("a", one, 0, 3)
    running.grown("a", one, 3, 4)
    assert running.digest("a", one, 4) == digest_of(b"ONE!"), "it was begun anew"
    running.grown("a", one, 0, 4)
    os.ftruncate(one, 3)
    assert running.digest("a", one, 3) == digest_of(b"ONE"), "it became shorter"
    for key in "abc":
        running.grown(key, one, 0, 3)
    assert list(running._running) == ["b", "c"], "the oldest is forgotten"
    os.close(one)
    os.close(other)


def test_batches_are_bounded_by_bytes_and_by_number() -> None:
    files = [
        LocalFile(str(number), "", size, False, (0, 0, size, 0, 0))
        for number, size in enumerate([5, 5, 1, 20, 1, 1, 1])
    ]
    assert [[file.size for file in batch] for batch in batches(files, 10, 3)] == [[5, 5], [1], [20], [1, 1, 1]]
