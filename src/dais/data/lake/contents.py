"""The steps before a commit: contents are stored, and every one is there, with the size that is said of it."""

from __future__ import annotations

from collections.abc import Sequence

from dais.data.blobs import BlobStore
from dais.data.errors import blobs_missing
from dais.kit.errors import Invalid
from dais.wire.lake import NewVersion
from dais.wire.paths import shown
from dais.wire.transfers import PackError, unpack


def check_contents(blobs: BlobStore, files: Sequence[NewVersion]) -> None:
    """Return when every content is there; then it stays for the next 24 hours. Blocks.

    Raises Conflict `blobs-missing` with `missing`, Invalid `wrong-size`, `bad-digest`.
    """
    sizes = {file.digest: file.size for file in files}
    missing = blobs.missing(sizes)
    if missing:
        raise blobs_missing("contents", missing)
    stored = {digest: blobs.size(digest) for digest in sizes}
    for file in files:
        if file.size != stored[file.digest]:
            raise Invalid(
                f"{shown(file.path)} is said to have {file.size:,} bytes, its content has {stored[file.digest]:,}",
                code="wrong-size",
                path=file.path[:200],
            )


def store_contents(blobs: BlobStore, pack: bytes | memoryview) -> int:
    """Store the contents of a pack, of whose headers `size` and `digest` count; how many there were. Blocks.

    Raises Invalid `bad-pack`, `digest-mismatch`, Unavailable `disk-full`; then nothing of it is stored.
    """
    try:
        entries = list(unpack(pack))
    except PackError as error:
        raise Invalid(str(error), code="bad-pack") from error
    return len(blobs.put_many([content for _, content in entries], [entry.digest for entry, _ in entries]))
