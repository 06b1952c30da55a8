"""Predicting what allocations take, choosing one, and submitting a job with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from sqlalchemy import insert

from dais.compute.jobs.submit import submit_job
from dais.compute.provisioning.choosing import Fitted, choose, weigh
from dais.compute.provisioning.commands import allocated, grid_of, rooms
from dais.compute.provisioning.hints import Hint, fill_in, read_parameters
from dais.compute.provisioning.model import Fit
from dais.compute.provisioning.queries import find_template, fit_of, hints_of, run_rows_of, spec_of
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.compute.provisioning.tables import template_jobs
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, require
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.wire.spec import Output
from dais.wire.templates import Allocation, Prediction, Provisioned, ProvisionedJob, Wish

NO_TAGS: Mapping[str, str] = MappingProxyType({})
DOUBTFUL = 0.5
"""A share of the time by which predictions may be off before that is said."""

_remember = Statement(insert(template_jobs), suffix="ON CONFLICT DO NOTHING")


def predict(
    uow: UnitOfWork,
    actor: Actor,
    settings: ProvisioningSettings,
    ref: str,
    wish: Wish,
    *,
    account: str | None = None,
) -> Prediction:
    """The best allocation for these parameters, and what every other would take and cost.

    Raises NotFound, Forbidden, Conflict `not-ready`, Invalid `bad-parameter`, `bad-cap`, `nothing-feasible`.
    """
    return _predict(uow, settings, find_template(uow, actor, ref, account=account), wish)


def submit_provisioned(
    uow: UnitOfWork,
    actor: Actor,
    settings: ComputeSettings,
    prices: ProvisioningSettings,
    ref: str,
    wish: ProvisionedJob,
    *,
    account: str | None = None,
    key: str | None = None,
    output: Output | None = None,
    tags: Mapping[str, str] = NO_TAGS,
) -> Provisioned:
    """Submit the template's job with the best allocation, and remember what was predicted of it.

    `output` is written instead of the template's; `tags` come to its own.

    Raises as `predict` and `submit_job`.
    """
    row = find_template(uow, actor, ref, account=account)
    require(uow, actor, "job:new", account_id=row.account_id)
    prediction = _predict(uow, prices, row, wish)
    values = read_parameters(hints_of(row), wish.parameters)
    spec, chosen = spec_of(row), prediction.chosen
    spec = msgspec.structs.replace(
        spec,
        name=wish.name,
        command=fill_in(spec.command, values),
        resources=allocated(spec, chosen.cpu, chosen.mem),
        output=output or spec.output,
        tags={**spec.tags, **tags},
    )
    job = submit_job(uow, actor, spec, settings, key=key)
    uow.run(
        _remember,
        job_id=job.id,
        template_id=row.id,
        parameters=msgspec.json.encode(values).decode(),
        seconds=chosen.seconds,
        low=chosen.low,
        high=chosen.high,
        cost=chosen.cost,
    )
    return Provisioned(job_id=job.id, job_number=job.number, prediction=prediction)


def _predict(uow: UnitOfWork, settings: ProvisioningSettings, row: Row, wish: Wish) -> Prediction:
    for name, cap in (("max_time", wish.max_time), ("max_cost", wish.max_cost)):
        if cap is not None and not (math.isfinite(cap) and cap > 0):
            raise Invalid(f"{name} is {cap}; it must be above 0", code="bad-cap")
    fitted = fit_of(row)
    if fitted is None:
        doing = (
            f"failed: {row.detail}" if row.ended_at is not None else "is still being profiled; wait until it is ready"
        )
        raise Conflict(f"the template {row.name} {doing}", code="not-ready", state=row.state)
    hints = hints_of(row)
    values = read_parameters(hints, wish.parameters)
    spec = spec_of(row)
    cpus, mems = msgspec.json.decode(row.cpus, type=list[float]), msgspec.json.decode(row.mems, type=list[int])
    found, beyond = weigh(
        fitted,
        hints,
        _known(uow, row),
        values,
        grid_of(cpus, mems),
        spec.resources.gpu,
        rooms(uow, row.group_name),
        settings.price(row.group_name),
    )
    chosen = choose(found, wish.optimize, wish.max_time, wish.max_cost)
    return Prediction(
        template=row.name,
        number=row.number,
        parameters={hint.name: value for hint, value in zip(hints, values, strict=True)},
        optimize=wish.optimize,
        chosen=chosen,
        allocations=found,
        currency=settings.currency,
        error=fitted.error,
        warnings=_warnings(fitted, hints, beyond, chosen, wish),
    )


def _known(uow: UnitOfWork, row: Row) -> list[Fitted]:
    """What the profiling runs tell of memory."""
    return [
        Fitted(msgspec.json.decode(run.parameters, type=tuple[str, ...]), run.mem, run.stage == "succeeded")
        for run in run_rows_of(uow, row.id)
        if run.stage == "succeeded" or (run.stage == "failed" and run.reason == "out-of-memory")
    ]


def _warnings(
    fitted: Fit, hints: tuple[Hint, ...], beyond: tuple[str, ...], chosen: Allocation, wish: Wish
) -> list[str]:
    said = list(fitted.warnings)
    tried = {hint.name: hint.values for hint in hints}
    for name in beyond:
        seen = f": profiled with {', '.join(tried[name])}" if name in tried else ""
        said.append(f"{name} lies outside of what was profiled{seen}; the prediction is extrapolated")
    if fitted.error > DOUBTFUL:
        said.append(f"predictions are off by about {fitted.error:.0%}; profile with more runs, or larger ones")
    if wish.max_time is not None and chosen.high > wish.max_time:
        said.append(f"it may take up to {chosen.high:.4g} s, which is above the cap")
    if wish.max_cost is not None and chosen.cost_high > wish.max_cost:
        said.append(f"it may cost up to {chosen.cost_high:.4g}, which is above the cap")
    return said
