"""Finding files. One that the asker may not see is told as if there were none."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, select

from dais.data.errors import invalid_path
from dais.data.lake.tables import file_directories, file_versions, files
from dais.data.lake.types import Directory, LakeFile
from dais.identity import Account, Actor, conditions, listed, may_see, require, resolve_account, user_names, visible
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from dais.wire.lake import FileRef, lake_directory, parent_of, parse_file
from dais.wire.paths import PathError, shown

_columns = (
    file_versions.c.id,
    files.c.id.label("file_id"),
    files.c.path,
    file_versions.c.version,
    file_versions.c.digest,
    file_versions.c.size,
    file_versions.c.executable,
    file_versions.c.created_by,
    file_versions.c.created_at,
)
_of_account = files.c.account_id == bindparam("account_id")
_joined = files.join(file_versions, file_versions.c.file_id == files.c.id)
_is_latest = file_versions.c.version == files.c.latest

_latest = Statement(
    select(*_columns).select_from(_joined).where(_of_account, in_list(files.c.path, "paths"), _is_latest)
)
_numbered = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(_of_account, in_list(files.c.path, "paths"), in_list(file_versions.c.version, "versions"))
)
_versions = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(_of_account, files.c.path == bindparam("path"), file_versions.c.version < bindparam("before"))
    .order_by(file_versions.c.version.desc())
    .limit(bindparam("limit"))
)
_siblings = Statement(
    select(files.c.path).where(_of_account, files.c.parent == bindparam("parent")).order_by(files.c.path).limit(1000)
)
resource_column: ColumnElement[str] = func.coalesce(files.c.escaped, files.c.path)
"""A file's id in URNs: its path, as it stands there."""

_END = 2**31 - 1


