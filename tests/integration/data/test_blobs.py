"""The blob store: whole or absent, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.data import BlobStore
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable

DAY = 24 * 3600.0

WRITER = """
import os, sys
from pathlib import Path
from dais.data import BlobStore
store = BlobStore(Path(sys.argv[1]))
number = 0
while True:
    contents = [b"%d %d " % (number, part) + os.urandom(1000) * (part * 50 + 1) for part in range(8)]
    for digest in store.put_many(contents):
        print(digest, flush=True)
    number += 1
"""


def stored(root: Path) -> list[Path]:
    return [path for path in root.glob("[0-9a-f][0-9a-f]/*") if path.is_file()]


def test_what_was_put_is_there(blobs: BlobStore) -> None:
    digest = blobs.put(b"hello")
    assert digest == digest_of(b"hello")
    assert blobs.has(digest)
    assert blobs.read(digest) == b"hello"
    assert blobs.size(digest) == 5
    assert blobs.put(b"") == digest_of(b"")
    assert blobs.read(digest_of(b"")) == b""
    assert blobs.missing([digest, digest_of(b"x"), digest_of(b"x")]) == [digest_of(b"x")]
    with pytest.raises(NotFound):
        blobs.read(digest_of(b"x"))
    with pytest.raises(Invalid):
        blobs.has("../../etc/passwd")


def test_many_are_put_in_order_and_none_when_one_is_wrong(blobs: BlobStore) -> None:
    contents = [bytes([number % 7]) * number for number in range(300)]
    digests = [digest_of(content) for content in contents]
    with pytest.raises(Invalid, match="digest"):
        blobs.put_many(contents, [*digests[:-1], digests[0]])
    assert stored(blobs.root) == []
    assert blobs.put_many(contents, digests) == digests
    assert all(blobs.read(digest) == content for digest, content in zip(digests, contents, strict=True))
    assert list((blobs.root / ".new").iterdir()) == []


def test_a_large_one_comes_in_pieces_and_goes_on_after_a_restart(blobs: BlobStore) -> None:
    content = os.urandom(1_000_000)
    digest, size = digest_of(content), len(content)
    assert blobs.put_piece(digest, content[:400_000], offset=0, size=size) == 400_000
    assert not blobs.has(digest)
    again = BlobStore(blobs.root)  # its running digest is gone
    with pytest.raises(Conflict) as refused:
        again.put_piece(digest, content[500_000:], offset=500_000, size=size)
    assert refused.value.fields["expected"] == 400_000
    assert again.put_piece(digest, content[300_000:700_000], offset=300_000, size=size) == 700_000
    assert again.put_piece(digest, content[700_000:], offset=700_000, size=size) == size
    assert again.read(digest) == content
    assert again.put_piece(digest, content[700_000:], offset=700_000, size=size) == size, "a lost answer"


def test_pieces_of_something_else_are_dropped(blobs: BlobStore) -> None:
    digest = digest_of(b"a" * 10)
    with pytest.raises(Invalid) as refused:
        blobs.put_piece(digest, b"b" * 10, offset=0, size=10)
    assert refused.value.code == "digest-mismatch"
    assert not blobs.has(digest)
    assert blobs.begun(digest) == 0


def test_a_damaged_blob_is_told_and_can_be_put_again(blobs: BlobStore) -> None:
    digest = blobs.put(b"precious")
    place = blobs.path(digest)
    place.chmod(0o600)
    place.write_bytes(b"predious")
    with pytest.raises(Unavailable) as told:
        blobs.read(digest)
    assert told.value.code == "blob-damaged"
    assert not blobs.has(digest)
    blobs.put(b"precious")
    assert blobs.read(digest) == b"precious"


def test_an_empty_blob_left_by_a_crash_of_the_machine_is_replaced(blobs: BlobStore) -> None:
    place = blobs.path(digest_of(b"content"))
    place.touch()
    blobs.put(b"content")
    assert place.read_bytes() == b"content"


def test_collection_keeps_what_is_used_or_was_asked_for(blobs: BlobStore) -> None:
    used, asked, forgotten = blobs.put(b"used"), blobs.put(b"asked"), blobs.put(b"forgotten")
    (blobs.root / ".new" / "left-by-a-crash").write_bytes(b"half")
    now = time.time()
    assert blobs.collect({used}, now=now) == 0, "all are young"
    for digest in (used, asked, forgotten):
        os.utime(blobs.path(digest), (now - 2 * DAY, now - 2 * DAY))
    assert blobs.missing([asked]) == []
    assert blobs.collect({used}, now=now) == len(b"forgotten")
    assert [blobs.has(digest) for digest in (used, asked, forgotten)] == [True, True, False]
    assert blobs.collect({used, asked}, now=now + 2 * DAY) == len(b"half")
    assert list((blobs.root / ".new").iterdir()) == []


def test_what_was_answered_as_there_is_never_collected(blobs: BlobStore) -> None:
    """Collection runs all the time, and everything is old: only the touch keeps a blob."""
    old = time.time() - 2 * DAY
    digests = blobs.put_many([b"%d" % number for number in range(300)])
    for digest in digests:
        os.utime(blobs.path(digest), (old, old))
    with ThreadPoolExecutor(4) as pool:
        collecting = [pool.submit(blobs.collect, set()) for _ in range(3)]
        absent = set(pool.submit(blobs.missing, digests).result())
        for collected in collecting:
            collected.result()
    there = [digest for digest in digests if digest not in absent]
    assert blobs.missing(there) == []
    assert blobs.missing(digests) == [digest for digest in digests if digest in absent]


def test_the_same_contents_from_many_threads(blobs: BlobStore) -> None:
    contents = [b"%d" % (number % 20) * 1000 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(blobs.put, contents))
    assert all(blobs.read(digest) == content for digest, content in zip(digests, contents, strict=True))
    assert len(stored(blobs.root)) == 20


def test_a_kill_in_the_midst_of_puts_leaves_whole_blobs_only(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    for kills in (5, 40, 90):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(root)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        answered = [process.stdout.readline().strip() for _ in range(kills)]
        process.send_signal(signal.SIGKILL)
        answered += process.stdout.read().split()[:-1]  # the last line may be cut
        process.wait()
        process.stdout.close()
        store = BlobStore(root)
        assert store.missing(answered) == []
        for path in stored(root):
            assert digest_of(path.read_bytes()) == f"blake3:{path.name}"


def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path) -> None:
    store = BlobStore(small_disk / "blobs")
    kept = store.put(b"small")
    with pytest.raises(Unavailable) as told:
        store.put_many([os.urandom(1 << 20) for _ in range(20)])
    assert told.value.code == "disk-full"
    large = os.urandom(6 << 20)
    assert store.put_piece(digest_of(large), large[: 5 << 20], offset=0, size=len(large)) == 5 << 20
    (small_disk / "others").write_bytes(os.urandom(2 << 20))
    with pytest.raises(Unavailable) as told:
        store.put_piece(digest_of(large), large[5 << 20 :], offset=5 << 20, size=len(large))
    assert told.value.code == "disk-full"
    assert list((small_disk / "blobs/.new").iterdir()) == [], "what cannot be finished does not fill the disk"
    assert store.read(kept) == b"small"


def test_the_reserve_is_left_free(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs", reserve=1 << 50)
    with pytest.raises(Unavailable, match=r"1 PiB stay free .*, and 1 B more") as told:
        store.put(b"x")
    assert told.value.code == "disk-full"
