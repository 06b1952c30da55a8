"""What a host name's first label means, and who may reach the app behind it.

    <job>             the job's port 8080
    <job>-<target>    another port, or an app by its name

where `<job>` is an id, its last eight digits, or `<organization>-<account>-<name>` with `_` and `.` written as `-`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
from sqlalchemy import bindparam, func, select

from dais.compute.jobs.exposing import exposed_ports
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.queries import find_job
from dais.compute.jobs.records import works
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Work
from dais.identity import Actor, accounts_labelled
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, NotFound, Unauthenticated
from dais.kit.ids import is_id

DEFAULT_TARGET = "8080"
"""The port that a job's bare name means."""
MOST_LABEL = 63

_label = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_target = re.compile(r"[1-9][0-9]{0,4}|[a-z][a-z0-9]{0,31}")
_short = re.compile(r"[0-9a-f]{8}")
_columns = (
    jobs.c.id,
    jobs.c.name,
    jobs.c.number,
    jobs.c.state,
    jobs.c.reason,
    jobs.c.account_id,
    jobs.c.run_index,
    jobs.c.ended_at,
    jobs.c.short_id,
)
_by_id = Statement(select(*_columns).where(jobs.c.id == bindparam("id")))
_by_short = Statement(select(*_columns).where(jobs.c.short_id == bindparam("short_id")).limit(2))
_name_label = func.replace(jobs.c.name, "_", "-") == bindparam("name_label")
_live_labelled = Statement(
    select(*_columns).where(jobs.c.account_id == bindparam("account_id"), jobs.c.ended_at.is_(None), _name_label)
)
_ended_labelled = Statement(
    select(*_columns)
    .where(jobs.c.account_id == bindparam("account_id"), jobs.c.name.is_not(None), _name_label)
    .order_by(jobs.c.number.desc())
    .limit(1)
)
_run_of = Statement(select(runs.c.id).where(runs.c.job_id == bindparam("job_id"), runs.c.idx == bindparam("run_index")))


class Place(msgspec.Struct, frozen=True):
    """An app's place as a request names it: by a label, or (`job_id`) by what a port of its own stands for."""

    label: str = ""
    job_id: str = ""
    target: str = DEFAULT_TARGET


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """An app that may be reached. `public`: by anybody."""

    work: Work
    target: str
    public: bool


def label_of(text: str) -> str:
    """A name as it is written in a host name."""
    return text.replace("_", "-").replace(".", "-")


def place_label(uow: UnitOfWork, row: Row, account: str, target: str) -> str:
    """The label that leads to a job's target, as readable as can be without a doubt."""
    suffix = "" if target == DEFAULT_TARGET else f"-{target}"
    wanted = []
    if row.name and row.ended_at is None:
        wanted.append(f"{label_of(account)}-{label_of(row.name)}{suffix}")
    wanted.append(f"{row.short_id}{suffix}")
    for label in wanted:
        if _label.fullmatch(label) is None:
            continue
        found = list(_meanings(uow, label))
        if [(one.id, at) for one, at in found] == [(row.id, target)]:
            return label
    return f"{row.id}{suffix}"


def placed_job(uow: UnitOfWork, place: Place) -> tuple[Row, str]:
    """The job and the target of a place, whoever asks. Raises NotFound `no-such-app`, Conflict `ambiguous-address`."""
    if place.job_id:
        row = uow.one(_by_id, id=place.job_id)
        found = [(row, place.target)] if row is not None else []
    else:
        found = list(_meanings(uow, place.label)) if _label.fullmatch(place.label) else []
    if not found:
        raise no_such_app()
    if len(found) > 1:
        raise Conflict(
            "this address could mean several jobs; use the one that `dais job address` says, which names the job by "
            "its id",
            code="ambiguous-address",
        )
    return found[0]


def no_such_app() -> NotFound:
    """The answer wherever there is nothing that the asker may see."""
    return NotFound(
        "no job has this address, or none that you may see; `dais job address JOB` says a job's", code="no-such-app"
    )


def _port(target: str, work: Work | None) -> int | None:
    """The number of a plain port, which the job may have given a name."""
    if target.isdigit():
        return int(target)
    named = {} if work is None else {port.name: port.port for port in work.spec.ports}
    return named.get(target)


def reach(
    uow: UnitOfWork,
    place: Place,
    actors: Sequence[Callable[[UnitOfWork, str], Actor]],
    action_of: Callable[[str, Work | None], str],
    *,
    public: bool = True,
) -> Reached:
    """What a place leads to, for the first of `actors` that is somebody (given the job's id), or for everybody.

    `action_of` says what a target needs; without `public` nothing is open to everybody. Raises Unauthenticated when
    nobody asks and it is not public, also where there is no such job: strangers learn nothing. Raises NotFound,
    Forbidden, Conflict `not-running` for those who are known.
    """
    try:
        row, target = placed_job(uow, place)
    except (NotFound, Conflict) as error:
        _somebody(uow, "", actors)
        raise error
    run_id = uow.scalar(_run_of, job_id=row.id, run_index=row.run_index)
    work = works(uow, [run_id])[0] if run_id is not None else None
    action = action_of(target, work)
    public = public and action == "job:get" and _port(target, work) in exposed_ports(uow, row.id)
    if not public:
        actor = _somebody(uow, row.id, actors)
        try:
            find_job(uow, actor, row.id, action=action)
        except NotFound:
            raise no_such_app() from None
    if work is None or row.state != "RUNNING":
        ended = row.state in FINAL
        words = f"it has ended ({row.reason or row.state})" if ended else f"it is {row.state}"
        raise Conflict(
            f"job {row.name or row.id} does not run: {words}", code="not-running", state=row.state, ended=ended
        )
    return Reached(work=work, target=target, public=public)


def _somebody(uow: UnitOfWork, job_id: str, actors: Sequence[Callable[[UnitOfWork, str], Actor]]) -> Actor:
    for actor in actors:
        try:
            return actor(uow, job_id)
        except Unauthenticated:
            continue
    raise Unauthenticated(
        "this app is not open to everybody: open it from Dais, or send Authorization: Bearer TOKEN",
        code="app-closed",
    )


def _meanings(uow: UnitOfWork, label: str) -> Iterator[tuple[Row, str]]:
    """Everything that a label can mean: the whole of it as a job, and its last word as a target."""
    for row in _jobs(uow, label):
        yield row, DEFAULT_TARGET
    job, dash, target = label.rpartition("-")
    if dash and _target.fullmatch(target) and (not target.isdigit() or int(target) < 1 << 16):
        for row in _jobs(uow, job):
            yield row, target


def _jobs(uow: UnitOfWork, label: str) -> Iterator[Row]:
    if is_id(label):
        row = uow.one(_by_id, id=label)
        if row is not None:
            yield row
        return
    if _short.fullmatch(label):
        yield from uow.all(_by_short, short_id=label)
        return
    words = label.split("-")
    splits = {"-".join(words[:at]): "-".join(words[at:]) for at in range(1, len(words))}
    for account in accounts_labelled(uow, list(splits)):
        name = splits[label_of(account.full_name)]
        found = uow.all(_live_labelled, account_id=account.id, name_label=name)
        yield from found or uow.all(_ended_labelled, account_id=account.id, name_label=name)