def below(path: ColumnElement[str], directory: ColumnElement[str], end: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a path lies below a directory; `end` is the first text after all such paths (`after_all`)."""
    return and_(path > directory, path < end)


def after_all(directory: str) -> str:
    """The first text that sorts after whatever lies below a directory: `0` is the character after `/`."""
    return f"{directory[:-1]}0"


_by_id = Statement(select(*_columns).select_from(_joined).where(file_versions.c.id == bindparam("id")))


@functools.cache
def _below(shape: frozenset[str]) -> Statement:
    """Files with their latest versions below a directory, by path."""
    return Statement(
        select(*_columns)
        .select_from(_joined)
        .where(_of_account, _is_latest, below(files.c.path, bindparam("after"), bindparam("end")))
        .where(*conditions(shape, "file", id=resource_column, account=files.c.account_id))
        .order_by(files.c.path)
        .limit(bindparam("limit"))
    )


@functools.cache
def _files_in(shape: frozenset[str]) -> Statement:
    """Files with their latest versions right in a directory, by path."""
    return Statement(
        select(*_columns)
        .select_from(_joined)
        .where(_of_account, _is_latest, files.c.parent == bindparam("parent"), files.c.path > bindparam("after"))
        .where(*conditions(shape, "file", id=resource_column, account=files.c.account_id))
        .order_by(files.c.path)
        .limit(bindparam("limit"))
    )


@functools.cache
def _directories_in(shape: frozenset[str]) -> Statement:
    """Directories right in a directory below which there is a file to be seen, by path."""
    end = func.substr(file_directories.c.path, 1, func.length(file_directories.c.path) - 1).concat("0")
    inside = (
        select(files.c.id)
        .where(files.c.account_id == file_directories.c.account_id, below(files.c.path, file_directories.c.path, end))
        .where(*conditions(shape, "file", id=resource_column, account=files.c.account_id))
        .correlate(file_directories)
    )
    return Statement(
        select(file_directories.c.path)
        .where(
            file_directories.c.account_id == bindparam("account_id"),
            file_directories.c.parent == bindparam("parent"),
            file_directories.c.path > bindparam("after"),
            exists(inside),
        )
        .order_by(file_directories.c.path)
        .limit(bindparam("limit"))
    )


def get_file(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, action: str = "file:get"
) -> LakeFile:
    """The version of a file that `ref` means, when `actor` may do `action` with the file.

    Raises NotFound `no-such-file`, Forbidden.
    """
    (found,) = get_files(uow, actor, [parsed(ref)], account=account, action=action)
    return found


def get_files(
    uow: UnitOfWork,
    actor: Actor,
    refs: Sequence[FileRef],
    *,
    account: str | None = None,
    action: str = "file:get",
) -> list[LakeFile]:
    """The versions that are meant, in order. Raises NotFound `no-such-file` for the first that is not there."""
    where = resolve_account(uow, actor, account)
    found = find_files(uow, where.id, refs)
    require_files(uow, actor, action, where, [(ref, ref in found) for ref in refs])
    people = user_names(uow, {row.created_by for row in found.values()})
    return [file_of(found[ref], people.get(found[ref].created_by, "")) for ref in refs]


def require_files(
    uow: UnitOfWork, actor: Actor, action: str, where: Account, asked: Iterable[tuple[FileRef, bool]]
) -> None:
    """Return when all are there and `actor` may do `action` with each. Raises NotFound, Forbidden for the first."""
    free = visible(uow, actor, action).everything
    for ref, there in asked:
        if free and there:
            continue
        hidden = functools.partial(_no_such_file, uow, actor, where, ref)
        if not may_see(uow, actor, action, where.id, ref.path):
            require(uow, actor, action, account_id=where.id, resource_id=ref.path, hidden=hidden)
        if not there:
            raise hidden()


def find_files(uow: UnitOfWork, account_id: str, refs: Iterable[FileRef]) -> dict[FileRef, Row]:
    """The rows of those that are there, whoever asks."""
    wanted = set(refs)
    latest = [ref.path for ref in wanted if ref.version is None]
    numbered = [ref for ref in wanted if ref.version is not None]
    found: dict[FileRef, Row] = {}
    if latest:
        found = {FileRef(row.path): row for row in uow.all(_latest, account_id=account_id, paths=latest)}
    if numbered:
        paths = list({ref.path for ref in numbered})
        versions = list({ref.version for ref in numbered})
        for row in uow.all(_numbered, account_id=account_id, paths=paths, versions=versions):
            ref = FileRef(row.path, row.version)
            if ref in wanted:
                found[ref] = row
    return found


def list_file_versions(
    uow: UnitOfWork,
    actor: Actor,
    path: str,
    *,
    account: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[LakeFile]:
    """The versions of a file, the newest first. Raises NotFound `no-such-file`, Forbidden."""
    check_limit(limit)
    (before,) = decode_cursor(cursor, tuple[int]) if cursor is not None else (_END,)
    latest = get_file(uow, actor, FileRef(parsed(path).path).path, account=account)
    where = resolve_account(uow, actor, account)
    rows = uow.all(_versions, account_id=where.id, path=latest.path, before=before, limit=limit + 1)
    return _page(uow, rows, limit)


def list_directory_files(
    uow: UnitOfWork,
    actor: Actor,
    directory: str = "/",
    *,
    account: str | None = None,
    recursive: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[LakeFile | Directory]:
    """What is in a directory and may be seen: its directories, then its files with their latest versions, by path.

    `recursive`: all files below it instead. Raises NotFound `no-such-directory` where there is nothing.
    """
    check_limit(limit)
    where = resolve_account(uow, actor, account)
    top = _directory(directory)
    seen = listed(uow, actor, "file:list", account_id=where.id)
    kind, after = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("d", "")
    found: list[LakeFile | Directory] = []
    wanted = {"account_id": where.id, **seen.values}
    if recursive:
        rows = uow.all(_below(seen.shape), **wanted, after=after or top, end=after_all(top), limit=limit + 1)
    else:
        if kind == "d":
            names = uow.all(_directories_in(seen.shape), **wanted, parent=top, after=after, limit=limit + 1)
            found = [Directory(path=row.path) for row in names]
        rows = []
        if len(found) <= limit:
            start = after if kind == "f" else ""
            rows = uow.all(_files_in(seen.shape), **wanted, parent=top, after=start, limit=limit + 1 - len(found))
    people = user_names(uow, {row.created_by for row in rows})
    found += [file_of(row, people.get(row.created_by, "")) for row in rows]
    if not found and top != "/" and cursor is None:
        raise NotFound(
            f"there is no directory {shown(top)} in {where.full_name}; `dais file ls` lists what there is",
            code="no-such-directory",
            path=top[:200],
        )
    if len(found) <= limit:
        return Page(found, None)
    last = found[limit - 1]
    return Page(found[:limit], encode_cursor("d" if isinstance(last, Directory) else "f", last.path))


def file_by_id(uow: UnitOfWork, version_id: str) -> LakeFile | None:
    """A version by its id, whoever asks; None when it is not there."""
    row = uow.one(_by_id, id=version_id)
    return file_of(row, row.created_by) if row is not None else None


def files_below(uow: UnitOfWork, account_id: str, directory: str, limit: int) -> list[Row]:
    """The latest versions of all files below a directory, by path, whoever asks; at most `limit`."""
    return uow.all(_below(frozenset()), account_id=account_id, after=directory, end=after_all(directory), limit=limit)


def file_of(row: Row, created_by: str) -> LakeFile:
    """A row as others see it; `created_by` is the user's name."""
    return LakeFile(
        id=row.id,
        file_id=row.file_id,
        path=row.path,
        version=row.version,
        digest=row.digest,
        size=row.size,
        executable=bool(row.executable),
        created_by=created_by,
        created_at=row.created_at,
    )


def parsed(text: str) -> FileRef:
    """`/a` or `/a:3`. Raises Invalid."""
    try:
        return parse_file(text)
    except PathError as error:
        raise invalid_path(error) from error


def _directory(text: str) -> str:
    try:
        return lake_directory(text)
    except PathError as error:
        raise invalid_path(error) from error


def _page(uow: UnitOfWork, rows: list[Row], limit: int) -> Page[LakeFile]:
    people = user_names(uow, {row.created_by for row in rows})
    items = [file_of(row, people.get(row.created_by, "")) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].version) if len(rows) > limit else None)


def _no_such_file(uow: UnitOfWork, actor: Actor, where: Account, ref: FileRef) -> NotFound:
    hint = "`dais file ls` lists what there is"
    if may_see(uow, actor, "file:list", where.id):
        if ref.version is not None and (row := find_files(uow, where.id, [FileRef(ref.path)]).get(FileRef(ref.path))):
            hint = f"the latest version is {row.version}; `dais file versions {ref.path}` lists all"
        else:
            parent = parent_of(ref.path)
            known = [row.path[len(parent) :] for row in uow.all(_siblings, account_id=where.id, parent=parent)]
            near = difflib.get_close_matches(ref.path[len(parent) :], known, 1)
            hint = f"did you mean {parent}{near[0]}?" if near else hint
    return NotFound(
        f"there is no file {shown(str(ref))} in {where.full_name}; {hint}", code="no-such-file", path=str(ref)[:200]
    )
