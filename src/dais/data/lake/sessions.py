"""Sessions: files that are uploaded one by one, and get their versions when a session is finished.

Contents are blobs, which stay for 24 hours after they have come; sessions are forgotten after the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.data.lake.files import commit_files
from dais.data.lake.permission import require_all
from dais.data.lake.reading import parsed
from dais.data.lake.tables import upload_session_files, upload_sessions
from dais.identity import Actor, get_account, resolve_account
from dais.kit.clock import SECOND
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.kit.ids import is_id, new_id
from dais.wire.lake import MAX_COMMIT, NewVersion

KEPT_SECONDS = 24 * 3600

_insert_session = Statement(insert(upload_sessions))
_insert_file = Statement(insert(upload_session_files))
_forget = Statement(delete(upload_sessions).where(upload_sessions.c.created_at < bindparam("before")))
_session = select(upload_sessions).where(upload_sessions.c.id == bindparam("id"))
_find = Statement(_session)
_lock = Statement(_session.with_for_update())
_files = Statement(
    select(upload_session_files)
    .where(upload_session_files.c.session_id == bindparam("session_id"))
    .order_by(upload_session_files.c.number)
)
_this = (
    upload_session_files.c.session_id == bindparam("session"),
    upload_session_files.c.number == bindparam("place"),
)
_content = Statement(
    update(upload_session_files).where(*_this).values(digest=bindparam("came"), size=bindparam("bytes"))
)
_version = Statement(update(upload_session_files).where(*_this).values(version=bindparam("got")))
_state = Statement(
    update(upload_sessions).where(upload_sessions.c.id == bindparam("session")).values(state=bindparam("to"))
)
_one = Statement(
    select(
        upload_session_files.c.path,
        upload_session_files.c.version,
        upload_sessions.c.state,
        upload_sessions.c.user_id,
    )
    .join(upload_sessions, upload_sessions.c.id == upload_session_files.c.session_id)
    .where(*_this)
)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is: `open`, `done` or `aborted`; `files` are the versions that were given, `/a.txt:1`."""

    id: str
    state: str
    files: tuple[str, ...]


def begin_session(uow: UnitOfWork, actor: Actor, account: str | None, paths: Sequence[str]) -> str:
    """Begin to upload files to these paths; the session's id. Nothing of it can be seen before it is committed.

    Raises Invalid for bad paths, Forbidden.
    """
    where = resolve_account(uow, actor, account)
    if not 1 <= len(paths) <= MAX_COMMIT:
        raise Invalid(f"a session has from 1 to {MAX_COMMIT:,} files, not {len(paths):,}", code="bad-commit")
    plain = [_path(path) for path in paths]
    require_all(uow, actor, "file:new", where, sorted(set(plain)))
    uow.run(_forget, before=uow.now - KEPT_SECONDS * SECOND)
    made = new_id()
    uow.run(_insert_session, id=made, account_id=where.id, user_id=actor.id, state="open", created_at=uow.now)
    uow.many(
        _insert_file,
        (
            {"session_id": made, "number": number, "path": path, "digest": None, "size": None, "version": None}
            for number, path in enumerate(plain)
        ),
    )
    return made


def session_file(uow: UnitOfWork, session_id: str, number: int) -> str:
    """The user of an open session that has this file. Raises NotFound, Conflict `session-over`."""
    row = uow.one(_one, session=session_id, place=number)
    if row is None:
        raise _no_session(session_id)
    if row.state != "open" or row.version is not None:
        raise _over(session_id, row.state)
    return str(row.user_id)


def note_content(uow: UnitOfWork, session_id: str, number: int, digest: str, size: int) -> None:
    """A file's content has come and is stored; what came before for it is forgotten. Raises as `session_file`."""
    uow.one(_lock, id=session_id)
    session_file(uow, session_id, number)
    uow.run(_content, session=session_id, place=number, came=digest, bytes=size)


