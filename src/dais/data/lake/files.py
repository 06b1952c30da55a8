"""Committing and removing files. Contents are in the blob store before; here they get paths and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from dais.data.errors import in_use, invalid_path
from dais.data.hashing import check_digest
from dais.data.lake.permission import require_all
from dais.data.lake.reading import below, parsed, require_files
from dais.data.lake.tables import (
    file_directories,
    file_set_entries,
    file_set_versions,
    file_sets,
    file_versions,
    files,
)
from dais.data.lake.types import CommittedFile, Users
from dais.identity import Account, Actor, resolve_account, urn
from dais.kit.database import Event, Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id
from dais.wire.lake import MAX_COMMIT, FileRef, NewVersion, lake_path, parent_of
from dais.wire.paths import PathError, shown

SHOWN_USERS = 5
"""File sets that a refusal names."""

_insert_file = Statement(insert(files), suffix="ON CONFLICT DO NOTHING")
_insert_directory = Statement(insert(file_directories), suffix="ON CONFLICT DO NOTHING")
_insert_version = Statement(insert(file_versions))
# Locked in the order of their paths, so that commits wait for each other and never in a circle.
_lock = Statement(
    select(files.c.id, files.c.path, files.c.latest, files.c.given)
    .where(files.c.account_id == bindparam("account_id"), in_list(files.c.path, "paths"))
    .order_by(files.c.path)
    .with_for_update()
)
_newest = Statement(
    select(
        files.c.path,
        file_versions.c.id,
        file_versions.c.file_id,
        file_versions.c.version,
        file_versions.c.digest,
        file_versions.c.executable,
    )
    .select_from(files.join(file_versions, file_versions.c.file_id == files.c.id))
    .where(
        files.c.account_id == bindparam("account_id"),
        in_list(files.c.path, "paths"),
        file_versions.c.version == files.c.latest,
    )
)
_count = Statement(
    update(files)
    .where(files.c.id == bindparam("file_id"))
    .values(latest=bindparam("version"), given=bindparam("version"))
)
_known = Statement(
    select(files.c.path).where(files.c.account_id == bindparam("account_id"), in_list(files.c.path, "paths"))
)
_lock_top = Statement(
    select(file_directories.c.path)
    .where(file_directories.c.account_id == bindparam("account_id"), file_directories.c.path == "/")
    .with_for_update()
)
_as_files = Statement(
    select(files.c.path).where(files.c.account_id == bindparam("account_id"), in_list(files.c.path, "paths")).limit(1)
)
_as_directories = Statement(
    select(file_directories.c.path)
    .where(
        file_directories.c.account_id == bindparam("account_id"),
        in_list(file_directories.c.path, "paths"),
        exists(
            select(files.c.id)
            .where(
                files.c.account_id == file_directories.c.account_id,
                below(
                    files.c.path,
                    file_directories.c.path,
                    func.substr(file_directories.c.path, 1, func.length(file_directories.c.path) - 1).concat("0"),
                ),
            )
            .correlate(file_directories)
        ),
    )
    .limit(1)
)
_all_versions = Statement(
    select(file_versions.c.id, file_versions.c.version)
    .where(file_versions.c.file_id == bindparam("file_id"))
    .order_by(file_versions.c.version)
    .with_for_update()
)
_users = Statement(
    select(file_sets.c.name, file_set_versions.c.version, file_versions.c.version.label("of"))
    .select_from(
        file_set_entries.join(file_set_versions, file_set_versions.c.id == file_set_entries.c.set_version_id)
        .join(file_sets, file_sets.c.id == file_set_versions.c.set_id)
        .join(file_versions, file_versions.c.id == file_set_entries.c.file_version_id)
    )
    .where(in_list(file_set_entries.c.file_version_id, "ids"))
    .order_by(file_sets.c.name, file_set_versions.c.version)
    .limit(bindparam("limit"))
)
_delete_versions = Statement(delete(file_versions).where(in_list(file_versions.c.id, "ids")))
_delete_file = Statement(delete(files).where(files.c.id == bindparam("file_id")))
_set_latest = Statement(update(files).where(files.c.id == bindparam("file_id")).values(latest=bindparam("latest")))


def commit_files(
    uow: UnitOfWork,
    actor: Actor,
    account: str | None,
    wanted: Sequence[NewVersion],
    *,
    always: bool = False,
) -> list[CommittedFile]:
    """Give each file its next version, all of them or none; what was done, in the order given.

    Contents are in the blob store already, and were asked for there (`BlobStore.missing`), which keeps them. A file
    whose latest version has the same content and executable bit gets none, unless `always`. Raises Invalid for bad
    paths and for a path twice, Conflict `path-clash` where a file is to lie below another, Forbidden.
    """
    where = resolve_account(uow, actor, account)
    by_path = _checked(wanted)
    require_all(uow, actor, "file:new", where, sorted(by_path))
    return _commit(uow, actor.id, where, by_path, always=always)


def store_files(uow: UnitOfWork, user_id: str, where: Account, wanted: Sequence[NewVersion]) -> list[CommittedFile]:
    """`commit_files` for what was permitted before, as a job's output was when it was submitted."""
    return _commit(uow, user_id, where, _checked(wanted), always=False)


