"""Files into folders. Every file is written aside, verified, flushed and renamed: it is seen whole or not at all.

Small files come in packs, large ones in pieces; what has come of a large file is kept for a day, so that an upload
that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dais.data import safe_paths
from dais.data.blobs import GROUP
from dais.data.durable import flush_directories, flush_files, write_all
from dais.data.errors import digest_mismatch, disk_errors, invalid_path
from dais.data.folder_store import FolderStore
from dais.data.hashing import check_digest, digest_of
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id
from dais.wire.paths import PathError, check_path, shown, stays_inside
from dais.wire.transfers import PackEntry, PackError, Received, unpack


@dataclass(frozen=True, slots=True)
class Begun:
    """How much of a file has come; `alike`: one of its size and executable bit is there, perhaps the same."""

    have: int
    alike: bool


_new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def write_pack(store: FolderStore, folder_id: str, data: bytes) -> int:
    """Store the entries of a pack; how many there were. All are verified before the first is written.

    Raises Invalid `bad-pack`, `digest-mismatch`, `link-outside` or a path's own code, Conflict where a directory is in
    the way, Unavailable `disk-full`.
    """
    entries = checked_pack(data)
    files = [(entry, content) for entry, content in entries if entry.kind == "file"]
    store.check_space(sum(entry.size for entry, _ in files))
    with (
        store.opened(folder_id) as root,
        store.aside(folder_id) as aside,
        safe_paths.Directories(root, create=True, owner=store.owner) as directories,
    ):
        for start in range(0, len(files), GROUP):
            _write_group(store, aside, directories, files[start : start + GROUP])
        touched = {parent for entry, _ in files for parent in _parents(entry.path)}
        for entry, _ in entries:
            if entry.kind == "directory":
                touched |= {*_parents(entry.path), entry.path}
                with disk_errors(entry.path):
                    directories.get(entry.path)
            elif entry.kind == "link":
                touched.update(_parents(entry.path))
                _write_link(store, aside, directories, entry)
        with disk_errors(""):
            for path in touched:
                flush_directories([directories.get(path)])
    return len(entries)


def checked_pack(data: bytes) -> list[tuple[PackEntry, memoryview]]:
    """The entries of a pack, each with a fit path and the content that its digest names. Raises Invalid."""
    try:
        entries = list(unpack(data))
        for entry, content in entries:
            check_path(entry.path)
            if entry.kind == "file":
                if digest_of(content) != check_digest(entry.digest):
                    raise digest_mismatch(entry.path, entry.digest, digest_of(content))
            elif entry.kind == "link":
                check_link(entry.path, entry.target)
            elif entry.kind != "directory" or entry.size:
                raise PackError(f"{shown(entry.path)} has kind {entry.kind}, which cannot be stored")
    except PathError as error:
        raise invalid_path(error) from error
    except PackError as error:
        raise Invalid(str(error), code="bad-pack") from error
    return entries


def check_link(path: str, target: str) -> None:
    """Raises Invalid `link-outside` unless the link can only lead to places inside."""
    if not stays_inside(path, target):
        raise Invalid(
            f"the link {shown(path)} leads to {shown(target)}, outside of what is uploaded (or to where nobody can "
            "tell); copy what it leads to, or leave links out",
            code="link-outside",
            path=path[:200],
            target=target[:200],
        )


def _parents(path: str) -> list[str]:
    """`a/b/c` lies in `a/b`, `a` and the root."""
    parents = [""]
    at = path.find("/")
    while at >= 0:
        parents.append(path[:at])
        at = path.find("/", at + 1)
    return parents


def _write_group(
    store: FolderStore,
    aside: int,
    directories: safe_paths.Directories,
    files: Sequence[tuple[PackEntry, memoryview]],
) -> None:
    made: dict[str, int] = {}
    try:
        with disk_errors(files[0][0].path):
            for entry, content in files:
                name = new_id()
                made[name] = fd = os.open(name, _new, 0o600, dir_fd=aside)
                write_all(fd, content, 0)
                _dress(store, fd, entry.executable)
            flush_files(made.values())
        for (entry, _), name in zip(files, list(made), strict=True):
            _place(directories, aside, name, entry.path)
            os.close(made.pop(name))
    finally:
        for name, fd in made.items():
            os.close(fd)
            with suppress(OSError):
                os.unlink(name, dir_fd=aside)


def _write_link(store: FolderStore, aside: int, directories: safe_paths.Directories, entry: PackEntry) -> None:
    name = new_id()
    with disk_errors(entry.path):
        os.symlink(entry.target, name, dir_fd=aside)
        try:
            if store.owner.uid is not None:
                gid = -1 if store.owner.gid is None else store.owner.gid
                os.chown(name, store.owner.uid, gid, dir_fd=aside, follow_symlinks=False)
            _place(directories, aside, name, entry.path)
        except BaseException:
            os.unlink(name, dir_fd=aside)
            raise


def _dress(store: FolderStore, fd: int, executable: bool) -> None:
    os.fchmod(fd, 0o755 if executable else 0o644)
    store.owner.give(fd)


def _place(directories: safe_paths.Directories, aside: int, name: str, path: str) -> None:
    """Give a finished file its path. What is there already is replaced, unless it is a directory."""
    parent, _, last = path.rpartition("/")
    with disk_errors(path):
        os.rename(name, last, src_dir_fd=aside, dst_dir_fd=directories.get(parent))


def begun(store: FolderStore, folder_id: str, path: str, size: int, digest: str) -> int:
    """How many bytes have come of a file that is sent in pieces."""
    with store.aside(folder_id) as aside:
        return store.pieces.begun(aside, _key(path, size, digest))


def upload_key(path: str, size: int, sender: str, name: str) -> str:
    """The key of an upload whose digest is told at its end. `name`: the sender's own for it, as long as it goes on."""
    return _key(path, size, f"{sender}:{name}")


