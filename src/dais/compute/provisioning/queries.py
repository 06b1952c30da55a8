"""Reading templates, as far as the asker may see them: `job:get` and `job:list` in their account."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select

from dais.compute.jobs.tables import jobs, runs
from dais.compute.provisioning.hints import Hint
from dais.compute.provisioning.model import Fit, powers
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.compute.provisioning.tables import template_jobs, template_runs, templates
from dais.identity import (
    Actor,
    conditions,
    get_account,
    listed,
    may_see,
    require,
    resolve_account,
    urn,
    user_names,
)
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound
from dais.kit.ids import is_id
from dais.kit.paging import check_limit, decode_cursor, encode_cursor
from dais.wire.answers import Page
from dais.wire.spec import JobSpec
from dais.wire.templates import Model, Option, ProfilingRun, Submitted, Template, TemplateDetail, Term

NEWEST = 50
"""Jobs submitted from a template that are shown with it."""

_by_id = Statement(select(templates).where(templates.c.id == bindparam("id")))
_by_number = Statement(select(templates).where(templates.c.number == bindparam("number")))
_named = Statement(
    select(templates).where(templates.c.account_id == bindparam("account_id"), templates.c.name == bindparam("name"))
)
_names = Statement(select(templates.c.name).where(templates.c.account_id == bindparam("account_id")).limit(1_000))
_runs = Statement(
    select(template_runs)
    .where(template_runs.c.template_id == bindparam("template_id"))
    .order_by(template_runs.c.position)
)
_counted = Statement(
    select(
        template_runs.c.template_id,
        template_runs.c.stage,
        func.count().label("count"),
        func.sum(template_runs.c.cost).label("cost"),
    )
    .where(in_list(template_runs.c.template_id, "ids"))
    .group_by(template_runs.c.template_id, template_runs.c.stage)
)
_submitted = Statement(
    select(
        template_jobs,
        jobs.c.number,
        jobs.c.state,
        jobs.c.cpu_millis,
        jobs.c.mem,
        jobs.c.gpu,
        runs.c.started_at,
        runs.c.ended_at,
    )
    .select_from(
        template_jobs.join(jobs, jobs.c.id == template_jobs.c.job_id).outerjoin(
            runs, (runs.c.job_id == jobs.c.id) & (runs.c.idx == jobs.c.run_index)
        )
    )
    .where(template_jobs.c.template_id == bindparam("template_id"))
    .order_by(jobs.c.number.desc())
    .limit(NEWEST)
)
_hints = msgspec.json.Decoder(tuple[Hint, ...])
_fit = msgspec.json.Decoder(Fit)
_spec = msgspec.json.Decoder(JobSpec)


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    """A page of templates, the newest first; `shape` as `conditions` takes it, `account_id`, `after`."""
    query = select(templates).where(*conditions(shape, "job", id=templates.c.id, account=templates.c.account_id))
    if "account_id" in shape:
        query = query.where(templates.c.account_id == bindparam("account_id"))
    if "after" in shape:
        query = query.where(templates.c.number < bindparam("after"))
    return Statement(query.order_by(templates.c.number.desc()).limit(bindparam("limit")))


def find_template(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, action: str = "job:get"
) -> Row:
    """The template of an id, a number, or a name in the account. Raises NotFound `no-such-template`, Forbidden."""
    if is_id(ref):
        row = uow.one(_by_id, id=ref)
    elif ref.isascii() and ref.isdigit() and len(ref) < 19:
        row = uow.one(_by_number, number=int(ref))
    else:
        row = None
    if row is None:
        where = resolve_account(uow, actor, account)
        row = uow.one(_named, account_id=where.id, name=ref[:64])
        hidden = functools.partial(_no_such_template, uow, actor, where.id, ref)
    else:
        hidden = functools.partial(_nothing, ref)
    if row is None:
        raise hidden()
    require(uow, actor, action, account_id=row.account_id, resource_id=row.id, hidden=hidden)
    return row


def get_template(
    uow: UnitOfWork, actor: Actor, settings: ProvisioningSettings, ref: str, *, account: str | None = None
) -> TemplateDetail:
    """A template with its profiling runs and its model. Raises NotFound `no-such-template`, Forbidden."""
    return described(uow, find_template(uow, actor, ref, account=account), settings)


def made_template(uow: UnitOfWork, template_id: str, settings: ProvisioningSettings) -> TemplateDetail:
    """A template for who has just made it, and need not be allowed to see it again."""
    row = uow.one(_by_id, id=template_id)
    assert row is not None
    return described(uow, row, settings)


def described(uow: UnitOfWork, row: Row, settings: ProvisioningSettings) -> TemplateDetail:
    """A row with all that belongs to it."""
    fields = _fields(uow, [row], settings)[0]
    hints = hints_of(row)
    price = settings.price(row.group_name)
    submitted = [
        Submitted(
            job_id=one.job_id,
            job_number=one.number,
            parameters=_named_values(hints, one.parameters),
            cpu=one.cpu_millis / 1000,
            mem=one.mem,
            state=one.state,
            seconds=one.seconds,
            low=one.low,
            high=one.high,
            cost=one.cost,
            actual_seconds=_seconds(one),
            actual_cost=None
            if (took := _seconds(one)) is None
            else price.of(one.cpu_millis / 1000, one.mem, one.gpu, took),
        )
        for one in uow.all(_submitted, template_id=row.id)
    ]
    return TemplateDetail(
        **fields,
        spec=_spec.decode(row.spec),
        max_run_time=row.max_run_time,
        parallel=row.parallel,
        profiling=[_run(hints, run) for run in run_rows_of(uow, row.id)],
        model=_model(row),
        submitted=submitted,
    )


def list_templates(
    uow: UnitOfWork,
    actor: Actor,
    settings: ProvisioningSettings,
    *,
    account: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Template]:
    """Templates that the actor may see, the newest first, a page at a time; of one account if one is given."""
    check_limit(limit)
    of: dict[str, Any] = {}
    if account is not None:
        of["account_id"] = resolve_account(uow, actor, account).id
    of |= listed(uow, actor, "job:list", account_id=of.get("account_id")).values
    if cursor is not None:
        of["after"] = decode_cursor(cursor, tuple[int])[0]
    rows = uow.all(_page(frozenset(of)), limit=limit + 1, **of)
    items = [Template(**fields) for fields in _fields(uow, rows[:limit], settings)]
    return Page[Template](items=items, cursor=encode_cursor(items[-1].number) if len(rows) > limit else None)


def run_rows_of(uow: UnitOfWork, template_id: str) -> list[Row]:
    """The profiling runs of a template."""
    return uow.all(_runs, template_id=template_id)


def hints_of(row: Row) -> tuple[Hint, ...]:
    """The hints of a template's command."""
    return _hints.decode(row.hints)