def _commit(
    uow: UnitOfWork, user_id: str, where: Account, by_path: Mapping[str, NewVersion], *, always: bool
) -> list[CommittedFile]:
    paths = sorted(by_path)
    directories = _directories_of(paths)
    if len(uow.all(_known, account_id=where.id, paths=paths)) < len(paths):
        _alone(uow, where)
        _refuse_clashes(uow, where, paths, directories)
    uow.many(_insert_file, (_new_file(uow, user_id, where, path) for path in paths))
    rows = {row.path: row for row in uow.all(_lock, account_id=where.id, paths=paths)}
    newest = {row.file_id: row for row in uow.all(_newest, account_id=where.id, paths=paths)}
    done: dict[str, CommittedFile] = {}
    made: list[dict[str, Any]] = []
    for path in paths:
        row, new = rows[path], by_path[path]
        last = newest.get(row.id)
        if last is not None and not always and (last.digest, bool(last.executable)) == (new.digest, new.executable):
            done[path] = CommittedFile(id=last.id, path=path, version=last.version, new=False)
            continue
        values = _new_version(uow, user_id, row, new)
        made.append(values)
        done[path] = CommittedFile(id=values["id"], path=path, version=values["version"], new=True)
    uow.many(_count, ({"file_id": one["file_id"], "version": one["version"]} for one in made))
    uow.many(_insert_version, made)
    uow.many(
        _insert_directory,
        ({"account_id": where.id, "path": path, "parent": parent_of(path)} for path in directories),
    )
    if made:
        uow.emit(Event("file.new", "account", where.id, where.id, {"files": len(made), "path": paths[0]}))
    return [done[path] for path in by_path]


def same_files(
    uow: UnitOfWork, actor: Actor, account: str | None, wanted: Sequence[NewVersion]
) -> dict[str, CommittedFile]:
    """Those whose latest version is the same already, by path: a commit would do nothing with them. Changes nothing.

    A path that is not in its one form is not among them, and one that stands there twice is once. Raises Forbidden.
    """
    where = resolve_account(uow, actor, account)
    by_path = {new.path: new for new in wanted}
    require_all(uow, actor, "file:new", where, list(by_path), audited=False)
    same: dict[str, CommittedFile] = {}
    for row in uow.all(_newest, account_id=where.id, paths=list(by_path)):
        new = by_path[row.path]
        if row.digest == new.digest and bool(row.executable) == new.executable:
            same[row.path] = CommittedFile(id=row.id, path=row.path, version=row.version, new=False)
    return same


def remove_file(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, users: Users | None = None
) -> int:
    """Remove a version of a file, or without one all of them and the file; how many versions went.

    Numbers of removed versions are not given again, unless all are gone. Raises NotFound `no-such-file`, Conflict
    `in-use` with the file sets that hold it, or whatever `users` names.
    """
    where = resolve_account(uow, actor, account)
    wanted = parsed(ref)
    (row,) = uow.all(_lock, account_id=where.id, paths=[wanted.path]) or [None]
    versions = uow.all(_all_versions, file_id=row.id) if row is not None else []
    gone = [one for one in versions if wanted.version in (None, one.version)]
    require_files(uow, actor, "file:rm", where, [(wanted, bool(gone))])
    assert row is not None
    require_all(uow, actor, "file:rm", where, [wanted.path])
    ids = [one.id for one in gone]
    _refuse_used(uow, wanted, ids)
    if users is not None and (others := users(uow, ids)):
        raise in_use(str(wanted), others)
    uow.run(_delete_versions, ids=ids)
    left = [one.version for one in versions if one not in gone]
    if left:
        uow.run(_set_latest, file_id=row.id, latest=max(left))
    else:
        uow.run(_delete_file, file_id=row.id)
    uow.emit(Event("file.removed", "file", row.id, where.id, {"path": wanted.path, "versions": len(gone)}))
    return len(gone)