def commit_session(
    uow: UnitOfWork, actor: Actor, session_id: str, numbers: Sequence[int] | None = None, sizes: Sequence[int] = ()
) -> list[str]:
    """Give files of a session (None: all) their versions, all of them or none; the versions, `/a.txt:1`, in order.

    Those that have theirs already keep them, so that it can be asked twice. Raises Conflict `not-uploaded`,
    `session-over`, Invalid `wrong-size`, and as `commit_files`.
    """
    session = _mine(uow, actor, session_id, lock=True)
    rows = {row.number: row for row in uow.all(_files, session_id=session_id)}
    wanted = list(rows) if numbers is None else list(dict.fromkeys(numbers))
    if unknown := [number for number in wanted if number not in rows]:
        raise NotFound(f"the session has no file {unknown[0]}", code="no-such-file")
    if len(sizes) == len(wanted):
        _check_sizes(rows, wanted, sizes)
    left = [rows[number] for number in wanted if rows[number].version is None]
    if left and session.state != "open":
        raise _over(session_id, session.state)
    if absent := [row.path for row in left if row.digest is None]:
        raise Conflict(
            f"{absent[0]} has not been uploaded yet ({len(absent):,} have not); send it first", code="not-uploaded"
        )
    given = {number: row.version for number, row in rows.items()}
    while left:  # a path that is there twice gets two versions
        first: dict[str, Row] = {}
        for row in left:
            first.setdefault(row.path, row)
        new = [NewVersion(path=row.path, digest=row.digest, size=row.size) for row in first.values()]
        for row, done in zip(
            first.values(), commit_files(uow, actor, session.account_id, new, always=True), strict=True
        ):
            given[row.number] = done.version
            uow.run(_version, session=session_id, place=row.number, got=done.version)
        left = [row for row in left if first[row.path] is not row]
    return [f"{rows[number].path}:{given[number]}" for number in wanted]


def end_session(uow: UnitOfWork, actor: Actor, session_id: str) -> Session:
    """Commit what is left of a session and end it; to end it again is the same. Raises as `commit_session`."""
    session = _mine(uow, actor, session_id, lock=True)
    if session.state == "aborted":
        raise _over(session_id, session.state)
    files = commit_session(uow, actor, session_id)
    uow.run(_state, session=session_id, to="done")
    return Session(id=session_id, state="done", files=tuple(files))


def poll_session(uow: UnitOfWork, actor: Actor, session_id: str) -> Session:
    """How a session stands, which is committed when all has come: some clients ask until it is, and finish it then."""
    session = _mine(uow, actor, session_id, lock=True)
    if session.state == "open" and all(row.digest is not None for row in uow.all(_files, session_id=session_id)):
        files = commit_session(uow, actor, session_id)
        return Session(id=session_id, state="done", files=tuple(files))
    return session_state(uow, actor, session_id)


def abort_session(uow: UnitOfWork, actor: Actor, session_id: str) -> Session:
    """Give a session up; what it committed stays. Raises Conflict `session-over` for one that is done."""
    session = _mine(uow, actor, session_id, lock=True)
    if session.state == "done":
        raise _over(session_id, session.state)
    uow.run(_state, session=session_id, to="aborted")
    return session_state(uow, actor, session_id)


def session_state(uow: UnitOfWork, actor: Actor, session_id: str) -> Session:
    """How a session of the actor's stands. Raises NotFound."""
    session = _mine(uow, actor, session_id)
    rows = uow.all(_files, session_id=session_id)
    files = tuple(f"{row.path}:{row.version}" for row in rows if row.version is not None)
    return Session(id=session_id, state=session.state, files=files)


def _mine(uow: UnitOfWork, actor: Actor, session_id: str, *, lock: bool = False) -> Row:
    """A session, to whoever began it alone, with a token that reaches its account."""
    row = uow.one(_lock if lock else _find, id=session_id) if is_id(session_id) else None
    if row is None or row.user_id != actor.id:
        raise _no_session(session_id)
    require_all(uow, actor, "file:new", get_account(uow, row.account_id), ["/"], audited=False)
    return row


def _check_sizes(rows: dict[int, Row], wanted: Sequence[int], sizes: Sequence[int]) -> None:
    for number, size in zip(wanted, sizes, strict=True):
        row = rows[number]
        if row.size is not None and row.size != size:
            raise Invalid(
                f"{row.path} is said to have {size:,} bytes, and {row.size:,} have come; upload it again",
                code="wrong-size",
            )


def _path(text: str) -> str:
    ref = parsed(text)
    if ref.version is not None:
        raise Invalid(f"{text[:200]!r}: a file is given its version; leave it out", code="bad-path")
    return ref.path


def _no_session(session_id: str) -> NotFound:
    return NotFound(
        f"there is no upload session {session_id[:40]!r} of yours; sessions are forgotten after a day, begin another",
        code="no-such-session",
    )


def _over(session_id: str, state: str) -> Conflict:
    return Conflict(f"the upload session {session_id} is {state} already; begin another", code="session-over")
