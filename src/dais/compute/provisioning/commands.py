"""Registering, cancelling and removing templates. They ask for what jobs ask for: `job:new`, `job:kill`, `job:rm`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.groups.queries import free_nodes
from dais.compute.jobs.pins import fixed_spec, has_data
from dais.compute.jobs.runs import cancel
from dais.compute.jobs.submit import check_spec
from dais.compute.jobs.tables import jobs
from dais.compute.provisioning.choosing import Room
from dais.compute.provisioning.design import choose_points
from dais.compute.provisioning.hints import Hint, fill_in, parse_hints
from dais.compute.provisioning.queries import find_template, made_template, run_rows_of
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.compute.provisioning.tables import template_jobs, template_runs, templates
from dais.compute.settings import ComputeSettings
from dais.identity import Actor
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, TooMany
from dais.kit.ids import new_id
from dais.wire.names import check_job_name
from dais.wire.problems import SpecError
from dais.wire.spec import GIB, JobSpec, Resources
from dais.wire.templates import MAX_LEVELS, MAX_RUNS, NewTemplate, TemplateDetail

TOPIC = "loop:provisioning"
MAX_PER_ACCOUNT = 1_000
MOST_PARALLEL = 32
LEAST_MEM = 4 << 20
LEAST_CPU = 0.01

_insert = Statement(
    insert(templates)
    .inline()
    .values({column.name: bindparam(column.name) for column in templates.c if column.name != "number"}),
    suffix="ON CONFLICT DO NOTHING",
    numbers="number",
)
_insert_run = Statement(insert(template_runs))
_count = Statement(select(func.count()).select_from(templates).where(templates.c.account_id == bindparam("account_id")))
_cancelled = Statement(
    update(template_runs)
    .where(template_runs.c.template_id == bindparam("template_id"), template_runs.c.stage.in_(("waiting", "running")))
    .values(stage="skipped", reason="cancelled")
)
_end = Statement(
    update(templates)
    .where(templates.c.id == bindparam("template_id"), templates.c.ended_at.is_(None))
    .values(state=bindparam("to"), detail=bindparam("why"), fit=bindparam("fitted"), ended_at=bindparam("at"))
)
_live = Statement(select(jobs.c.id).where(jobs.c.id == bindparam("job_id"), jobs.c.ended_at.is_(None)))
_delete = [
    Statement(delete(table).where(table.c.template_id == bindparam("template_id")))
    for table in (template_runs, template_jobs)
] + [Statement(delete(templates).where(templates.c.id == bindparam("template_id")))]


def register_template(
    uow: UnitOfWork, actor: Actor, new: NewTemplate, settings: ComputeSettings, prices: ProvisioningSettings
) -> TemplateDetail:
    """Register a template; its profiling runs begin soon, as jobs of the actor.

    Raises Invalid (`bad-hint`, `bad-template`, and as `check_spec`), Conflict (name), TooMany, Forbidden, NotFound.
    """
    _check(new)
    hints = parse_hints(new.spec.command)
    cpus, mems = _grid(uow, new)
    first = (hint.values[0] for hint in hints)
    largest = msgspec.structs.replace(new.spec.resources, cpu=max(cpus), mem=max(mems))
    probe = msgspec.structs.replace(new.spec, command=fill_in(new.spec.command, tuple(first)), resources=largest)
    checked = check_spec(uow, actor, probe, settings)
    spec = fixed_spec(new.spec, checked.pins) if has_data(new.spec) else new.spec
    account, group = checked.account, str(checked.group.name)
    prices.price(group)
    if uow.scalar(_count, account_id=account.id) >= MAX_PER_ACCOUNT:
        raise TooMany(
            f"{account.full_name} has {MAX_PER_ACCOUNT:,} templates, which is the limit; remove some with "
            "`dais template rm`",
            code="too-many-templates",
            limit=MAX_PER_ACCOUNT,
        )
    template_id = new_id()
    spec = msgspec.structs.replace(spec, name=None, account=account.full_name, group=group)
    number = uow.insert(
        _insert,
        id=template_id,
        account_id=account.id,
        owner_id=actor.id,
        actor=_encoded(msgspec.structs.replace(actor, token_id=None, address="")),
        name=new.name,
        group_name=group,
        spec=_encoded(spec),
        hints=_encoded(hints),
        cpus=_encoded(cpus),
        mems=_encoded(mems),
        parallel=new.parallel,
        max_run_time=new.max_run_time,
        budget=new.budget,
        state="submitted",
        detail=None,
        fit=None,
        created_at=uow.now,
        ended_at=None,
    )
    if number is None:
        raise Conflict(
            f"{account.full_name} has a template {new.name!r} already; choose another name, or remove it first: "
            f"dais template rm {new.name}",
            code="already-exists",
            name=new.name,
        )
    uow.many(_insert_run, _runs(template_id, hints, cpus, mems, new.max_runs))
    uow.emit(Event("template.registered", "template", template_id, account.id, {"name": new.name, "number": number}))
    uow.hint(TOPIC)
    return made_template(uow, template_id, prices)


def cancel_template(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> str:
    """End the profiling of a template, and its running jobs; its id. One that has ended stays as it is."""
    row = find_template(uow, actor, ref, account=account, action="job:kill")
    if not uow.run(_end, template_id=row.id, to="failed", why=f"cancelled by {actor.name}", fitted=None, at=uow.now):
        return str(row.id)
    _stop(uow, row.id, f"the template {row.name} was cancelled by {actor.name}")
    uow.emit(Event("template.cancelled", "template", row.id, row.account_id))
    return str(row.id)


def remove_template(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> str:
    """Forget a template, its model and its runs; its id. Jobs stay; those that still profile it are ended."""
    row = find_template(uow, actor, ref, account=account, action="job:rm")
    _stop(uow, row.id, f"the template {row.name} was removed by {actor.name}")
    for statement in _delete:
        uow.run(statement, template_id=row.id)
    uow.emit(Event("template.removed", "template", row.id, row.account_id))
    return str(row.id)


def end_template(uow: UnitOfWork, template_id: str, state: str, detail: str | None, fitted: str | None) -> bool:
    """Write how the profiling of a template went; False when that was written before."""
    return bool(uow.run(_end, template_id=template_id, to=state, why=detail, fitted=fitted, at=uow.now))


def rooms(uow: UnitOfWork, group: str | None) -> list[Room]:
    """What the machines of a group, or of all, can hold."""
    return [Room(node.cpu, node.mem, node.gpu) for node in free_nodes(uow) if group is None or node.group == group]


def _stop(uow: UnitOfWork, template_id: str, detail: str) -> None:
    for run in run_rows_of(uow, template_id):
        if run.stage == "running" and uow.one(_live, job_id=run.job_id) is not None:
            cancel(uow, run.job_id, "user-request", detail)
    uow.run(_cancelled, template_id=template_id)


def _check(new: NewTemplate) -> None:
    try:
        check_job_name(new.name)
    except SpecError as error:
        raise Invalid(f"{error}; {error.hint}" if error.hint else str(error), code="bad-name") from error
    if new.name.isdigit():
        raise Invalid(f"the name {new.name!r} is a number, which means another template", code="bad-name")
    if new.spec.type != "batch":
        raise Invalid("a template is of a batch job: interactive ones have no runtime to learn", code="bad-template")
    for name, value, least, most in (
        ("max_runs", new.max_runs, 3, MAX_RUNS),
        ("parallel", new.parallel, 1, MOST_PARALLEL),
        ("max_run_time", new.max_run_time, 1, 7 * 86_400),
    ):
        if not least <= value <= most:
            raise Invalid(f"{name} is {value}; it must be from {least:,} to {most:,}", code="bad-template")
    if new.budget is not None and not (math.isfinite(new.budget) and new.budget > 0):
        raise Invalid(f"budget is {new.budget}; it must be above 0", code="bad-template")
    for what, sizes, floor in (("cpu", new.cpu, LEAST_CPU), ("mem", new.mem, LEAST_MEM)):
        if len(sizes) > MAX_LEVELS:
            raise Invalid(f"{what} has {len(sizes)} sizes; at most {MAX_LEVELS} are tried", code="bad-template")
        for size in sizes:
            if not (math.isfinite(size) and size >= floor):
                raise Invalid(f"{what} is {size}; the least is {floor:,}", code="bad-template")


def _grid(uow: UnitOfWork, new: NewTemplate) -> tuple[list[float], list[int]]:
    """Cores and bytes that are tried: those that were named, else up to what the machines have."""
    machines = rooms(uow, new.spec.group)
    cpus = sorted(set(new.cpu)) or _default_cpus(max((room.cpu for room in machines), default=new.spec.resources.cpu))
    mems = sorted(set(new.mem)) or _default_mems(max((room.mem for room in machines), default=new.spec.resources.mem))
    return cpus, mems


def _default_cpus(most: float) -> list[float]:
    """Powers of two of a core that fit, the three largest below 16 cores."""
    return [2.0**power for power in range(-1, 5) if 2.0**power <= most][-3:] or [most]


def _default_mems(most: int) -> list[int]:
    return [size for size in (GIB // 2, GIB, 2 * GIB) if size <= most] or [most]


def _runs(
    template_id: str, hints: Sequence[Hint], cpus: Sequence[float], mems: Sequence[int], most: int
) -> list[dict[str, object]]:
    sizes = [*(len(hint.values) for hint in hints), len(cpus), len(mems)]
    return [
        {
            "template_id": template_id,
            "position": position,
            "parameters": _encoded([hint.values[level] for hint, level in zip(hints, point, strict=False)]),
            "cpu_millis": round(cpus[point[-2]] * 1000),
            "mem": mems[point[-1]],
            "stage": "waiting",
            "reason": None,
            "job_id": None,
            "micros": None,
            "cpu_micros": None,
            "memory_peak": None,
            "cost": None,
        }
        for position, point in enumerate(choose_points(sizes, most))
    ]


def grid_of(cpus: Sequence[float], mems: Sequence[int]) -> list[tuple[float, int]]:
    """Every allocation of a template."""
    return list(itertools.product(cpus, mems))


def allocated(spec: JobSpec, cpu: float, mem: int) -> Resources:
    """The resources of a template's job with this allocation."""
    return msgspec.structs.replace(spec.resources, cpu=cpu, mem=mem)


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()
