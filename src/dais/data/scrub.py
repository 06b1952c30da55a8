"""Reading every stored content again, and telling which are not what they should be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from dais.data.blobs import BlobStore
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
    for one in blobs.stored():
        with suppress(NotFound):
            if not blobs.sound(one):
                found.damaged.add(one.digest)
            found.contents += 1
            found.size += one.size
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
    if blobs.is_whole(digest):
        return "damaged" if digest in damaged else ""
    try:
        chunks = [chunk.digest for chunk in blobs.recipe(digest).chunks]
    except NotFound:
        return "missing"
    except Unavailable:
        return "damaged"
    if any(chunk in damaged for chunk in chunks):
        return "damaged"
    return "" if not blobs.absent(chunks) else "missing"
