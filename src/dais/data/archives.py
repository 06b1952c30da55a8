"""A directory of a folder, or a source, as a zip archive, made while it is sent.

Files are stored, not compressed: what is large here is compressed already, and the processor belongs to jobs. Links
are left out, for they lead people's programs out of the directory that they unpack in; what was left out is listed in
a last file of the archive.
"""

from __future__ import annotations

import os
import re
import stat
import time
import zipfile
from collections.abc import Generator, Iterator
from typing import Any, cast

from dais.data import safe_paths
from dais.data.blobs import BlobStore
from dais.data.errors import disk_errors
from dais.data.folder_store import FolderStore
from dais.data.hashing import CHUNK
from dais.data.reading import walk
from dais.data.sources import read_source
from dais.data.types import Entry
from dais.kit.errors import Invalid
from dais.wire.paths import clean_path

MAX_ARCHIVED = 100_000
"""Entries of one archive: its table of contents is kept in memory until the end."""

LEFT_OUT = "LEFT-OUT.txt"

# Separators of other systems, control characters, and what reorders text: no program unpacks them to where it seems.
_unsafe = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def check_archivable(store: FolderStore, folder_id: str, path: str = "", *, limit: int = MAX_ARCHIVED) -> None:
    """Raises Invalid `too-many-entries`, NotFound `no-such-file`, Conflict `not-a-directory`. Reads all names."""
    with disk_errors(path), store.opened(folder_id) as root:
        clean = clean_path(path)
        with safe_paths.directory(root, clean):
            pass
        for count, _ in enumerate(walk(root, clean)):
            if count >= limit:
                raise Invalid(
                    f"the directory holds more than {limit:,} entries, which is the most that an archive takes; "
                    "download a part of it, or use `dais folder pull`",
                    code="too-many-entries",
                )


def archive(store: FolderStore, folder_id: str, path: str, top: str) -> Generator[bytes, None, None]:
    """The archive of a directory, piece by piece; everything in it lies below the name `top`.

    A file that changes meanwhile is taken as it is read; one that is gone is left out. Blocking.
    """
    clean = clean_path(path)
    sink = _Sink()
    left_out: list[str] = []
    with (
        store.opened(folder_id) as root,
        safe_paths.Directories(root, create=False) as directories,
        zipfile.ZipFile(cast(Any, sink), "w", zipfile.ZIP_STORED, allowZip64=True) as file,
    ):
        for count, entry in enumerate(walk(root, clean)):
            if count >= MAX_ARCHIVED:
                left_out.append(f"everything after {entry.path}: there are too many entries")
                break
            name = f"{top}/{entry.path[len(clean) :].lstrip('/')}"
            if entry.kind == "directory":
                file.writestr(_head(f"{name}/", entry, stat.S_IFDIR | 0o755), b"")
                continue
            if entry.kind != "file":
                left_out.append(f"{entry.path}: a {'link' if entry.kind == 'link' else 'special thing'}")
                continue
            try:
                yield from _stored(file, sink, directories, entry, name)
            except OSError as error:
                left_out.append(f"{entry.path}: {os.strerror(error.errno or 0).lower()}")
        if left_out:
            lines = "".join(f"{safe_name(line)}\n" for line in left_out)
            file.writestr(_head(f"{top}/{LEFT_OUT}", None, stat.S_IFREG | 0o644), lines)
    yield sink.taken()


def archive_source(blobs: BlobStore, digest: str | None, top: str) -> Generator[bytes, None, None]:
    """The archive of the files of a source (None: it has none), piece by piece, all below the name `top`. Blocking.

    Raises NotFound `no-such-blob`, Unavailable `blob-damaged`.
    """
    sink = _Sink()
    files = read_source(blobs, digest).files if digest is not None else []
    with zipfile.ZipFile(cast(Any, sink), "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        for one in files:
            mode = stat.S_IFREG | (0o755 if one.executable else 0o644)
            head = _head(f"{top}/{one.path}", None, mode)
            with (
                blobs.open(one.digest) as content,
                file.open(head, "w", force_zip64=one.size > CHUNK) as target,
            ):
                while piece := content.read(CHUNK):
                    target.write(piece)
                    if sink.waiting >= CHUNK:
                        yield sink.taken()
    yield sink.taken()


def safe_name(name: str) -> str:
    """A name that means the same to every program that unpacks; what is left of others is percent-encoded."""
    return _unsafe.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)


def _stored(
    file: zipfile.ZipFile, sink: _Sink, directories: safe_paths.Directories, entry: Entry, name: str
) -> Iterator[bytes]:
    parent, _, last = entry.path.rpartition("/")
    fd = safe_paths.open_regular(directories.get(parent), last)
    try:
        info = os.fstat(fd)
        mode = stat.S_IFREG | (0o755 if info.st_mode & 0o100 else 0o644)
        with file.open(_head(name, entry, mode), "w", force_zip64=info.st_size > CHUNK) as target:
            at = 0
            while at < info.st_size and (piece := os.pread(fd, min(CHUNK, info.st_size - at), at)):
                target.write(piece)
                at += len(piece)
                if sink.waiting >= CHUNK:
                    yield sink.taken()
    finally:
        os.close(fd)


def _head(name: str, entry: Entry | None, mode: int) -> zipfile.ZipInfo:
    changed = time.gmtime(entry.modified_at / 1e6 if entry is not None else time.time())[:6]
    oldest, newest = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
    head = zipfile.ZipInfo(safe_name(name), max(oldest, min(newest, changed)))
    head.create_system = 3
    head.external_attr = mode << 16 | (0x10 if stat.S_ISDIR(mode) else 0)
    return head


class _Sink:
    """What zipfile writes to: it cannot be sought, and gives out what has come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        return data