def begin_upload(store: FolderStore, folder_id: str, key: str, path: str, size: int, executable: bool) -> Begun:
    """Look whether a large file can be taken, and how much of it has come.

    Raises Invalid for a path that cannot be, NotFound `folder-lost`, Unavailable `disk-full`.
    """
    with disk_errors(path):
        check_path(path)
        with store.opened(folder_id) as root, store.aside(folder_id) as aside:
            have = store.pieces.begun(aside, key)
            store.check_space(size - have)
            return Begun(have, _is_alike(root, path, size, executable))


def check_upload(store: FolderStore, folder_id: str, key: str) -> int:
    """How many bytes have come of an upload. Raises NotFound `folder-lost`."""
    with disk_errors(""), store.opened(folder_id), store.aside(folder_id) as aside:
        return store.pieces.begun(aside, key)


def drop_upload(store: FolderStore, folder_id: str, key: str) -> None:
    """Forget what has come of an upload: another content will be sent. Nothing to forget is no error."""
    with disk_errors(""), store.opened(folder_id), store.aside(folder_id) as aside:
        store.pieces.drop(aside, key)


def write_piece(
    store: FolderStore,
    folder_id: str,
    path: str,
    data: bytes | bytearray | memoryview,
    *,
    offset: int,
    size: int,
    digest: str = "",
    executable: bool = False,
    key: str = "",
) -> Received:
    """Add a piece of a file, which has `size` bytes and `digest` in all; the last piece puts it in its place.

    With the `key` of an upload its pieces need no digest: the last one, which may be empty, tells it. What has come
    already is passed over, so a piece may be sent twice. Raises Conflict `wrong-offset` (its field `expected` is where
    to go on), Invalid `digest-mismatch` (all pieces are dropped), Unavailable `disk-full`.
    """
    with disk_errors(path):
        check_path(path)
    if digest or not key:
        check_digest(digest)
    key = key or _key(path, size, digest)
    with store.opened(folder_id) as root, store.aside(folder_id) as aside:
        adding = store.pieces.add(aside, key, data, offset=offset, size=size, digest=digest, what=path)
        try:
            with adding as grown:
                if grown.complete:
                    _finish(store, root, aside, key, grown.fd, path, executable)
                return Received(path=path, offset=grown.have, complete=grown.complete)
        except Conflict as error:
            # The answer to the last piece was lost, or another upload of the same file has finished meanwhile.
            if error.code != "wrong-offset" or not digest or not _is_there(store, root, path, size, digest):
                raise
            return Received(path=path, offset=size, complete=True)


def _finish(store: FolderStore, root: int, aside: int, key: str, fd: int, path: str, executable: bool) -> None:
    with disk_errors(path):
        _dress(store, fd, executable)
        os.fsync(fd)
        with safe_paths.Directories(root, create=True, owner=store.owner) as directories:
            _place(directories, aside, key, path)
            flush_directories([directories.get(parent) for parent in _parents(path)[-64:]])


def _key(path: str, size: int, content: str) -> str:
    """The name of a file's pieces: who sends the same content to the same path goes on with them."""
    return hashlib.sha256(f"{content}:{size}:{path}".encode()).hexdigest()


def _is_alike(root: int, path: str, size: int, executable: bool) -> bool:
    try:
        with safe_paths.regular_file(root, path) as fd:
            info = os.fstat(fd)
            return info.st_size == size and bool(info.st_mode & 0o100) == executable
    except OSError:
        return False


def _is_there(store: FolderStore, root: int, path: str, size: int, digest: str) -> bool:
    try:
        with safe_paths.regular_file(root, path) as fd:
            return os.fstat(fd).st_size == size and store.digests.digest(fd, time.time_ns()) == digest
    except OSError:
        return False
