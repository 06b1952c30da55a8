"""Trees of file sets on the server's disk: links, copies, and when they go."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.compute.loops.trees import KEPT_SECONDS, Trees
from dais.data import BlobStore, LakeFile, TreeWriter
from dais.data.hashing import digest_of
from dais.kit.errors import NotFound, Unavailable
from dais.kit.ids import new_id
from dais.wire.lake import Chunk, Recipe

LATER = KEPT_SECONDS + 60


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def trees(tmp_path: Path, blobs: BlobStore) -> Trees:
    return Trees(tmp_path / "sets", blobs)


def version(path: str, digest: str, size: int, *, executable: bool = False) -> LakeFile:
    return LakeFile(
        id=path,
        file_id=path,
        path=path,
        version=1,
        digest=digest,
        size=size,
        executable=executable,
        created_by="",
        created_at=0,
    )


def stored(blobs: BlobStore, path: str, content: bytes, *, executable: bool = False) -> LakeFile:
    return version(path, blobs.put(content), len(content), executable=executable)


def nobody(count: int) -> None:
    """Is told of bytes."""


def test_contents_are_linked_and_what_has_other_rights_is_copied(trees: Trees, blobs: BlobStore) -> None:
    plain, program = stored(blobs, "/a/b", b"one"), stored(blobs, "/run", b"two", executable=True)
    told: list[int] = []
    tree = trees.ensure(new_id(), [plain, program], told.append)
    assert (tree / "a/b").samefile(blobs.path(plain.digest))
    assert not (tree / "run").samefile(blobs.path(program.digest))
    assert [(tree / name).stat().st_mode & 0o777 for name in ("a/b", "run")] == [0o444, 0o555]
    assert sum(told) == 6


def test_chunked_contents_are_put_together(trees: Trees, blobs: BlobStore) -> None:
    parts = [os.urandom(5000), os.urandom(7000)]
    whole = b"".join(parts)
    blobs.put_many(parts)
    chunks = [Chunk(digest_of(part), len(part)) for part in parts]
    blobs.put_recipe(Recipe(digest=digest_of(whole), size=len(whole), chunks=chunks))
    tree = trees.ensure(new_id(), [version("/whole", digest_of(whole), len(whole))], nobody)
    assert (tree / "whole").read_bytes() == whole


def test_copies_are_verified_and_belong_to_nobody_else(tmp_path: Path, blobs: BlobStore) -> None:
    file = stored(blobs, "/x/y", b"content")
    (tmp_path / "work").mkdir()
    TreeWriter(blobs, links=False).write(tmp_path / "work", [file], nobody)
    copy = tmp_path / "work/x/y"
    assert not copy.samefile(blobs.path(file.digest))
    with pytest.raises(FileExistsError):
        TreeWriter(blobs, links=False).write(tmp_path / "work", [file], nobody)
    damaged = blobs.path(file.digest)
    damaged.chmod(0o600)
    damaged.write_bytes(b"CONTENT")
    (tmp_path / "other").mkdir()
    longer = version("/z", file.digest, 8)  # of another size: extents are not shared either
    with pytest.raises(Unavailable, match="damaged"):
        TreeWriter(blobs, links=False).write(tmp_path / "other", [longer], nobody)


def test_a_tree_appears_whole_or_not_at_all(trees: Trees, blobs: BlobStore) -> None:
    missing = version("/gone", digest_of(b"never stored"), 12)
    name = new_id()
    with pytest.raises(NotFound):
        trees.ensure(name, [stored(blobs, "/a", b"a"), missing], nobody)
    assert not trees.path(name).exists()
    assert list(trees.path(name).parent.iterdir()) == []


def test_many_who_want_one_tree_get_the_same(trees: Trees, blobs: BlobStore, tmp_path: Path) -> None:
    files = [stored(blobs, f"/{number}", os.urandom(10)) for number in range(50)]
    others = Trees(tmp_path / "sets", blobs)  # as another group has
    name = new_id()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: (trees, others)[n % 2].ensure(name, files, nobody), range(16)))
    assert found == {trees.path(name)}
    assert [path.name for path in (tmp_path / "sets").iterdir()] == [name]
    assert len(list(trees.path(name).iterdir())) == 50


def test_a_tree_goes_when_nobody_asked_for_it_lately(trees: Trees, blobs: BlobStore) -> None:
    files = [stored(blobs, "/a", b"a")]
    old, used = new_id(), new_id()
    for name in (old, used):
        trees.ensure(name, files, nobody)
    now = time.time() + LATER
    assert sorted(trees.idle(now=now)) == sorted([old, used])
    assert trees.idle() == []
    os.utime(trees.path(used), (now, now))  # a job asks for it between the look and the removal
    trees.remove([old, used], now=now)
    assert [trees.path(name).exists() for name in (old, used)] == [False, True]
    assert blobs.read(files[0].digest) == b"a"


def test_removing_tells_what_only_the_tree_held(trees: Trees, blobs: BlobStore) -> None:
    files = [stored(blobs, "/linked", b"12345"), stored(blobs, "/run", b"123", executable=True)]
    name = new_id()
    trees.ensure(name, files, nobody)
    later = time.time() + LATER
    assert trees.remove([name, new_id()], now=later, dry_run=True) == 3
    assert trees.path(name).exists()
    assert trees.remove([name], now=later) == 3
    assert not trees.path(name).exists()


def test_a_tree_is_not_removed_by_another_process_while_it_is_taken(
    trees: Trees, blobs: BlobStore, tmp_path: Path
) -> None:
    name = new_id()
    trees.ensure(name, [stored(blobs, "/a", b"a")], nobody)
    with ThreadPoolExecutor(1) as pool, trees._alone():
        going = pool.submit(Trees(tmp_path / "sets", blobs).remove, [name], now=time.time() + LATER)
        os.utime(trees.path(name), (time.time() + LATER, time.time() + LATER))
        assert not going.done()
    assert going.result() == 0
    assert trees.path(name).exists()


def test_many_copies_of_a_tree_are_flushed_and_closed(trees: Trees, blobs: BlobStore) -> None:
    files = [stored(blobs, f"/{number}", b"%d" % number, executable=True) for number in range(150)]
    before = len(list(Path("/proc/self/fd").iterdir()))
    tree = trees.ensure(new_id(), files, nobody)
    assert len(list(tree.iterdir())) == 150
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8


def test_what_a_crash_left_half_made_goes_a_day_later(trees: Trees, tmp_path: Path) -> None:
    half = tmp_path / "sets" / f".{new_id()}"
    half.mkdir(parents=True)
    trees.sweep()
    assert half.exists()
    trees.sweep(now=time.time() + 25 * 3600)
    assert not half.exists()
