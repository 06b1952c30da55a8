"""Reading every stored content again, and telling which are not what they should be."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dais.data.blobs import BlobStore
from dais.data.hashing import digest_of_fd
from dais.data.recipes import read_recipe
from dais.kit.errors import NotFound, Unavailable


@dataclass
class Scrubbed:
    """What was read: how many contents of how many bytes, and the digests of those that are damaged."""

    contents: int = 0
    size: int = 0
    damaged: set[str] = field(default_factory=set)


def scrub(blobs: BlobStore, tell: Callable[[int, int], None] | None = None) -> Scrubbed:
    """Read all that is stored. `tell` hears how many contents and bytes were read. Blocks, as long as a disk is large.

    Nothing is changed. What is removed meanwhile is passed over.
    """
    found = Scrubbed()
    for digest, place, is_recipe in blobs.stored():
        with suppress(FileNotFoundError):
            if not _sound(digest, place, is_recipe=is_recipe):
                found.damaged.add(digest)
            found.contents += 1
            found.size += place.stat().st_size
            if tell is not None:
                tell(found.contents, found.size)
    return found


def unsound(blobs: BlobStore, digests: Iterable[str], damaged: Collection[str]) -> dict[str, str]:
    """Those of the digests that cannot be read, and why: `missing` or `damaged`, of themselves or of a chunk."""
    found: dict[str, str] = {}
    for digest in digests:
        why = _why(blobs, digest, damaged)
        if why:
            found[digest] = why
    return found


def _why(blobs: BlobStore, digest: str, damaged: Collection[str]) -> str:
    if blobs.path(digest).exists():
        return "damaged" if digest in damaged else ""
    try:
        chunks = [chunk.digest for chunk in blobs.recipe(digest).chunks]
    except NotFound:
        return "missing"
    except Unavailable:
        return "damaged"
    if any(chunk in damaged for chunk in chunks):
        return "damaged"
    return "" if all(blobs.path(chunk).exists() for chunk in chunks) else "missing"


def _sound(digest: str, place: Path, *, is_recipe: bool) -> bool:
    if is_recipe:
        try:
            return read_recipe(place).digest == digest
        except Unavailable:
            return False
    fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return digest_of_fd(fd) == digest
    except OSError:  # the disk itself says that it cannot be read
        return False
    finally:
        os.close(fd)
