"""Sources: manifests of blobs, and their directories again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from dais.data import BlobStore, materialize, source_file, store_source
from dais.data.hashing import digest_of
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable
from dais.wire.transfers import SourceFile, SourceLink, SourceManifest
from tests.support.needs import needs_root


def file(blobs: BlobStore, path: str, data: bytes, *, executable: bool = False) -> SourceFile:
    return SourceFile(path=path, digest=blobs.put(data), size=len(data), executable=executable)


def test_a_source_becomes_its_directory_again(blobs: BlobStore, tmp_path: Path) -> None:
    large = os.urandom(3_000_000)
    manifest = SourceManifest(
        files=[file(blobs, "b/run.sh", b"#!/bin/sh", executable=True), file(blobs, "a", large), file(blobs, "e", b"")],
        links=[SourceLink(path="b/link", target="../a")],
        directories=["out/put"],
    )
    stored = store_source(blobs, manifest)
    assert (stored.files, stored.size) == (3, len(large) + 9)
    turned = SourceManifest(files=manifest.files[::-1], links=manifest.links, directories=manifest.directories)
    assert store_source(blobs, turned).digest == stored.digest, "the order does not count"
    top = tmp_path / "work"
    top.mkdir()
    materialize(blobs, stored.digest, top, uid=None, gid=None)
    assert (top / "b/link").read_bytes() == large
    assert stat.S_IMODE((top / "b/run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((top / "a").stat().st_mode) == 0o644
    assert (top / "a").stat().st_nlink == 1, "a job may write into its copy"
    assert (top / "out/put").is_dir()
    assert source_file(blobs, stored.digest, "b/run.sh") == b"#!/bin/sh"
    assert source_file(blobs, stored.digest, "nope") is None


def test_a_directory_belongs_to_the_jobs_user(blobs: BlobStore, tmp_path: Path) -> None:
    needs_root()
    manifest = SourceManifest(
        files=[file(blobs, "d/a", b"x")], links=[SourceLink(path="l", target="d")], directories=["e"]
    )
    digest = store_source(blobs, manifest).digest
    top = tmp_path / "work"
    top.mkdir()
    materialize(blobs, digest, top, uid=13011, gid=13012)
    for path in top.rglob("*"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (13011, 13012)


def test_what_is_missing_is_named(blobs: BlobStore) -> None:
    absent = SourceFile(path="b", digest=digest_of(b"b"), size=1)
    with pytest.raises(Conflict) as refused:
        store_source(blobs, SourceManifest(files=[file(blobs, "a", b"a"), absent]))
    assert refused.value.fields["missing"] == [digest_of(b"b")]
    with pytest.raises(NotFound):
        source_file(blobs, digest_of(b"no source"), "a")
    with pytest.raises(Invalid):
        source_file(blobs, blobs.put(b"no source"), "a")


@pytest.mark.parametrize(
    "paths, links, directories",
    [
        (["../a"], {}, []),
        (["/a"], {}, []),
        (["a", "a"], {}, []),
        (["a", "a/b"], {}, []),
        (["d/x"], {"d": "e"}, []),
        ([], {"a": "/etc/passwd"}, []),
        ([], {"a": "../x"}, []),
        (["a"], {"a": "b"}, []),
        (["a"], {}, ["a"]),
        (["a"], {}, ["a/b"]),
        ([], {}, [".."]),
    ],
)
def test_sources_that_would_write_elsewhere_are_refused(
    blobs: BlobStore, tmp_path: Path, paths: list[str], links: dict[str, str], directories: list[str]
) -> None:
    manifest = SourceManifest(
        files=[file(blobs, path, b"x") for path in paths],
        links=[SourceLink(path=path, target=target) for path, target in links.items()],
        directories=directories,
    )
    with pytest.raises(Invalid):
        store_source(blobs, manifest)
    planted = blobs.put(msgspec.json.encode(manifest))  # a blob that says it is a manifest
    top = tmp_path / "work"
    top.mkdir()
    with pytest.raises(Invalid):
        materialize(blobs, planted, top, uid=None, gid=None)
    assert list(top.iterdir()) == []


def test_sizes_must_be_true(blobs: BlobStore) -> None:
    wrong = SourceFile(path="a", digest=blobs.put(b"abc"), size=4)
    with pytest.raises(Invalid):
        store_source(blobs, SourceManifest(files=[wrong]))


def test_a_damaged_content_is_told(blobs: BlobStore, tmp_path: Path) -> None:
    digest = store_source(blobs, SourceManifest(files=[file(blobs, "a", b"good")])).digest
    place = blobs.path(digest_of(b"good"))
    place.chmod(0o600)
    place.write_bytes(b"evil")
    top = tmp_path / "work"
    top.mkdir()
    with pytest.raises(Unavailable) as told:
        materialize(blobs, digest, top, uid=None, gid=None)
    assert told.value.code == "blob-damaged"
