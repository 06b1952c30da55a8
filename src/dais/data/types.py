"""What other parts see of data. All frozen; instants are µs since the epoch, sizes bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A mutable directory tree. `full_name` is `org.account.name`; `staged`: it is not published yet."""

    id: str
    name: str
    full_name: str
    account: str
    account_id: str
    organization_id: str
    owner: str
    created_at: int
    staged: bool = False


class MountedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that a job may mount; `path` is a directory below its root, "" for all of it."""

    folder_id: str
    path: str
    read_only: bool


class Stored(NamedTuple):
    """A blob or recipe that is there; `changed` is when it was written or asked for, in seconds."""

    digest: str
    size: int
    changed: float
    is_recipe: bool


@dataclass(frozen=True, slots=True)
class Owner:
    """The uid and gid that files in folders and working directories get; None leaves it as it is."""

    uid: int | None = None
    gid: int | None = None

    def give_path(self, path: Path) -> None:
        """Give what is at a path, and no link, to the owner."""
        if self.uid is not None or self.gid is not None:
            os.chown(
                path, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid, follow_symlinks=False
            )

    def give(self, fd: int) -> None:
        """Give an open file or directory to the owner."""
        if self.uid is not None or self.gid is not None:
            os.fchown(fd, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory, link, or `other` thing (pipe, socket, name that is no UTF-8) inside a folder."""

    path: str
    kind: str
    size: int = 0
    modified_at: int = 0
    executable: bool = False
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What a folder holds; unless `complete`, at least so much."""

    files: int
    size: int
    complete: bool = True
