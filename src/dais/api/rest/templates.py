"""Templates of jobs: register, look, predict, submit, cancel, remove."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.api.context import Context
from dais.api.rest.jobs import check_written
from dais.api.routing import Header, Reply, Routes
from dais.compute import (
    ProvisioningSettings,
    cancel_template,
    get_template,
    list_templates,
    predict,
    register_template,
    remove_template,
    submit_provisioned,
)
from dais.kit.database import UnitOfWork
from dais.wire.answers import Page
from dais.wire.spec import Resources
from dais.wire.templates import NewTemplate, Prediction, Provisioned, ProvisionedJob, Template, TemplateDetail, Wish

routes = Routes()

MAX_TEMPLATE = 4 << 20
"""Bytes of a template; its command may have 1 MiB."""


@routes.post("/v1/templates", summary="Register a template", status=201, max_body=MAX_TEMPLATE, action="job:new")
async def new_template(ctx: Context, body: NewTemplate) -> Reply[TemplateDetail]:
    """Its profiling runs begin soon, as jobs of whoever registers it."""
    plain = msgspec.structs.replace(body.spec, resources=msgspec.structs.replace(body.spec.resources, cpu=1, mem=_MEM))
    await check_written(ctx.services, plain)
    ctx.services.limits.submit(ctx.actor.id)
    made: TemplateDetail = await ctx.db.write(
        register_template, ctx.actor, body, ctx.services.compute.settings, _prices(ctx)
    )
    return Reply(made, 201, (("Location", f"/v1/templates/{made.number}"),))


@routes.get("/v1/templates", summary="List templates", action="job:list")
async def templates(
    ctx: Context, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[Template]:
    found: Page[Template] = await ctx.db.read(
        list_templates, ctx.actor, _prices(ctx), account=account, limit=limit, cursor=cursor
    )
    return found


@routes.get("/v1/templates/{ref}", summary="Show a template with its profiling runs and model", action="job:get")
async def template(ctx: Context, ref: str, account: str | None = None) -> TemplateDetail:
    """`ref` is an id, a number, or a name in the account."""
    found: TemplateDetail = await ctx.db.read(get_template, ctx.actor, _prices(ctx), ref, account=account)
    return found


@routes.post("/v1/templates/{ref}/predict", summary="Predict time and cost, and choose an allocation", action="job:get")
async def prediction(ctx: Context, ref: str, body: Wish, account: str | None = None) -> Prediction:
    """The cheapest within `max_time` seconds, or (`optimize` time) the fastest within `max_cost`. Changes nothing."""
    found: Prediction = await ctx.db.read(predict, ctx.actor, _prices(ctx), ref, body, account=account)
    return found


@routes.post("/v1/templates/{ref}/jobs", summary="Submit a job with the best allocation", status=201, action="job:new")
async def submit(
    ctx: Context,
    ref: str,
    body: ProvisionedJob,
    account: str | None = None,
    idempotency_key: Annotated[str | None, Header("Idempotency-Key")] = None,
) -> Provisioned:
    ctx.services.limits.submit(ctx.actor.id)
    made: Provisioned = await ctx.db.write(
        submit_provisioned,
        ctx.actor,
        ctx.services.compute.settings,
        _prices(ctx),
        ref,
        body,
        account=account,
        key=idempotency_key,
    )
    return made


@routes.post("/v1/templates/{ref}/cancel", summary="End the profiling of a template", action="job:kill")
async def cancel(ctx: Context, ref: str, account: str | None = None) -> TemplateDetail:
    """Its running profiling jobs are ended, too. One that is ready stays as it is."""

    def verb(uow: UnitOfWork) -> TemplateDetail:
        return get_template(uow, ctx.actor, _prices(ctx), cancel_template(uow, ctx.actor, ref, account=account))

    cancelled: TemplateDetail = await ctx.db.write(verb)
    return cancelled


@routes.delete("/v1/templates/{ref}", summary="Forget a template", status=204, action="job:rm")
async def remove(ctx: Context, ref: str, account: str | None = None) -> None:
    """Its jobs stay; those that still profile it are ended."""
    await ctx.db.write(remove_template, ctx.actor, ref, account=account)


_MEM = Resources().mem


def _prices(ctx: Context) -> ProvisioningSettings:
    prices: ProvisioningSettings | None = ctx.services.settings.get("provisioning")
    return prices or ProvisioningSettings()
