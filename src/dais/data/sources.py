"""Sources: directories as they were when a job was submitted, as manifests of blobs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from blake3 import blake3

from dais.data import safe_paths
from dais.data.blobs import BlobStore
from dais.data.durable import write_all
from dais.data.errors import blobs_missing, disk_errors, invalid_path
from dais.data.hashing import CHUNK, PREFIX, check_digest
from dais.data.types import Owner
from dais.data.uploads import check_link
from dais.kit.errors import Invalid
from dais.wire.paths import PathError, check_path, shown
from dais.wire.transfers import MAX_ENTRIES, Source, SourceFile, SourceManifest

PINNED_RECENTLY = 3600.0

_decode = msgspec.json.Decoder(SourceManifest).decode
_new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def store_source(blobs: BlobStore, manifest: SourceManifest) -> Source:
    """Check a manifest and store it; the same directory has the same digest always.

    Raises Invalid where a path or link leads outside or two entries clash, Conflict `blobs-missing` with `missing`.
    """
    ordered = _checked(manifest)
    sizes = {file.digest: file.size for file in ordered.files}
    missing = blobs.missing(sizes)
    if missing:
        raise blobs_missing("contents of the source", missing)
    for file in ordered.files:
        if blobs.size(file.digest) != sizes[file.digest] or file.size != sizes[file.digest]:
            raise Invalid(
                f"{shown(file.path)} is said to have {file.size} bytes, its content has {blobs.size(file.digest)}",
                code="bad-source",
            )
    digest = blobs.put(msgspec.json.encode(ordered))
    return Source(digest=digest, files=len(ordered.files), size=sum(file.size for file in ordered.files))


def read_source(blobs: BlobStore, digest: str) -> SourceManifest:
    """The manifest of a source. Raises NotFound `no-such-blob`, Invalid `bad-source`."""
    try:
        return _decode(blobs.read(digest))
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{digest} is a blob, but not the manifest of a source; make one with POST /v1/sources", code="bad-source"
        ) from error


def pin_source(blobs: BlobStore, digest: str) -> bool:
    """Whether a source is there; if so, it and its contents stay for the next 24 hours.

    One that was stored or pinned in the last hour is not looked into again. Raises as `read_source`.
    """
    age = blobs.age(digest)
    if age is None or not (age < PINNED_RECENTLY or blobs.has(digest)):
        return False
    if age >= PINNED_RECENTLY:
        blobs.missing(file.digest for file in read_source(blobs, digest).files)
    return True


def source_file(blobs: BlobStore, digest: str, path: str) -> bytes | None:
    """The content of one file of a source; None when it has none of that path. Raises NotFound, Invalid."""
    for file in read_source(blobs, digest).files:
        if file.path == path:
            return blobs.read(file.digest)
    return None


def materialize(blobs: BlobStore, digest: str, directory: Path, *, uid: int | None, gid: int | None) -> None:
    """Write a source's files into an existing, empty directory, as copies that belong to `uid` and `gid`. Blocking.

    Every content is verified on the way. Raises NotFound `no-such-blob`, Unavailable `blob-damaged` or `disk-full`.
    What has been written when it raises is the caller's to remove.
    """
    manifest = _checked(read_source(blobs, digest))
    owner = Owner(uid, gid)
    blobs.check_space(sum(file.size for file in manifest.files))
    with (
        disk_errors(str(directory.name)),
        safe_paths.opened(directory) as root,
        safe_paths.Directories(root, create=True, owner=owner) as directories,
    ):
        for path in manifest.directories:
            directories.get(path)
        for file in manifest.files:
            parent, _, name = file.path.rpartition("/")
            fd = os.open(name, _new, 0o600, dir_fd=directories.get(parent))
            try:
                _copy(blobs, file, fd)
                os.fchmod(fd, 0o755 if file.executable else 0o644)
                owner.give(fd)
            finally:
                os.close(fd)
        for link in manifest.links:
            parent, _, name = link.path.rpartition("/")
            within = directories.get(parent)
            os.symlink(link.target, name, dir_fd=within)
            if uid is not None:
                os.chown(name, uid, -1 if gid is None else gid, dir_fd=within, follow_symlinks=False)


def _copy(blobs: BlobStore, file: SourceFile, into: int) -> None:
    hasher = blake3()
    at = 0
    with blobs.open(file.digest) as content:
        while piece := content.read(CHUNK):
            hasher.update(piece)
            write_all(into, piece, at)
            at += len(piece)
    if PREFIX + str(hasher.hexdigest()) != file.digest:
        raise blobs.discard_damaged(file.digest)


def _checked(manifest: SourceManifest) -> SourceManifest:
    """The manifest in its one order. Raises Invalid where it could write outside, or twice to one place."""
    count = len(manifest.files) + len(manifest.links) + len(manifest.directories)
    if count > MAX_ENTRIES:
        raise Invalid(
            f"the source has {count:,} entries, at most {MAX_ENTRIES:,} are taken; leave some out with .daisignore",
            code="too-many-entries",
        )
    try:
        for file in manifest.files:
            check_path(file.path)
            check_digest(file.digest)
        for link in manifest.links:
            check_path(link.path)
            check_link(link.path, link.target)
        for path in manifest.directories:
            check_path(path)
    except PathError as error:
        raise invalid_path(error) from error
    _refuse_clashes(
        [file.path for file in manifest.files] + [link.path for link in manifest.links], manifest.directories
    )
    return SourceManifest(
        files=sorted(manifest.files, key=lambda file: file.path),
        links=sorted(manifest.links, key=lambda link: link.path),
        directories=sorted(manifest.directories),
    )


def _refuse_clashes(leaves: Iterable[str], directories: Iterable[str]) -> None:
    """Nothing may stand twice at one path, nor below a file or link."""
    taken: set[str] = set()
    parents: set[str] = set()
    for path in leaves:
        if path in taken:
            raise Invalid(f"the source has {shown(path)} twice; send each path once", code="bad-source")
        taken.add(path)
        _add_parents(path, parents)
    for path in directories:
        parents.add(path)
        _add_parents(path, parents)
    for path in taken & parents:
        raise Invalid(f"in the source, {shown(path)} is a file and a directory at once", code="bad-source")


def _add_parents(path: str, parents: set[str]) -> None:
    at = path.rfind("/")
    while at > 0 and path[:at] not in parents:
        parents.add(path[:at])
        at = path.rfind("/", 0, at)
