"""Looking after the stored contents from the machine itself, while the server runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from dais.app.beside import opened
from dais.app.build import load_settings
from dais.compute.loops.trees import SETS, Trees, trees_in_use
from dais.compute.retention.blobs import collect_blobs, needed
from dais.data import BlobStore, open_blobs, scrub, unsound, versions_with
from dais.provenance import unknown_parents

MOST_NAMED = 1_000
"""Versions of files that a report names."""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that became free, or with `dry_run` would."""

    freed: int
    dry_run: bool


class Sufferer(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a file, `org.account:/path:version`, whose content is `damaged` or `missing`."""

    file: str
    digest: str
    problem: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what is wrong: contents by their digests, those that nothing needs included, and files.

    `parents` are versions of file sets of which is not known what made them, or of what; as sentences.
    """

    contents: int
    size: int
    damaged: list[str]
    missing: list[str]
    files: list[Sufferer]
    parents: list[str]

    @property
    def sound(self) -> bool:
        """Whether nothing that somebody needs is damaged or missing, and all is known of what made what."""
        return not (self.missing or self.files or self.damaged or self.parents)


def _store(data_dir: Path, config: Path | None) -> BlobStore:
    blobs = open_blobs(data_dir, load_settings(data_dir, config)["store"])
    blobs.check()
    return blobs


def collect(data_dir: Path, config: Path | None = None, *, dry_run: bool = False) -> Collected:
    """Free blobs that nothing needs and that are older than a day, and trees of file sets that no job needs.

    Trees go first: what is a link there takes room until then. Raises as `opened`.
    """
    with opened(data_dir, config) as db:
        blobs = _store(data_dir, config)
        trees = Trees(data_dir / SETS, blobs)
        idle = trees.idle()
        needed_ones = db.read_sync(trees_in_use, idle)
        freed = trees.remove([one for one in idle if one not in needed_ones], dry_run=dry_run)
        freed += asyncio.run(collect_blobs(db, blobs, dry_run=dry_run))
        return Collected(freed=freed, dry_run=dry_run)


def examine(
    data_dir: Path,
    config: Path | None = None,
    tell: Callable[[int, int], None] | None = None,
    *,
    discard: bool = False,
) -> Contents:
    """Read all contents again, and look whether all that is needed is there. Raises as `opened`.

    With `discard` damaged contents are taken away: then they are missing, and can be sent again.
    """
    with opened(data_dir, config) as db:
        blobs = _store(data_dir, config)
        read = scrub(blobs, tell)
        wrong = unsound(blobs, asyncio.run(needed(db, blobs)), read.damaged)
        files: list[tuple[str, str]] = db.read_sync(versions_with, list(wrong), MOST_NAMED)
        for digest in read.damaged if discard else ():
            blobs.discard_damaged(digest)
        return Contents(
            contents=read.contents,
            size=read.size,
            damaged=sorted(read.damaged),
            missing=sorted(digest for digest, problem in wrong.items() if problem == "missing"),
            files=[Sufferer(file=file, digest=digest, problem=wrong[digest]) for file, digest in files],
            parents=db.read_sync(unknown_parents),
        )
