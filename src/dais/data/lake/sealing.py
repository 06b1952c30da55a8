"""Versions of folders: file sets that are called as their folders, of files below a directory of that name.

The third version of the folder `code` is `code@3`, the file set `code:3`; the file `a.py` in it is `/code/a.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from dais.data.blobs import BlobStore
from dais.data.folder_store import FolderStore
from dais.data.gathering import look_through, take
from dais.data.lake.pins import FixedSet, fix_file_set, make_output_set, require_output
from dais.data.lake.trees import TreeWriter
from dais.data.lake.types import LakeFile, SetVersion
from dais.data.queries import get_folder
from dais.data.types import Folder
from dais.identity import Actor, get_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire.lake import NewVersion, parse_set
from dais.wire.names import branch_of, split_version
from dais.wire.paths import PathError


class Taken(NamedTuple):
    """What a folder held, stored; `left_out` are links, pipes and devices."""

    files: list[NewVersion]
    left_out: list[str]


class FixedFolder(NamedTuple):
    """A version of a folder, and what it holds; `top` is the directory that the folder is in the set."""

    folder: Folder
    fixed: FixedSet
    top: str


def require_seal(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> Folder:
    """The folder, of which `actor` may make a version: `data:get` is needed, and `file:new` and `fileset:new` there.

    Raises NotFound, Forbidden, Invalid `bad-name` for a name that no file set has.
    """
    folder = get_folder(uow, actor, ref, account=account)
    name = _set_of(folder)
    require_output(uow, actor, get_account(uow, folder.account_id), f"/{name}/", name)
    return folder


def take_folder(store: FolderStore, blobs: BlobStore, folder_id: str) -> Taken:
    """Store the contents of a folder's files. Blocks. Raises Invalid `output-too-large`, Unavailable `disk-full`."""
    with store.opened(folder_id):
        place = store.root / folder_id
    found = look_through(place, "", most=sys.maxsize)
    return Taken(take(blobs, place, found.files, lambda size: None), found.left_out)


def seal_folder(uow: UnitOfWork, actor: Actor, folder_id: str, files: Sequence[NewVersion]) -> SetVersion:
    """Make the next version of a folder, of what was taken from it; of a branch, the next one of its folder.

    What is the same as the latest version makes no new one. Raises as `require_seal`, Invalid and Conflict.
    """
    folder = require_seal(uow, actor, folder_id)
    name = _set_of(folder)
    below = [replace(file, path=f"/{name}{file.path}") for file in files]
    return make_output_set(uow, folder.account_id, actor.id, name, below, ("upload", actor.id), always=False)


def fix_folder(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, action: str = "data:get"
) -> FixedFolder:
    """The version that `code@3` means, for whoever may do `action` with the folder and read the file set.

    Raises NotFound `no-such-folder`, `no-such-fileset`, Forbidden.
    """
    name, version = split_version(ref)
    folder = get_folder(uow, actor, name, account=account, action=action)
    fixed = fix_file_set(uow, actor, get_account(uow, folder.account_id), f"{_set_of(folder)}:{version}")
    return FixedFolder(folder, fixed, _set_of(folder))


def check_out(store: FolderStore, blobs: BlobStore, files: Sequence[LakeFile], top: str, into_id: str) -> None:
    """Write the files of a version into a folder that is empty. Blocks. Raises Unavailable, NotFound `no-such-blob`."""
    store.check_space(sum(file.size for file in files))
    below = [replace(file, path=file.path[len(top) + 1 :]) for file in files if file.path.startswith(f"/{top}/")]
    with store.opened(into_id):
        place = store.root / into_id
    TreeWriter(blobs, links=False, owner=store.owner, writable=True).write(place, below, lambda size: None)


def _set_of(folder: Folder) -> str:
    """The name of the file set that a folder's versions are."""
    name = branch_of(folder.name) or folder.name
    try:
        return parse_set(name).name
    except PathError as error:
        raise Invalid(
            f"{folder.full_name} can have no versions, for no file set is called {name!r}; make a branch of it instead",
            code="bad-name",
        ) from error
