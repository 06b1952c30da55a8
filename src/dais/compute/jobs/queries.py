"""Reading jobs, as far as the asker may see them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import BindParameter, ColumnElement, bindparam, func, select

from dais.compute.groups.queries import group_problems
from dais.compute.interactive.warned import idle_warning
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.progress import data_of, phase_of
from dais.compute.jobs.system import OWNER, check_system
from dais.compute.jobs.tables import SHORT_ID, is_waiting, job_history, job_tags, jobs, runs
from dais.compute.notify.queries import deliveries_of
from dais.compute.scheduler import BEHIND
from dais.identity import (
    Account,
    Actor,
    conditions,
    get_account,
    listed,
    may_see,
    require,
    resolve_account,
    urn,
    user_ids,
    user_names,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.kit.ids import is_id
from dais.kit.paging import check_limit, decode_cursor, encode_cursor
from dais.wire import answers
from dais.wire.spec import JobSpec

_by_id = Statement(select(jobs).where(jobs.c.id == bindparam("id")))
_by_number = Statement(select(jobs).where(jobs.c.number == bindparam("number")))
_by_short_id = Statement(
    select(jobs).where(jobs.c.short_id == bindparam("short_id")).order_by(jobs.c.number.desc()).limit(10)
)
_live_named = Statement(
    select(jobs).where(
        jobs.c.account_id == bindparam("account_id"), jobs.c.name == bindparam("name"), jobs.c.ended_at.is_(None)
    )
)
_newest_named = Statement(
    select(jobs)
    .where(jobs.c.account_id == bindparam("account_id"), jobs.c.name == bindparam("name"))
    .order_by(jobs.c.number.desc())
    .limit(1)
)
_last_of = Statement(
    select(jobs)
    .where(jobs.c.owner_id == bindparam("owner_id"), jobs.c.type != "system")
    .order_by(jobs.c.number.desc())
    .limit(1)
)
_runs_of = Statement(select(runs).where(runs.c.job_id == bindparam("job_id")).order_by(runs.c.idx))
_latest_runs = Statement(
    select(runs)
    .join(jobs, (jobs.c.id == runs.c.job_id) & (runs.c.idx == jobs.c.run_index))
    .where(in_list(jobs.c.id, "ids"))
)
_history = Statement(select(job_history).where(job_history.c.job_id == bindparam("job_id")).order_by(job_history.c.id))
_spec = msgspec.json.Decoder(JobSpec)

MOST_BEFORE = 100
"""How far the jobs before a waiting one are counted."""


def _before(*conditions: ColumnElement[bool]) -> Statement:
    """How many waiting jobs of the group meet the conditions: a stretch of the queue's index, counted only so far."""
    found = select(jobs.c.number).where(jobs.c.group_name == bindparam("group_name"), is_waiting, *conditions)
    return Statement(select(func.count()).select_from(found.limit(MOST_BEFORE).subquery()))


_same_class = jobs.c.class_rank == bindparam("class_rank")
_same_bid = jobs.c.bid == bindparam("bid")
_same_time = jobs.c.queued_at == bindparam("queued_at")
_all_before = (
    _before(jobs.c.class_rank < bindparam("class_rank")),
    _before(_same_class, jobs.c.bid > bindparam("bid")),
    _before(_same_class, _same_bid, jobs.c.queued_at < bindparam("queued_at")),
    _before(_same_class, _same_bid, _same_time, jobs.c.number < bindparam("number")),
)


def find_job(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, action: str = "job:get") -> Row:
    """The job that an id, a number, a short id, a name or `last` means: the live one of that name, else the newest.

    Whoever may do `action` with it need not be able to see it otherwise. Raises NotFound `no-such-job`, also for a job
    that the asker may not see; Forbidden for one that they may; Conflict `ambiguous-id`.
    """
    row = _look_up(uow, actor, ref, account, action)
    if row is None:
        raise _no_such_job(ref)
    hidden = functools.partial(_no_such_job, ref)
    require(uow, actor, action, account_id=row.account_id, resource_type="job", resource_id=row.id, hidden=hidden)
    check_system(row, action)
    return row


