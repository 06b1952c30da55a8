"""What is in folders: lists, comparisons, contents. Nothing here changes anything but `remove_entries`."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from dais.data import safe_paths
from dais.data.errors import disk_errors
from dais.data.folder_store import FolderStore
from dais.data.hashing import check_digest, digest_of, stamp_of
from dais.data.types import Entry, Measure
from dais.data.uploads import begun as begun_bytes
from dais.kit.errors import Conflict, DaisError, NotFound
from dais.kit.paging import Page, decode_cursor, encode_cursor
from dais.wire.paths import check_path, clean_path, shown
from dais.wire.transfers import SMALL_FILE, Compared, Local, PackEntry, pack_header

MAX_PAGE = 10_000
"""Entries of one page of a list."""


def list_entries(
    store: FolderStore,
    folder_id: str,
    path: str = "",
    *,
    recursive: bool = False,
    limit: int = 1_000,
    cursor: str | None = None,
) -> Page[Entry]:
    """What is in a directory of a folder, or below it, in the order of the paths' names; of a file, itself.

    Raises NotFound `no-such-file`, Conflict where the path leads through a link, Invalid `bad-cursor`.
    """
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    with disk_errors(path), store.opened(folder_id) as root:
        top = clean_path(path)
        info = safe_paths.look(root, top)
        if info is None:
            raise FileNotFoundError(2, "", top)
        if top and not stat.S_ISDIR(info.st_mode):
            with safe_paths.directory(root, top.rpartition("/")[0]) as parent:
                entry = entry_of(parent, top.rpartition("/")[2], top, info)
            return Page([entry] if entry is not None else [], None)
        items = list(islice(walk(root, top, recursive, after), limit + 1))
    more = len(items) > limit
    return Page(items[:limit], encode_cursor(items[limit - 1].path) if more else None)


def measure(store: FolderStore, folder_id: str, *, limit: int | None = None) -> Measure:
    """Count a folder's files and their bytes. Takes as long as the folder is large, or ends after `limit` entries."""
    files = size = 0
    with disk_errors(""), store.opened(folder_id) as root:
        for seen, entry in enumerate(walk(root, "")):
            if seen == limit:
                return Measure(files, size, complete=False)
            if entry.kind == "file":
                files += 1
                size += entry.size
    return Measure(files, size)


def remove_entries(store: FolderStore, folder_id: str, path: str, *, recursive: bool = False) -> None:
    """Remove a file, a link, or a directory with all in it; "" empties the folder. One rename each: all or nothing.

    Raises NotFound `no-such-file`, Conflict `not-empty` for a directory with something in it unless `recursive`.
    """
    with disk_errors(path), store.opened(folder_id) as root:
        clean = clean_path(path)
        info = safe_paths.look(root, clean)
        if info is None:
            raise FileNotFoundError(2, "", clean)
        if stat.S_ISDIR(info.st_mode):
            with safe_paths.directory(root, clean) as fd:
                names = os.listdir(fd)  # noqa: PTH208  an open directory has no path
                if names and not recursive:
                    raise Conflict(
                        f"{shown(clean or '.')} is a directory with {len(names):,} entries; "
                        "--recursive (recursive=true) removes them all",
                        code="not-empty",
                        path=clean[:200],
                    )
                for name in () if clean else names:
                    store.throw_away(fd, name)
        if clean:
            parent, _, name = clean.rpartition("/")
            with safe_paths.directory(root, parent) as fd:
                store.throw_away(fd, name)
    store.empty_trash()


def compare(store: FolderStore, folder_id: str, files: Sequence[Local], *, begun: bool = False) -> list[Compared]:
    """Tell for each file whether the folder holds the same. Reads what has the same size and is not remembered."""
    found: list[Compared] = []
    with disk_errors(""), store.opened(folder_id) as root, safe_paths.Directories(root, create=False) as directories:
        for file in files:
            check_path(file.path)
            check_digest(file.digest)
            state = _compare(store, directories, file)
            offset = 0
            if begun and state.state != "same" and file.size >= SMALL_FILE:
                offset = begun_bytes(store, folder_id, file.path, file.size, file.digest)
            found.append(Compared(state=state.state, offset=offset))
    return found


def _compare(store: FolderStore, directories: safe_paths.Directories, file: Local) -> Compared:
    parent, _, name = file.path.rpartition("/")
    try:
        fd = safe_paths.open_regular(directories.get(parent), name)
    except (FileNotFoundError, NotADirectoryError):
        return Compared(state="absent")
    except OSError:
        return Compared(state="different")
    try:
        info = os.fstat(fd)
        same = info.st_size == file.size and bool(info.st_mode & 0o100) == file.executable
        if same and store.digests.digest(fd, time.time_ns()) == file.digest:
            return Compared(state="same")
        return Compared(state="different")
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file opened for a download. `tag` changes whenever its content may have changed."""

    fd: int
    size: int
    executable: bool
    tag: str

    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from an offset on, b"" at the end. Blocks. Raises OSError."""
        return os.pread(self.fd, count, offset)


