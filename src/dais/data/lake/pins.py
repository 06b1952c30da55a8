"""What a job has of the data lake: versions that are fixed when it is submitted, and the set that it makes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.data.lake.files import store_files
from dais.data.lake.permission import require_all
from dais.data.lake.reading import file_of, find_files
from dais.data.lake.set_reading import entries_of, find_set, set_of
from dais.data.lake.sets import make_set_version
from dais.data.lake.types import LakeFile, SetVersion
from dais.identity import Account, Actor, get_account, require
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire.lake import FileRef, NewVersion, parse_set
from dais.wire.paths import PathError


class FixedSet(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a set, and what it holds."""

    version: SetVersion
    files: list[LakeFile]


def fix_file_set(uow: UnitOfWork, actor: Actor, where: Account, name: str) -> FixedSet:
    """The version that `name` or `name:2` means, for a job that reads all of it.

    Raises NotFound `no-such-fileset`, Forbidden: `fileset:get` is needed, and `file:get` on every file.
    """
    try:
        ref = parse_set(name)
    except PathError as error:
        raise Invalid(str(error), code=error.code, name=name[:200]) from error
    row = find_set(uow, actor, where, ref, "fileset:get")
    files = set_files(uow, row.id)
    require_all(uow, actor, "file:get", where, [file.path for file in files])
    return FixedSet(version=set_of(uow, where, row), files=files)


def set_files(uow: UnitOfWork, set_version_id: str) -> list[LakeFile]:
    """What a version of a set holds, by path, whoever asks."""
    return [file_of(row, row.created_by) for row in entries_of(uow, set_version_id)]


def require_output(uow: UnitOfWork, actor: Actor, where: Account, directory: str, name: str) -> None:
    """Return when `actor` may have files made below a directory, and a set of that name of them. Raises Forbidden."""
    require(uow, actor, "fileset:new", account_id=where.id, resource_id=name)
    require_all(uow, actor, "file:new", where, [directory])


def make_output_set(
    uow: UnitOfWork,
    account_id: str,
    user_id: str,
    name: str,
    files: Sequence[NewVersion],
    made_by: tuple[str, str],
    *,
    always: bool = True,
) -> SetVersion:
    """Give files their next versions, and make the next version of a set of just them: all of it or nothing.

    Contents are in the blob store, and were asked for there. What is permitted was asked before (`require_output`).
    Unless `always`, what is the same as the latest version makes no new one. Raises as `commit_files`.
    """
    where = get_account(uow, account_id)
    refs = [FileRef(done.path, done.version) for done in store_files(uow, user_id, where, files)] if files else []
    rows = find_files(uow, account_id, refs)
    return make_set_version(uow, user_id, where, name, [rows[ref] for ref in refs], (), made_by, always=always)
