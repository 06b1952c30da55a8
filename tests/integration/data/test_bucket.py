"""A bucket that fails, is slow, or is not what the settings say; and an installation over one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dais import Client
from dais.api.rest import all_routes
from dais.data import BlobStore, StoreSettings, open_blobs
from dais.data.blobs import PINNED_SECONDS
from dais.data.bucket import KEY_FILE
from dais.data.bucket_blobs import BucketBlobs
from dais.data.bucket_pins import PINNED_AGAIN, Pins
from dais.data.hashing import digest_of
from dais.kit.database import open_database
from dais.kit.errors import DaisError, Invalid, Unavailable
from dais.kit.vault import KEY_FILE as VAULT_FILE
from dais.kit.vault import Vault
from tests.support.buckets import KEY, NAME, SECRET, FailingProxy, ObjectStore, object_store
from tests.support.database import sqlite_url
from tests.support.serving import Api, api

LARGE = 40 << 20


@pytest.fixture
def bucket(objects: ObjectStore) -> ObjectStore:
    objects.empty()
    return objects


@pytest.fixture
def lake(bucket: ObjectStore, tmp_path: Path) -> Iterator[Api]:
    """An installation whose contents are in a bucket."""
    data = tmp_path / "data"
    data.mkdir()
    with sqlite_url() as url, closing(open_database(url)) as database, api(database, all_routes(), data) as running:
        running.services.parts.blobs = bucket.blobs(data)
        running.services.parts.vault = Vault(data / VAULT_FILE)
        yield running


def refusal(blobs: BlobStore) -> DaisError:
    with pytest.raises(Unavailable) as told:
        blobs.check()
    for secret in (SECRET, KEY):
        assert secret not in told.value.message
    return told.value


def test_what_is_wrong_with_the_settings_is_said(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.blobs(tmp_path).check()
    assert refusal(bucket.blobs(tmp_path, bucket="another-bucket")).code == "store-no-bucket"
    bucket.ask_for_keys(True)
    try:
        assert refusal(bucket.blobs(tmp_path)).code == "store-denied"
        with pytest.raises(Unavailable):
            bucket.blobs(tmp_path).put(b"x")
    finally:
        bucket.ask_for_keys(False)
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(Invalid) as told:
        open_blobs(tmp_path, bucket.settings())
    assert told.value.code == "no-store-key"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    open_blobs(tmp_path, bucket.settings()).check()
    assert type(open_blobs(tmp_path, StoreSettings())) is BlobStore


def test_a_missing_bucket_is_no_missing_content(bucket: ObjectStore, tmp_path: Path) -> None:
    blobs = bucket.blobs(tmp_path, bucket="another-bucket")
    for ask in (blobs.missing, lambda digests: blobs.put_many([b"x"]), lambda digests: blobs.collect(())):
        with pytest.raises(Unavailable) as told:
            ask([digest_of(b"x")])
        assert told.value.code == "store-no-bucket"


def test_a_store_that_is_gone_is_told_and_nothing_is_half_there(tmp_path: Path) -> None:
    with object_store() as running:
        running.empty()
        blobs = running.blobs(tmp_path, patience=1.0)
        digest = blobs.put(b"here before")
        running.process.kill()
        running.process.wait()
        for ask in (lambda: blobs.put(b"new"), lambda: blobs.missing([digest]), lambda: blobs.absent([digest])):
            with pytest.raises(Unavailable) as told:
                ask()
            assert told.value.code == "store-unreachable"
            assert SECRET not in told.value.message
        assert blobs.read(digest) == b"here before", "there is a copy"


@pytest.mark.parametrize("stall", [False, True], ids=["cut", "stalled"])
def test_an_upload_that_is_cut_leaves_nothing_and_goes_on(bucket: ObjectStore, tmp_path: Path, stall: bool) -> None:
    content = os.urandom(LARGE)
    digest = digest_of(content)
    proxy = FailingProxy(bucket.port, LARGE // 2, stall=stall)
    try:
        blobs = bucket.blobs(tmp_path, endpoint=proxy.url, timeout=2.0, patience=1.0)
        with pytest.raises(Unavailable) as told:
            blobs.put_piece(digest, content, offset=0, size=LARGE)
        assert told.value.code == "store-unreachable"
    finally:
        proxy.close()
    again = bucket.blobs(tmp_path)
    assert list(again.stored()) == []
    assert again.missing([digest]) == [digest]
    assert again.begun(digest) == LARGE, "what came to the server need not come again"
    assert again.put_piece(digest, b"", offset=LARGE, size=LARGE) == LARGE
    assert bucket.blobs(tmp_path / "another").read(digest) == content


def test_a_download_that_is_cut_leaves_no_copy(bucket: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(4 << 20)
    digest = bucket.blobs(tmp_path).put(content)
    proxy = FailingProxy(bucket.port, 2 << 20)
    try:
        blobs = bucket.blobs(tmp_path / "another", endpoint=proxy.url, timeout=2.0, patience=1.0)
        with pytest.raises(Unavailable):
            blobs.read(digest)
        assert not blobs.path(digest).exists()
        assert list((blobs.root / ".new").iterdir()) == []
    finally:
        proxy.close()
    assert bucket.blobs(tmp_path / "another").read(digest) == content


def test_what_was_asked_for_is_not_collected(bucket: ObjectStore, tmp_path: Path) -> None:
    asked, forgotten = bucket.blobs(tmp_path).put_many([b"asked", b"forgotten"])
    later = time.time() + PINNED_SECONDS + PINNED_AGAIN + 60
    other = BucketBlobs(tmp_path / "there", bucket.bucket(tmp_path), now=lambda: later)
    assert other.missing([asked]) == []
    assert bucket.blobs(tmp_path).collect((), now=later + 60) == len(b"forgotten")
    assert bucket.blobs(tmp_path).missing([asked, forgotten]) == [forgotten]


def test_a_commit_and_a_collection_at_once_lose_nothing(bucket: ObjectStore, tmp_path: Path) -> None:
    """Whoever was told that a content is there finds it afterwards, whenever collections ran."""
    contents = [b"%d" % number for number in range(200)]
    digests = bucket.blobs(tmp_path).put_many(contents)
    ahead = PINNED_SECONDS + PINNED_AGAIN + 60
    ended = threading.Event()

    def collect() -> None:
        while not ended.is_set():
            bucket.blobs(tmp_path / "collector").collect((), now=time.time() + ahead)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        asking = BucketBlobs(tmp_path / "asks", bucket.bucket(tmp_path), now=lambda: time.time() + ahead)
        for start in range(0, 200, 20):
            wanted = digests[start : start + 20]
            missing = set(asking.missing(wanted))
            asking.put_many([contents[digests.index(digest)] for digest in missing])
            assert asking.absent(wanted) == []
    finally:
        ended.set()
        collector.join()
    assert asking.absent(digests) == []


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_machines_whose_clocks_differ_see_what_is_being_removed(
    bucket: ObjectStore, tmp_path: Path, hours: int
) -> None:
    digest = bucket.blobs(tmp_path).put(b"content")
    pins = Pins(bucket.bucket(tmp_path), time.time)
    other = Pins(bucket.bucket(tmp_path / "there"), lambda: time.time() + hours * 3600)
    asked = threading.Thread(target=other.pin, args=([digest],))
    with pins.sweep([digest]):
        asked.start()
        asked.join(1.0)
        assert asked.is_alive(), "who asks waits until the removal is over"
    asked.join(10.0)
    assert not asked.is_alive()
    assert pins.pinned(time.time() - 3 * 3600) == {digest}


def test_a_sweep_that_a_crash_left_holds_nobody_up(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = bucket.blobs(tmp_path).put(b"content")
    pins = Pins(bucket.bucket(tmp_path), time.time)
    monkeypatch.setattr("dais.data.bucket_pins.SWEEP_SECONDS", 0.0)
    with pins.sweep([digest]):
        pins.pin([digest])


def test_copies_are_bounded_and_those_read_last_stay(bucket: ObjectStore, tmp_path: Path) -> None:
    blobs = bucket.blobs(tmp_path / "writer")
    digests = blobs.put_many([os.urandom(1 << 20) for _ in range(8)])
    reader = BucketBlobs(tmp_path / "reader", bucket.bucket(tmp_path), cache_bytes=4 << 20)
    now = time.time()
    for age, digest in enumerate(reversed(digests)):
        reader.read(digest)
        if reader.path(digest).exists():
            os.utime(reader.path(digest), (now - 1000 + age, now - 1000 + age))
    held = [digest for digest in digests if reader.path(digest).exists()]
    assert held == digests[: len(held)]
    assert 1 <= len(held) <= 4
    assert all(len(reader.read(digest)) == 1 << 20 for digest in digests)


def test_copies_of_another_boot_are_dropped(bucket: ObjectStore, tmp_path: Path) -> None:
    blobs = bucket.blobs(tmp_path)
    digest = blobs.put(b"content")
    (blobs.root / ".boot").write_text("another")
    blobs.path(digest).chmod(0o600)
    blobs.path(digest).write_bytes(b"")
    assert bucket.blobs(tmp_path).read(digest) == b"content"


def test_a_wrong_copy_does_not_take_the_object_away(bucket: ObjectStore, tmp_path: Path) -> None:
    blobs = bucket.blobs(tmp_path)
    digest = blobs.put(b"content")
    blobs.path(digest).chmod(0o600)
    blobs.path(digest).write_bytes(b"conTent")
    with pytest.raises(Unavailable):
        blobs.read(digest)
    assert blobs.read(digest) == b"content"
    assert blobs.missing([digest]) == []


def test_files_of_every_size_go_up_and_come_down(lake: Api, bucket: ObjectStore, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(60):
        (tree / f"{number}").write_bytes(os.urandom(number * 100))
    (tree / "middle").write_bytes(os.urandom(5 << 20))
    (tree / "large").write_bytes(os.urandom(LARGE))
    with Client(lake.url, lake.administrator.token.secret) as client:
        done = client.files.upload_tree(tree, "/all/")
        assert {one.version for one in done} == {1}
        assert {one.version for one in client.files.upload_tree(tree, "/all/")} == {1}
        lake.services.parts.blobs = bucket.blobs(tmp_path / "another")  # nothing is copied there yet
        client.files.download_tree("/all/", tmp_path / "back")
    for path in tree.iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def test_a_store_that_fails_under_an_upload_is_an_answer(lake: Api, bucket: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    lake.services.parts.blobs = bucket.blobs(tmp_path / "x", bucket="another-bucket")
    with Client(lake.url, lake.administrator.token.secret, patience=0) as client:
        with pytest.raises(Exception, match="does not exist") as told:
            client.files.upload([(tmp_path / "file", "/file")])
        assert SECRET not in str(told.value)
        assert list(client.files.ls("/")) == []
    assert NAME not in str(told.value)