def _checked(wanted: Sequence[NewVersion]) -> dict[str, NewVersion]:
    """The files by their paths in the one form."""
    if not 1 <= len(wanted) <= MAX_COMMIT:
        raise Invalid(
            f"a commit has from 1 to {MAX_COMMIT:,} files, not {len(wanted):,}; commit them in parts",
            code="bad-commit",
        )
    by_path: dict[str, NewVersion] = {}
    try:
        for new in wanted:
            path = lake_path(new.path)
            if path in by_path:
                raise Invalid(
                    f"{shown(path)} is in the commit twice; send each path once", code="path-twice", path=path
                )
            check_digest(new.digest)
            by_path[path] = new
    except PathError as error:
        raise invalid_path(error) from error
    return by_path


def _directories_of(paths: Iterable[str]) -> list[str]:
    """Every directory that some path lies in, but the top."""
    found: set[str] = set()
    for path in paths:
        parent = parent_of(path)
        while parent != "/" and parent not in found:
            found.add(parent)
            parent = parent_of(parent)
    return sorted(found)


def _alone(uow: UnitOfWork, where: Account) -> None:
    """Be the only one who makes new names in an account, until the end of the transaction.

    Of two that make a file and a directory of one name at once neither would see the other's.
    """
    uow.many(_insert_directory, [{"account_id": where.id, "path": "/", "parent": ""}])
    uow.all(_lock_top, account_id=where.id)


def _refuse_clashes(uow: UnitOfWork, where: Account, paths: list[str], directories: list[str]) -> None:
    """Nothing may lie below a file, or a download could not write both."""
    clash: str | None = None
    among = {f"{path}/" for path in paths}.intersection(directories)
    if among:
        clash = min(among)
    elif directories and (row := uow.one(_as_files, account_id=where.id, paths=[path[:-1] for path in directories])):
        clash = f"{row.path}/"
    elif row := uow.one(_as_directories, account_id=where.id, paths=[f"{path}/" for path in paths]):
        clash = row.path
    if clash is not None:
        raise Conflict(
            f"{shown(clash[:-1])} would be a file and a directory at once in {where.full_name}; choose another path, "
            "or remove what is there",
            code="path-clash",
            path=clash[:-1],
        )


def _new_file(uow: UnitOfWork, user_id: str, where: Account, path: str) -> dict[str, Any]:
    escaped = urn("", type="file", id=path).rpartition(":")[2]
    return {
        "id": new_id(),
        "account_id": where.id,
        "path": path,
        "parent": parent_of(path),
        "escaped": escaped if escaped != path else None,
        "latest": 0,
        "given": 0,
        "created_by": user_id,
        "created_at": uow.now,
    }


def _new_version(uow: UnitOfWork, user_id: str, row: Row, new: NewVersion) -> dict[str, Any]:
    return {
        "id": new_id(),
        "file_id": row.id,
        "version": row.given + 1,
        "digest": new.digest,
        "size": new.size,
        "executable": int(new.executable),
        "created_by": user_id,
        "created_at": uow.now,
    }


def _refuse_used(uow: UnitOfWork, ref: FileRef, ids: list[str]) -> None:
    users = uow.all(_users, ids=ids, limit=SHOWN_USERS + 1)
    if not users:
        return
    names = [f"{row.name}:{row.version}" for row in users[:SHOWN_USERS]]
    more = " and others" if len(users) > SHOWN_USERS else ""
    raise Conflict(
        f"{ref.path}:{users[0].of} is in the file {'set' if len(users) == 1 else 'sets'} {', '.join(names)}{more}; "
        "remove them first, or keep it",
        code="in-use",
        path=ref.path,
        used_by=names,
    )
