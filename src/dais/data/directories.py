"""One directory of a folder as people look at it, and what they change in it: new directories, other names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dais.data import safe_paths
from dais.data.durable import flush_directories
from dais.data.errors import disk_errors
from dais.data.folder_store import FolderStore
from dais.data.reading import entry_of, look_at, names_in, scan
from dais.data.types import Entry
from dais.kit.errors import Conflict, Invalid
from dais.wire.paths import check_path, clean_path, shown

_digits = re.compile(r"([0-9]+)")

_keys: dict[str, Callable[[Entry], Any]] = {
    "size": lambda entry: entry.size,
    "changed": lambda entry: entry.modified_at,
}

ORDERS = ("name", *_keys)
"""By what a directory can be sorted."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Some entries of a directory; `matching` of `total` have what was asked for in their names."""

    entries: list[Entry]
    matching: int
    total: int


def find_entry(store: FolderStore, folder_id: str, path: str) -> Entry:
    """What is at a path of a folder; "" is its root, a directory. Raises NotFound `no-such-file`, Conflict, Invalid."""
    with disk_errors(path), store.opened(folder_id) as root:
        clean = clean_path(path)
        info = safe_paths.look(root, clean)
        if info is None:
            raise FileNotFoundError(2, "", clean)
        if stat.S_ISDIR(info.st_mode):
            return Entry(clean, "directory", 0, info.st_mtime_ns // 1000)
        parent, _, name = clean.rpartition("/")
        with safe_paths.directory(root, parent) as within:
            entry = entry_of(within, name, clean, info)
        if entry is None:
            raise FileNotFoundError(2, "", clean)
        return entry


def list_directory(
    store: FolderStore,
    folder_id: str,
    path: str = "",
    *,
    match: str = "",
    order: str = "name",
    descending: bool = False,
    start: int = 0,
    limit: int = 200,
) -> Listing:
    """Entries `start` to `start + limit` of a directory, directories before all else, numbers in names by their value.

    `match` keeps the names that contain it, in any case. Raises NotFound `no-such-file`, Conflict `not-a-directory`.
    """
    if order not in ORDERS:
        raise Invalid(
            f"{order[:40]!r} is nothing to sort by; there are {', '.join(ORDERS)}", code="bad-order", given=order[:40]
        )
    with disk_errors(path), store.opened(folder_id) as root:
        clean = clean_path(path)
        with safe_paths.directory(root, clean):
            pass  # of what is no directory, `scan` would tell nothing
        sought, end = match.casefold(), start + limit
        if order != "name":
            found = scan(root, clean)
            kept = [entry for entry in found if sought in name_of(entry.path).casefold()]
            kept.sort(key=lambda entry: natural(name_of(entry.path)))
            kept.sort(key=_keys[order], reverse=descending)
            kept.sort(key=lambda entry: entry.kind != "directory")
            return Listing(kept[start:end], len(kept), len(found))
        # By name, only what is shown has to be looked at.
        with safe_paths.directory(root, clean) as fd:
            names = names_in(fd)
            wanted = [name for name in names if sought in name.casefold()]
            wanted.sort(key=natural, reverse=descending)
            wanted.sort(key=lambda name: not names[name])
            return Listing(look_at(fd, clean, wanted[start:end]), len(wanted), len(names))


def make_directory(store: FolderStore, folder_id: str, path: str) -> str:
    """Make a directory, and those above it that are missing; its path. Raises Conflict `already-there`, Invalid."""
    with disk_errors(path), store.opened(folder_id) as root:
        clean = check_path(clean_path(path))
        parent, _, name = clean.rpartition("/")
        with safe_paths.directory(root, parent, create=True, owner=store.owner) as within:
            try:
                os.mkdir(name, 0o755, dir_fd=within)
            except FileExistsError:
                raise _already_there(clean) from None
            with safe_paths.directory(within, name) as made:
                os.fchmod(made, 0o755)
                store.owner.give(made)
            flush_directories([within])
    return clean


def move_entry(store: FolderStore, folder_id: str, source: str, target: str) -> str:
    """Give a file, link or directory another path in the same folder, by one rename; the new path.

    Nothing is ever replaced: Conflict `already-there`. The directory of the new path must be there. Raises NotFound
    `no-such-file`, Invalid `inside-itself`.
    """
    with disk_errors(source):
        old = check_path(clean_path(source))
    with disk_errors(target):
        new = check_path(clean_path(target))
    if f"{new}/".startswith(f"{old}/"):
        same = new == old
        raise Invalid(
            f"{shown(old)} {'has this path already' if same else f'cannot be moved into itself, to {shown(new)}'}; "
            "choose another path",
            code="already-there" if same else "inside-itself",
            path=new[:200],
        )
    with (
        store.opened(folder_id) as root,
        disk_errors(source),
        safe_paths.directory(root, old.rpartition("/")[0]) as from_fd,
    ):
        name = old.rpartition("/")[2]
        os.stat(name, dir_fd=from_fd, follow_symlinks=False)
        with disk_errors(target), safe_paths.directory(root, new.rpartition("/")[0]) as to_fd:
            try:
                safe_paths.rename_new(from_fd, name, to_fd, new.rpartition("/")[2])
            except FileExistsError:
                raise _already_there(new) from None
            flush_directories([to_fd, from_fd])
    return new


def name_of(path: str) -> str:
    """The last name of a path."""
    return path.rpartition("/")[2]


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which `img2` comes before `img10`, in any case; what differs in case alone has an order, too."""
    parts = _digits.split(name)
    key = [(1, int(part), "") if index % 2 else (2, 0, part.casefold()) for index, part in enumerate(parts)]
    return [*key, (0, 0, name)]


def _already_there(path: str) -> Conflict:
    return Conflict(
        f"{shown(path)} is there already; choose another name, or remove it first",
        code="already-there",
        path=path[:200],
    )