def _no_such_job(ref: str) -> NotFound:
    what = "you have no job yet" if ref == "last" else f"there is no job {ref!r} that you may see"
    return NotFound(f"{what}; `dais job ls --state all` lists yours", code="no-such-job", job=ref)


def _look_up(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Row | None:
    if ref == "last":
        return uow.one(_last_of, owner_id=actor.id)
    if is_id(ref):
        return uow.one(_by_id, id=ref)
    short = _is_short_id(ref)
    if ref.isascii() and ref.isdigit() and len(ref) < 16:
        row = uow.one(_by_number, number=int(ref))
        if row is not None or not short:
            return row
    if short and (row := _with_short_id(uow, actor, ref, account, action)) is not None:
        return row
    name = ref
    if account is None and "." in ref:
        account, _, name = ref.rpartition(".")
    owner = resolve_account(uow, actor, account)
    return live_job_named(uow, owner.id, name) or uow.one(_newest_named, account_id=owner.id, name=name)


def _is_short_id(text: str) -> bool:
    return len(text) == SHORT_ID and all(digit in "0123456789abcdef" for digit in text)


def _with_short_id(uow: UnitOfWork, actor: Actor, short_id: str, account: str | None, action: str) -> Row | None:
    """The one job of a short id that the asker may see, or use. Raises Conflict `ambiguous-id`."""
    rows = [
        row
        for row in uow.all(_by_short_id, short_id=short_id)
        if any(may_see(uow, actor, one, row.account_id, row.id) for one in (action, "job:get"))
    ]
    if len(rows) > 1 and account is not None:
        owner = resolve_account(uow, actor, account)
        rows = [row for row in rows if row.account_id == owner.id]
    if len(rows) > 1:
        ids = [row.id for row in rows]
        raise Conflict(
            f"several jobs have ids that end with {short_id}: give one of them whole, {', '.join(ids)}",
            code="ambiguous-id",
            jobs=ids,
        )
    return rows[0] if rows else None


def live_job_named(uow: UnitOfWork, account_id: str, name: str) -> Row | None:
    """The job of that name in the account that has not ended."""
    return uow.one(_live_named, account_id=account_id, name=name)


def get_job(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> answers.JobDetail:
    """All that is known of a job."""
    row = find_job(uow, actor, ref, account=account)
    its_runs = uow.all(_runs_of, job_id=row.id)
    history = [
        answers.Change(at=to_rfc3339(h.at), run=h.run_index, state=h.state, reason=h.reason, detail=h.detail)
        for h in uow.all(_history, job_id=row.id)
    ]
    spec = _spec.decode(row.spec)
    owner = user_names(uow, {row.owner_id})[row.owner_id]
    fields = _fields(row, spec, get_account(uow, row.account_id), owner)
    fields["runs"] = [run_answer(run) for run in its_runs]
    if row.state == "PENDING":
        fields["place"] = _place(uow, row)
        fields["pending_reason"] = _away(group_problems(uow), row) or fields["pending_reason"]
    fields |= phase_of(row, its_runs[-1] if its_runs else None) | data_of(uow, row, its_runs)
    warnings = msgspec.json.decode(row.warnings)
    told = deliveries_of(uow, row.id) if row.ended_at is not None else []
    if row.type == "interactive" and row.state == "RUNNING" and its_runs:
        fields["idle_warning"] = idle_warning(uow, its_runs[-1].id)
    return answers.JobDetail(**fields, spec=spec, history=history, warnings=warnings, notifications=told)


def new_job(
    uow: UnitOfWork, row: Row, spec: JobSpec, account: Account, owner: str, warnings: tuple[str, ...]
) -> answers.JobDetail:
    """What is known of a job that has just been made, from what it was made of: reading it again would cost as much."""
    fields = _fields(row, spec, account, owner) | {"pending_reason": "waits for the scheduler"}
    born = answers.Change(at=fields["created_at"], run=0, state=row.state)
    fields |= data_of(uow, row, [])
    return answers.JobDetail(**fields, spec=spec, history=[born], warnings=list(warnings))


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a list shows. `states` as names, `alive`, `all`; `since` in µs; `tag` is `key` or `key=value`.

    `owner` is a user's name, `text` a part of the job's name. Jobs of the installation's own are shown where `type` is
    `system`, and nowhere else.
    """

    account: str | None = None
    owner_id: str | None = None
    owner: str | None = None
    states: tuple[str, ...] = ()
    name: str | None = None
    text: str | None = None
    type: str | None = None
    group: str | None = None
    tag: str | None = None
    since: int | None = None
    oldest_first: bool = False


_like = re.compile("[/%_]")  # what means something in a pattern, and is to mean itself
_known_states = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED", "FAILED", "CANCELLED")


def list_jobs(
    uow: UnitOfWork, actor: Actor, wanted: JobFilter, *, limit: int = 100, cursor: str | None = None
) -> answers.Page[answers.Job]:
    """Jobs that the actor may see, newest first (or oldest), a page at a time."""
    check_limit(limit)
    values: dict[str, Any] = {"limit": limit + 1}
    shape: list[str] = ["oldest"] if wanted.oldest_first else []
    shape += ["peoples"] if wanted.type is None else []
    if wanted.account is not None:
        values["account_id"] = resolve_account(uow, actor, wanted.account).id
    values |= listed(uow, actor, "job:list", account_id=values.get("account_id")).values
    states = _states(wanted.states)
    if states is not None:
        values["states"] = states
    if wanted.owner is not None:
        values["owners"] = user_ids(uow, wanted.owner)
    if wanted.text is not None:
        values["text"] = _like.sub(r"/\g<0>", wanted.text.lower())
    for name in ("owner_id", "name", "type", "group", "since"):
        if getattr(wanted, name) is not None:
            values[name] = getattr(wanted, name)
    if wanted.tag is not None:
        key, equals, value = wanted.tag.partition("=")
        values["tag_key"] = key
        if equals:
            values["tag_value"] = value
    if cursor is not None:
        after = decode_cursor(cursor, tuple[int])
        values["after"] = after[0]
    rows = uow.all(_list_statement(frozenset([*values, *shape])), **values)
    more = len(rows) > limit
    rows = rows[:limit]
    items = _answers(uow, rows)
    return answers.Page[answers.Job](items=items, cursor=encode_cursor(rows[-1].number) if more else None)


def _states(names: tuple[str, ...]) -> list[str] | None:
    chosen: set[str] = set()
    for name in names:
        upper = name.upper()
        if upper == "ALL":
            return None
        if upper == "ALIVE":
            chosen |= {state for state in _known_states if state not in FINAL}
        elif upper in _known_states:
            chosen.add(upper)
        else:
            known = ", ".join((*_known_states, "alive", "all"))
            raise Invalid(f"{name!r} is not a state; there are {known}", code="bad-state", state=name)
    return sorted(chosen) if chosen else None


@functools.cache
def _list_statement(shape: frozenset[str]) -> Statement:
    """The list query for a set of conditions; there are few sets, and each is compiled once."""
    query = select(jobs).limit(bindparam("limit"))
    query = query.where(*conditions(shape, "job", id=jobs.c.id, account=jobs.c.account_id))
    wanted = {
        "account_id": jobs.c.account_id == bindparam("account_id"),
        "owner_id": jobs.c.owner_id == bindparam("owner_id"),
        "states": in_list(jobs.c.state, "states"),
        "owners": in_list(jobs.c.owner_id, "owners"),
        "name": jobs.c.name == bindparam("name"),
        "text": jobs.c.name.contains(bindparam("text"), escape="/"),
        "type": jobs.c.type == bindparam("type"),
        "peoples": jobs.c.type != "system",
        "group": jobs.c.group_name == bindparam("group"),
        "since": (jobs.c.created_at >= bindparam("since")) | jobs.c.ended_at.is_(None),
    }
    for name, condition in wanted.items():
        if name in shape:
            query = query.where(condition)
    if "tag_key" in shape:
        tagged = select(job_tags.c.job_id).where(job_tags.c.key == bindparam("tag_key"))
        if "tag_value" in shape:
            tagged = tagged.where(job_tags.c.value == bindparam("tag_value"))
        query = query.where(jobs.c.id.in_(tagged))
    oldest = "oldest" in shape
    if "after" in shape:
        after: BindParameter[int] = bindparam("after")
        query = query.where(jobs.c.number > after if oldest else jobs.c.number < after)
    return Statement(query.order_by(jobs.c.number if oldest else jobs.c.number.desc()))


def _answers(uow: UnitOfWork, rows: list[Row]) -> list[answers.Job]:
    """Jobs as lists show them, each with its latest run."""
    if not rows:
        return []
    latest = {run.job_id: run for run in uow.all(_latest_runs, ids=[row.id for row in rows])}
    accounts = {id_: get_account(uow, id_) for id_ in {row.account_id for row in rows}}
    owners = user_names(uow, {row.owner_id for row in rows})
    problems = group_problems(uow) if any(row.state == "PENDING" for row in rows) else {}
    found = []
    for row in rows:
        run = latest.get(row.id)
        fields = _fields(row, _spec.decode(row.spec), accounts[row.account_id], owners[row.owner_id])
        if row.state == "PENDING":
            fields["pending_reason"] = _away(problems, row) or fields["pending_reason"]
        fields |= phase_of(row, run)
        found.append(answers.Job(**fields, runs=[run_answer(run)] if run is not None else []))
    return found


def _fields(row: Row, spec: JobSpec, account: Account, owner: str) -> dict[str, Any]:
    """What a job's row tells."""
    alive = row.state not in FINAL
    waiting = row.state == "PENDING"
    return {
        "id": row.id,
        "number": row.number,
        "name": row.name,
        "urn": urn(account.organization_id, account.id, "job", row.id),
        "account": account.full_name,
        "account_id": account.id,
        "owner": OWNER if row.type == "system" else owner,
        "state": row.state,
        "reason": row.reason,
        "detail": row.detail,
        "type": row.type,
        "command": list(spec.command),
        "image": row.image,
        "tags": spec.tags,
        "cpu": row.cpu_millis / 1000,
        "mem": row.mem,
        "gpu": row.gpu,
        "alive": alive,
        "cancel_requested": row.cancel_requested_at is not None and alive,
        "pending_reason": (row.pending_reason or BEHIND) if waiting else None,
        "exit_code": row.exit_code,
        "created_at": to_rfc3339(row.created_at),
        "started_at": _when(row.started_at),
        "ended_at": _when(row.ended_at),
        "run_index": row.run_index,
    }


def _away(problems: Mapping[str, str], row: Row) -> str | None:
    """Why a job waits whose group starts nothing now, whatever is written with the job itself."""
    problem = problems.get(row.group_name)
    return problem and f"group {row.group_name} starts nothing now: {problem}"


def _place(uow: UnitOfWork, row: Row) -> int:
    """How many waiting jobs come before this one; MOST_BEFORE stands for so many or more."""
    values = {name: getattr(row, name) for name in ("class_rank", "bid", "queued_at", "number")}
    counted = 0
    for statement in _all_before:
        counted += uow.scalar(statement, group_name=row.group_name, **values)
        if counted >= MOST_BEFORE:
            return MOST_BEFORE
    return counted


def run_answer(run: Row) -> answers.Run:
    """A run as the API shows it."""
    return answers.Run(
        id=run.id,
        index=run.idx,
        state=run.state,
        reason=run.reason,
        detail=run.detail,
        exit_code=run.exit_code,
        signal=run.signal,
        node=run.node,
        gpus=msgspec.json.decode(run.gpus) if run.gpus else [],
        isolation=msgspec.json.decode(run.isolation) if run.isolation else [],
        missing=msgspec.json.decode(run.missing) if run.missing else [],
        created_at=to_rfc3339(run.created_at),
        started_at=_when(run.started_at),
        ended_at=_when(run.ended_at),
        memory_peak=run.memory_peak,
        cpu_seconds=None if run.cpu_micros is None else run.cpu_micros / 1e6,
        log_bytes=run.log_bytes,
        log_truncated=bool(run.log_truncated),
        log_expired_at=_when(run.log_expired_at),
    )


def _when(instant: int | None) -> str | None:
    return None if instant is None else to_rfc3339(instant)
