"""A zip archive that somebody uploaded, unpacked below a directory and nowhere else.

What an archive says of itself is not believed: bytes are counted as they come, and no name, link, kind or number in it
gets past its limits.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from dais.data import safe_paths
from dais.data.durable import write_all
from dais.data.types import Owner
from dais.kit.errors import Invalid
from dais.wire.paths import PathError, check_path, shown

PIECE = 256 << 10
MAX_TABLE = 32 << 20
"""Bytes of an archive's table of contents, which is read at once."""

_new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class UnpackLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive may hold: files, bytes of all, and how many times its own size beyond `free` bytes."""

    files: int = 100_000
    size: int = 4 << 30
    ratio: int = 200
    free: int = 16 << 20


def unpack(
    archive: BinaryIO,
    size: int,
    directory: Path,
    *,
    owner: Owner = safe_paths.NOBODY,
    limits: UnpackLimits | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> int:
    """Unpack an archive of `size` bytes, which can be sought, into a directory that is there; how many files it had.

    Nothing that is there is replaced. Raises Invalid `bad-archive` (`archive-too-large` beyond a limit) that names the
    entry, FileExistsError, OSError. What has been written when it raises is the caller's to remove.
    """
    limits = limits or UnpackLimits()
    try:
        with zipfile.ZipFile(_Bounded(archive)) as file:
            entries = list(_checked(file, limits))
            most = min(limits.size, max(limits.free, size * limits.ratio))
            _unpack(file, entries, directory, owner, most, tell)
            return sum(not entry.is_dir() for entry, _ in entries)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        # NotImplementedError is what `zipfile` raises for a compression or an encryption that it does not know.
        raise _bad(f"it is no whole zip archive: {error}") from error


def _checked(file: zipfile.ZipFile, limits: UnpackLimits) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Every entry with its path, once all are known to be plain files and directories that lie apart."""
    found = file.infolist()
    if len(found) > limits.files:
        raise _bad(f"it has {len(found):,} entries, at most {limits.files:,} are unpacked", code="archive-too-large")
    seen: dict[str, bool] = {}
    for entry in found:
        path = _path_of(entry)
        if path in seen and not (seen[path] and entry.is_dir()):
            raise _bad(f"it has {shown(path)} twice")
        seen[path] = entry.is_dir()
        if entry.flag_bits & 0x1:
            raise _bad(f"{shown(path)} is encrypted; make it without a password")
        if entry.compress_type not in _METHODS:
            raise _bad(f"{shown(path)} is compressed by a method that is not known; use `zip` with its defaults")
    for path in seen:
        parent = path.rpartition("/")[0]
        while parent:
            if seen.get(parent) is False:
                raise _bad(f"{shown(parent)} is a file and a directory at once in it")
            parent = parent.rpartition("/")[0]
    yield from zip(found, (_path_of(entry) for entry in found), strict=True)


def _path_of(entry: zipfile.ZipInfo) -> str:
    name = entry.orig_filename
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise _bad(f"{shown(name)} is no path below a directory; names in it have no / at their beginning and no \\")
    mode = entry.external_attr >> 16
    kind = stat.S_IFMT(mode) if entry.create_system == 3 else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a directory"
        raise _bad(f"{shown(name)} is {what}; put the file itself in (zip without --symlinks)")
    try:
        return check_path(name.rstrip("/"))
    except PathError as error:
        raise _bad(str(error)) from error


def _unpack(
    file: zipfile.ZipFile,
    entries: list[tuple[zipfile.ZipInfo, str]],
    directory: Path,
    owner: Owner,
    most: int,
    tell: Callable[[int], None],
) -> None:
    left = most
    with (
        safe_paths.opened(directory) as root,
        safe_paths.Directories(root, create=True, owner=owner) as directories,
    ):
        for entry, path in entries:
            if entry.is_dir():
                directories.get(path)
                continue
            parent, _, name = path.rpartition("/")
            fd = os.open(name, _new, 0o600, dir_fd=directories.get(parent))
            try:
                at = 0
                with file.open(entry) as content:
                    while piece := content.read(PIECE):
                        left -= len(piece)
                        if left < 0:
                            raise _bad(
                                f"it unpacks to more than {most:,} bytes, at {shown(path)}", code="archive-too-large"
                            )
                        write_all(fd, piece, at)
                        at += len(piece)
                        tell(len(piece))
                os.fchmod(fd, 0o755 if entry.external_attr >> 16 & 0o111 else 0o644)
                owner.give(fd)
            finally:
                os.close(fd)


class _Bounded(io.RawIOBase):
    """An archive of which no more is read at once than its table of contents may have."""

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            here = self._archive.tell()
            size = self._archive.seek(0, os.SEEK_END) - here
            self._archive.seek(here)
        if size > MAX_TABLE:
            raise _bad("its table of contents is too large", code="archive-too-large")
        return self._archive.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._archive.seek(offset, whence)

    def tell(self) -> int:
        return self._archive.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _bad(why: str, code: str = "bad-archive") -> Invalid:
    return Invalid(f"the zip cannot be unpacked: {why}", code=code)