@contextmanager
def open_file(store: FolderStore, folder_id: str, path: str) -> Iterator[OpenFile]:
    """A file of a folder, for reading. Raises NotFound `no-such-file`, Conflict for links and directories."""
    with disk_errors(path):
        clean = check_path(clean_path(path))
    with store.opened(folder_id) as root:
        with disk_errors(path):
            parent, _, name = clean.rpartition("/")
            with safe_paths.directory(root, parent) as directory:
                fd = safe_paths.open_regular(directory, name)
        try:
            info = os.fstat(fd)
            yield OpenFile(fd, info.st_size, bool(info.st_mode & 0o100), tag_of(info))
        finally:
            os.close(fd)


def tag_of(info: os.stat_result) -> str:
    """A short text for a file's stamp."""
    return hashlib.sha256(repr(stamp_of(info)).encode()).hexdigest()[:32]


def fetch(store: FolderStore, folder_id: str, paths: Sequence[str]) -> Generator[bytes, None, None]:
    """A pack with these files, piece by piece. Files that are gone or are large are named in it without content."""
    with store.opened(folder_id) as root, safe_paths.Directories(root, create=False) as directories:
        for path in paths:
            with disk_errors(path):
                check_path(path)
            yield _fetched(directories, path)


def _fetched(directories: safe_paths.Directories, path: str) -> bytes:
    parent, _, name = path.rpartition("/")
    try:
        fd = safe_paths.open_regular(directories.get(parent), name)
    except OSError:
        return pack_header(PackEntry(path=path, kind="absent"))
    try:
        info = os.fstat(fd)
        if info.st_size >= SMALL_FILE:
            return pack_header(PackEntry(path=path, kind="large", size=0))
        data = os.pread(fd, SMALL_FILE, 0)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(fd)
    executable = bool(info.st_mode & 0o100)
    return pack_header(PackEntry(path=path, size=len(data), digest=digest_of(data), executable=executable)) + data


def _unreadable(path: str, error: OSError) -> DaisError:
    return NotFound(
        f"{shown(path)} cannot be read: {os.strerror(error.errno or 0)}", code="unreadable", path=path[:200]
    )


def walk(root: int, top: str, recursive: bool = True, after: str = "") -> Iterator[Entry]:
    """Entries below `top` that come after the path `after`, a directory before what is in it."""
    last = after.split("/") if after else []
    depth = top.count("/") + 1 if top else 0
    pending = [iter(scan(root, top, last[depth] if depth < len(last) else ""))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        parts = entry.path.split("/")
        if parts > last:
            yield entry
        if recursive and entry.kind == "directory" and parts >= last[: len(parts)]:
            resuming = parts == last[: len(parts)] and len(last) > len(parts)
            pending.append(iter(scan(root, entry.path, last[len(parts)] if resuming else "")))


def scan(root: int, path: str, first: str = "") -> list[Entry]:
    """The entries of one directory from the name `first` on, by name; none when it is gone or became something else."""
    try:
        with safe_paths.directory(root, path) as fd:
            return look_at(fd, path, sorted(name for name in names_in(fd) if name >= first or not _plain(name)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def names_in(fd: int) -> dict[str, bool]:
    """The names in an open directory, and whether each is that of a directory."""
    with os.scandir(fd) as entries:
        return {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}


def look_at(fd: int, path: str, names: Sequence[str]) -> list[Entry]:
    """What has these names in an open directory, which is at `path`; what is gone is left out."""
    found: list[Entry] = []
    for name in names:
        try:
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        entry = entry_of(fd, name, f"{path}/{name}" if path else name, info)
        if entry is not None:
            found.append(entry)
    return found


def entry_of(directory: int, name: str, path: str, info: os.stat_result) -> Entry | None:
    """What a list tells of a name. Names that are no UTF-8 are shown as well as can be, as `other` things."""
    modified = info.st_mtime_ns // 1000
    mode = info.st_mode
    if not _plain(path):
        return Entry(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), "other", 0, modified)
    if stat.S_ISREG(mode):
        return Entry(path, "file", info.st_size, modified, bool(mode & 0o100))
    if stat.S_ISDIR(mode):
        return Entry(path, "directory", 0, modified)
    if stat.S_ISLNK(mode):
        try:
            target = os.readlink(name, dir_fd=directory)
        except OSError:
            return None
        return Entry(
            path, "link" if _plain(target) else "other", 0, modified, target=target if _plain(target) else None
        )
    return Entry(path, "other", 0, modified)


def _plain(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
