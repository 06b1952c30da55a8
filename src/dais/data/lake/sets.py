"""Making and removing file sets: immutable lists of file versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blake3 import blake3
from sqlalchemy import bindparam, delete, insert, select, update

from dais.data.errors import in_use, invalid_path
from dais.data.lake.permission import require_all
from dais.data.lake.reading import files_below, find_files, require_files
from dais.data.lake.set_reading import entries_of, find_set, set_of
from dais.data.lake.tables import file_set_entries, file_set_parents, file_set_versions, file_sets, file_versions
from dais.data.lake.types import SetVersion, Users
from dais.identity import Account, Actor, require, resolve_account
from dais.kit.database import Event, Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.kit.ids import new_id
from dais.wire.lake import MAX_COMMIT, DirectoryRef, FileRef, SetRef, parse_entity, parse_set
from dais.wire.paths import PathError, shown

SHOWN_USERS = 5

_insert_set = Statement(insert(file_sets), suffix="ON CONFLICT DO NOTHING")
_insert_version = Statement(insert(file_set_versions))
_insert_entry = Statement(insert(file_set_entries))
_insert_parent = Statement(insert(file_set_parents))
_lock = Statement(
    select(file_sets.c.id, file_sets.c.latest, file_sets.c.given)
    .where(file_sets.c.account_id == bindparam("account_id"), file_sets.c.name == bindparam("name"))
    .with_for_update()
)
_digest = Statement(
    select(file_set_versions.c.id, file_set_versions.c.digest).where(
        file_set_versions.c.set_id == bindparam("set_id"), file_set_versions.c.version == bindparam("version")
    )
)
_count = Statement(
    update(file_sets)
    .where(file_sets.c.id == bindparam("set_id"))
    .values(latest=bindparam("version"), given=bindparam("version"))
)
# Whoever removes one of these versions waits for us, or we see that it is gone.
_hold = Statement(
    select(file_versions.c.id).where(in_list(file_versions.c.id, "ids")).with_for_update(read=True, key_share=True)
)
_all_versions = Statement(
    select(file_set_versions.c.id, file_set_versions.c.version)
    .where(file_set_versions.c.set_id == bindparam("set_id"))
    .with_for_update()
)
_children = Statement(
    select(file_set_parents.c.set_version_id, file_sets.c.name, file_set_versions.c.version)
    .select_from(
        file_set_parents.join(file_set_versions, file_set_versions.c.id == file_set_parents.c.set_version_id).join(
            file_sets, file_sets.c.id == file_set_versions.c.set_id
        )
    )
    .where(in_list(file_set_parents.c.parent_version_id, "ids"))
    .order_by(file_sets.c.name, file_set_versions.c.version)
)
_delete_entries = Statement(delete(file_set_entries).where(in_list(file_set_entries.c.set_version_id, "ids")))
_delete_parents = Statement(delete(file_set_parents).where(in_list(file_set_parents.c.set_version_id, "ids")))
_delete_versions = Statement(delete(file_set_versions).where(in_list(file_set_versions.c.id, "ids")))
_delete_set = Statement(delete(file_sets).where(file_sets.c.id == bindparam("set_id")))
_set_latest = Statement(
    update(file_sets).where(file_sets.c.id == bindparam("set_id")).values(latest=bindparam("latest"))
)


def create_file_set(
    uow: UnitOfWork,
    actor: Actor,
    name: str,
    entities: Sequence[str],
    *,
    account: str | None = None,
    force: bool = False,
    always: bool = False,
) -> SetVersion:
    """Make the next version of a file set from files, directories and other file sets of the same account.

    Without versions the latest are taken. What is the same as the latest version makes no new one, unless `always`.
    Raises NotFound, Forbidden (`file:get` is needed on every file), and Conflict `path-conflict` for one path in two
    versions; with `force` the one named last is taken.
    """
    where = resolve_account(uow, actor, account)
    ref = _parsed_set(name)
    if ref.version is not None:
        raise Invalid(
            f"{shown(name)}: a new file set is given its version; leave it out", code="bad-name", name=name[:200]
        )
    require(uow, actor, "fileset:new", account_id=where.id, resource_id=ref.name)
    chosen, parents = _gather(uow, actor, where, entities, force=force)
    require_all(uow, actor, "file:get", where, sorted(chosen))
    made_by = ("upload", actor.id)
    return make_set_version(uow, actor.id, where, ref.name, list(chosen.values()), parents, made_by, always=always)


def make_set_version(
    uow: UnitOfWork,
    user_id: str,
    where: Account,
    name: str,
    rows: Sequence[Row],
    parents: Sequence[str],
    made_by: tuple[str, str],
    *,
    always: bool,
) -> SetVersion:
    """The next version of a set that holds these rows of file versions, each path once. Asks for no permission.

    `parents` are ids of the set versions that it was made of; `made_by` is `("upload", user)` or `("job", job)`.
    """
    ids = [row.id for row in rows]
    if len(uow.all(_hold, ids=ids)) != len(ids):
        raise Conflict("a file was removed while the set was made; make it again", code="changed")
    values: dict[str, Any] = {"id": new_id(), "account_id": where.id, "name": name, "latest": 0, "given": 0}
    uow.run(_insert_set, **values, created_by=user_id, created_at=uow.now)
    held = uow.one(_lock, account_id=where.id, name=name)
    assert held is not None
    ordered = sorted(rows, key=lambda row: row.path)
    digest = _digest_of(ordered)
    last = uow.one(_digest, set_id=held.id, version=held.latest)
    if last is not None and last.digest == digest and not always:
        return set_of(uow, where, find_set(uow, None, where, SetRef(name, held.latest), "fileset:get"))
    version_id, version = new_id(), held.given + 1
    uow.run(
        _insert_version,
        id=version_id,
        set_id=held.id,
        version=version,
        files=len(ordered),
        size=sum(row.size for row in ordered),
        digest=digest,
        made_by=made_by[0],
        made_by_id=made_by[1],
        created_by=user_id,
        created_at=uow.now,
    )
    uow.run(_count, set_id=held.id, version=version)
    entries = ({"set_version_id": version_id, "path": row.path, "file_version_id": row.id} for row in ordered)
    uow.many(_insert_entry, entries)
    uow.many(
        _insert_parent, ({"set_version_id": version_id, "parent_version_id": parent} for parent in sorted(set(parents)))
    )
    uow.emit(Event("fileset.new", "fileset", held.id, where.id, {"name": name, "version": version}))
    return set_of(uow, where, find_set(uow, None, where, SetRef(name, version), "fileset:get"), new=True)


def remove_file_set(
    uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None, users: Users | None = None
) -> int:
    """Remove a version of a file set, or without one all of them; how many went. Their files stay.

    Raises NotFound `no-such-fileset`, Conflict `in-use` with the sets that were made of it, or whatever `users` names.
    """
    where = resolve_account(uow, actor, account)
    ref = _parsed_set(name)
    found = find_set(uow, actor, where, ref, "fileset:rm")
    uow.one(_lock, account_id=where.id, name=ref.name)
    versions = uow.all(_all_versions, set_id=found.set_id)
    gone = [row for row in versions if ref.version in (None, row.version)]
    ids = [row.id for row in gone]
    going = set(ids)
    children = [row for row in uow.all(_children, ids=ids) if row.set_version_id not in going]
    if children:
        names = [f"{row.name}:{row.version}" for row in children[:SHOWN_USERS]]
        more = f" and {len(children) - SHOWN_USERS} more" if len(children) > SHOWN_USERS else ""
        raise Conflict(
            f"{ref} was used to make {', '.join(names)}{more}; remove those first, or keep it",
            code="in-use",
            fileset=str(ref),
            used_by=names,
        )
    if users is not None and (others := users(uow, ids)):
        raise in_use(str(ref), others)
    for statement in (_delete_entries, _delete_parents, _delete_versions):
        uow.run(statement, ids=ids)
    left = [row.version for row in versions if row.id not in going]
    if left:
        uow.run(_set_latest, set_id=found.set_id, latest=max(left))
    else:
        uow.run(_delete_set, set_id=found.set_id)
    uow.emit(Event("fileset.removed", "fileset", found.set_id, where.id, {"name": ref.name, "versions": len(gone)}))
    return len(gone)


def _gather(
    uow: UnitOfWork, actor: Actor, where: Account, entities: Sequence[str], *, force: bool
) -> tuple[dict[str, Row], list[str]]:
    """The versions that a list of entities means, by path, and the ids of the sets among them."""
    if not 1 <= len(entities) <= MAX_COMMIT:
        raise Invalid(
            f"a file set is made of 1 to {MAX_COMMIT:,} files, directories and sets, not of {len(entities):,}",
            code="bad-fileset",
        )
    try:
        wanted = [parse_entity(text) for text in entities]
    except PathError as error:
        raise invalid_path(error) from error
    refs = [one for one in wanted if isinstance(one, FileRef)]
    single = find_files(uow, where.id, refs)
    require_files(uow, actor, "file:get", where, [(ref, ref in single) for ref in refs])
    chosen: dict[str, Row] = {}
    parents: list[str] = []
    for one in wanted:
        if isinstance(one, FileRef):
            rows = [single[one]]
        elif isinstance(one, DirectoryRef):
            rows = _directory(uow, actor, where, one)
        else:
            found = find_set(uow, actor, where, one, "fileset:get")
            parents.append(found.id)
            rows = entries_of(uow, found.id)
        for row in rows:
            before = chosen.get(row.path)
            if before is not None and before.id != row.id and not force:
                raise _two_versions(row, before)
            chosen[row.path] = row
        if len(chosen) > MAX_COMMIT:
            raise Invalid(f"a file set has at most {MAX_COMMIT:,} files; make several of them", code="bad-fileset")
    return chosen, parents


def _directory(uow: UnitOfWork, actor: Actor, where: Account, ref: DirectoryRef) -> list[Row]:
    rows = files_below(uow, where.id, ref.path, MAX_COMMIT + 1)
    if not rows:
        require_files(uow, actor, "file:get", where, [(FileRef(ref.path), True)])
        raise NotFound(
            f"there is no file below {shown(ref.path)} in {where.full_name}; `dais file ls` lists what there is",
            code="no-such-directory",
            path=ref.path[:200],
        )
    return rows


def _two_versions(row: Row, before: Row) -> Conflict:
    return Conflict(
        f"{shown(row.path)} is named in two versions, {before.version} and {row.version}; leave one out, or use force "
        "to take the one named last",
        code="path-conflict",
        path=row.path,
        versions=[before.version, row.version],
    )


def _digest_of(ordered: Sequence[Row]) -> str:
    """One set of file versions has one digest."""
    hasher = blake3()
    for row in ordered:
        hasher.update(f"{row.path}\0{row.version}\0{row.digest}\0{row.executable}\n".encode())
    return f"blake3:{hasher.hexdigest()}"


def _parsed_set(text: str) -> SetRef:
    try:
        return parse_set(text)
    except PathError as error:
        raise Invalid(str(error), code=error.code, name=text[:200]) from error
