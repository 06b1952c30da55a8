"""What moves files: packs of many small ones, manifests of sources, comparisons.

A pack is a sequence of entries, each a header of JSON behind its length (4 bytes, big-endian), then `size` bytes of
content. One request carries thousands of small files so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

PACK_TYPE = "application/vnd.dais.pack"

SMALL_FILE = 1 << 20
"""Files below this many bytes travel in packs, larger ones alone, in pieces."""

PACK_BYTES = 4 << 20
"""Content after which a sender closes a pack."""

PACK_ENTRIES = 1_000
"""Entries after which a sender closes a pack."""

MAX_PACK = 16 << 20
"""Bytes of a pack that a receiver takes."""

MAX_ENTRIES = 1_000_000
"""Entries of one push, pull or source."""

PIECE_BYTES = 8 << 20
"""Bytes of a large file that one request carries."""

HASHED_RANGE = 16 << 20
"""A download of at most so many bytes tells their digest in the header `Dais-Digest`."""

_length = struct.Struct(">I")
_encode = msgspec.json.Encoder().encode

EntryKind = Literal["file", "directory", "link", "absent", "large"]


class PackError(ValueError):
    """A pack that is cut off, or is none."""


class PackEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One header of a pack. `absent` and `large` answer a fetch: no such file, or one that must be fetched alone."""

    path: str = ""
    kind: EntryKind = "file"
    size: int = 0
    digest: str = ""
    executable: bool = False
    target: str = ""


_decode = msgspec.json.Decoder(PackEntry).decode


def pack_header(entry: PackEntry) -> bytes:
    """The header of an entry; its content follows it."""
    header = _encode(entry)
    return _length.pack(len(header)) + header


def unpack(data: bytes | bytearray | memoryview) -> Iterator[tuple[PackEntry, memoryview]]:
    """The entries of a pack with their contents. Raises PackError."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        start = at + _length.size
        if start > len(view):
            raise PackError("the pack ends inside a header; send it again")
        end = start + _length.unpack_from(view, at)[0]
        if end > len(view):
            raise PackError("the pack ends inside a header; send it again")
        try:
            entry = _decode(view[start:end])
        except msgspec.DecodeError as error:
            raise PackError(f"a header of the pack is wrong: {error}") from error
        at = end + entry.size
        if entry.size < 0 or at > len(view):
            raise PackError(f"the pack ends inside the content of {entry.path!r}; send it again")
        yield entry, view[end:at]


class SourceFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A file of a source; its content is the blob of that digest."""

    path: str
    digest: str
    size: int
    executable: bool = False


class SourceLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A symbolic link of a source, which leads to a place inside it."""

    path: str
    target: str


class SourceManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory as it was: stored as a blob, whose digest is a job's `source`. `directories` lists empty ones."""

    files: list[SourceFile] = []
    links: list[SourceLink] = []
    directories: list[str] = []


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A stored source."""

    digest: str
    files: int
    size: int


class Digests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Digests of blobs, `blake3:<64 hex digits>`."""

    digests: list[str]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries of a pack were stored."""

    entries: int


class Local(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file as the client has it."""

    path: str
    size: int
    digest: str
    executable: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to compare with what the folder holds; `begun` asks for pieces that came before an interruption, too."""

    files: list[Local]
    begun: bool = False


class Compared(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file's comparison, in the order asked. `same` means content and executable bit; `offset` bytes have come."""

    state: Literal["same", "different", "absent"]
    offset: int = 0


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of a file sent in pieces; `complete`: it is verified and in its place."""

    path: str
    offset: int
    complete: bool


class NewUpload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A large file to send, whose digest is told when all of it has been sent.

    `name` is any text that tells one content from another: the same again, within a day, finds what came before an
    interruption.
    """

    path: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    executable: bool = False


class BulkPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where else a content may be sent: the listener for bulk data, with a ticket for this upload alone.

    `url` is its address; "": it listens on `port` of the host that the API was reached at. The ticket is sent as
    `Authorization: Ticket …`. Who answers there must know `proof`; else it is somebody else, and gets nothing.
    """

    port: int
    url: str
    ticket: str
    proof: str


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that may go on at byte `offset`.

    `alike`: there is a file with that path, size and executable bit, which may be the same. `bulk` is None where the
    content can be sent to the API alone.
    """

    key: str
    offset: int
    alike: bool
    bulk: BulkPlace | None = None


class BulkOffer(msgspec.Struct, frozen=True, kw_only=True):
    """Where packs of contents may be sent; None: to the API alone."""

    bulk: BulkPlace | None = None


class BulkState(msgspec.Struct, frozen=True, kw_only=True):
    """What the listener for bulk data answers: how much of the content has come, and that it knows the ticket."""

    offset: int
    proof: str = ""


class NewFolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder to make. With `staging` it is seen by nobody until it is published.

    `staging` is any text that tells one upload from another: the same text again, within a day, finds what came before
    an interruption. `copy_of` is a folder, or a branch of one, whose content it begins with.
    """

    name: str
    account: str | None = None
    staging: str | None = None
    copy_of: str | None = None


class NewDirectory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A directory to make in a folder."""

    path: str


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is at the path `source` of a folder gets the path `target`."""

    source: str
    target: str