def fit_of(row: Row) -> Fit | None:
    """The model of a template, once it is ready."""
    return None if row.fit is None else _fit.decode(row.fit)


def spec_of(row: Row) -> JobSpec:
    """The specification of a template, with its hints."""
    return _spec.decode(row.spec)


def _fields(uow: UnitOfWork, rows: Sequence[Row], settings: ProvisioningSettings) -> list[dict[str, Any]]:
    """Rows as lists show them."""
    if not rows:
        return []
    accounts = {account_id: get_account(uow, account_id) for account_id in {row.account_id for row in rows}}
    owners = user_names(uow, {row.owner_id for row in rows})
    counts: dict[str, dict[str, Row]] = {row.id: {} for row in rows}
    for one in uow.all(_counted, ids=list(counts)):
        counts[one.template_id][one.stage] = one
    shown = []
    for row in rows:
        account, states = accounts[row.account_id], counts[row.id]
        number = {state: one.count for state, one in states.items()}
        fitted = fit_of(row)
        shown.append(
            {
                "id": row.id,
                "number": row.number,
                "name": row.name,
                "urn": urn(account.organization_id, account.id, "job", row.id),
                "account": account.full_name,
                "owner": owners.get(row.owner_id, ""),
                "state": row.state,
                "detail": row.detail,
                "command": list(spec_of(row).command),
                "options": [Option(name=o.name, values=list(o.values), numeric=o.numeric) for o in hints_of(row)],
                "cpu": msgspec.json.decode(row.cpus, type=list[float]),
                "mem": msgspec.json.decode(row.mems, type=list[int]),
                "runs": sum(number.values()),
                "ended": sum(number.get(state, 0) for state in ("succeeded", "failed", "skipped")),
                "failed": number.get("failed", 0) + number.get("skipped", 0),
                "spent": sum(one.cost or 0.0 for one in states.values()),
                "budget": row.budget,
                "currency": settings.currency,
                "error": None if fitted is None else fitted.error,
                "created_at": to_rfc3339(row.created_at),
                "ended_at": None if row.ended_at is None else to_rfc3339(row.ended_at),
            }
        )
    return shown


def _run(hints: Sequence[Hint], row: Row) -> ProfilingRun:
    return ProfilingRun(
        position=row.position,
        parameters=_named_values(hints, row.parameters),
        cpu=row.cpu_millis / 1000,
        mem=row.mem,
        state=row.stage,
        reason=row.reason,
        job_id=row.job_id,
        seconds=None if row.micros is None else row.micros / SECOND,
        cpu_seconds=None if row.cpu_micros is None else row.cpu_micros / 1e6,
        memory_peak=row.memory_peak,
        cost=row.cost,
    )


def _model(row: Row) -> Model | None:
    fitted = fit_of(row)
    if fitted is None:
        return None
    return Model(
        terms=[Term(name=name, power=power) for name, power in powers(fitted)],
        samples=fitted.samples,
        error=fitted.error,
        warnings=list(fitted.warnings),
    )


def _named_values(hints: Sequence[Hint], encoded: str) -> dict[str, str]:
    values = msgspec.json.decode(encoded, type=tuple[str, ...])
    return {hint.name: value for hint, value in zip(hints, values, strict=True)}


def _seconds(row: Row) -> float | None:
    """How long a job that succeeded ran."""
    if row.state != "SUCCEEDED" or row.started_at is None or row.ended_at is None:
        return None
    return float(row.ended_at - row.started_at) / SECOND


def _no_such_template(uow: UnitOfWork, actor: Actor, account_id: str, ref: str) -> NotFound:
    names = [row.name for row in uow.all(_names, account_id=account_id)]
    near = difflib.get_close_matches(ref[:64], names, 1) if may_see(uow, actor, "job:list", account_id) else []
    return _nothing(ref, f"did you mean {near[0]}?" if near else None)


def _nothing(ref: str, hint: str | None = None) -> NotFound:
    return NotFound(
        f"there is no template {ref[:80]!r}; {hint or 'list them: dais template ls'}",
        code="no-such-template",
        template=ref[:80],
    )
