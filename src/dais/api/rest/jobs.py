"""Jobs: submit, list, look, kill, retry, change, remove."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from dais.api.context import Context, Services
from dais.api.downloads import attachment, send_pieces
from dais.api.routing import Header, Receive, Reply, Routes, Scope, Send
from dais.api.times import instant
from dais.compute import (
    JobChange,
    JobFilter,
    Partial,
    check_spec,
    find_partial,
    get_job,
    kill_job,
    list_jobs,
    remove_job,
    retry_job,
    running_work,
    set_job,
    submit_job,
)
from dais.data import archive_source, pin_source
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.wire import answers
from dais.wire.names import check_job_name
from dais.wire.problems import SpecError
from dais.wire.read import check
from dais.wire.spec import JobSpec

routes = Routes()

MAX_SPEC = 4 << 20
"""Bytes of a submitted spec; a command may have 1 MiB."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A spec that could be submitted: where it would go, and what should be known."""

    spec: JobSpec
    account: str
    group: str
    warnings: list[str] = []


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running job uses now: bytes, seconds, processes, the share of time that its GPUs worked; None: unknown."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    pids: int | None = None
    gpu_memory: int | None = None
    gpu_utilization: float | None = None


@routes.post("/v1/jobs", summary="Submit a job", status=201, max_body=MAX_SPEC, action="job:new")
async def submit(
    ctx: Context,
    body: JobSpec,
    dry_run: bool = False,
    idempotency_key: Annotated[str | None, Header("Idempotency-Key")] = None,
) -> Reply[answers.JobDetail | DryRun]:
    """With `dry_run` nothing is made: every check is done and the resolved spec is answered.

    The same `Idempotency-Key` with the same spec answers the job that it made, for 24 hours.
    """
    if dry_run:
        return Reply(await check_job(ctx.services, ctx.actor, body), 200)
    job = await make_job(ctx.services, ctx.actor, body, idempotency_key)
    return Reply(job, 201, (("Location", f"/v1/jobs/{job.id}"),))


async def check_job(services: Services, actor: Actor, spec: JobSpec) -> DryRun:
    """Every check of a submit, without making anything. Raises as `submit_job` does, and NotFound `no-such-source`."""
    await check_written(services, spec)
    checked = await services.db.read(check_spec, actor, spec, services.compute.settings)
    return DryRun(
        spec=spec, account=checked.account.full_name, group=checked.group.name, warnings=list(checked.warnings)
    )


async def make_job(services: Services, actor: Actor, spec: JobSpec, key: str | None) -> answers.JobDetail:
    """Submit a job, once for each idempotency key. Raises as `submit_job` does, and NotFound `no-such-source`."""
    await check_written(services, spec)
    services.limits.submit(actor.id)

    job: answers.JobDetail = await services.db.write(submit_job, actor, spec, services.compute.settings, key=key)
    return job


@routes.get("/v1/jobs", summary="List jobs", action="job:list")
async def jobs(
    ctx: Context,
    account: str | None = None,
    me: bool = False,
    owner: str | None = None,
    state: str | None = None,
    name: str | None = None,
    text: str | None = None,
    type: str | None = None,  # noqa: A002 (the parameter's word)
    group: str | None = None,
    tag: str | None = None,
    since: str | None = None,
    order: str = "newest",
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[answers.Job]:
    """`state` is a comma list of states, `alive` or `all`; `since` (RFC 3339) keeps jobs made later or still alive.

    `owner` is a user's name, `text` a part of the job's name, in any case; `tag` is `key` or `key=value`.
    """
    if order not in ("newest", "oldest"):
        raise Invalid(f"order {order[:40]!r} is not known; use newest or oldest", code="bad-parameter")
    wanted = JobFilter(
        account=account,
        owner_id=ctx.actor.id if me else None,
        owner=owner,
        states=tuple(part for part in (state or "").split(",") if part),
        name=name,
        text=text,
        type=type,
        group=group,
        tag=tag,
        since=instant(since, "since"),
        oldest_first=order == "oldest",
    )
    page: answers.Page[answers.Job] = await ctx.db.read(list_jobs, ctx.actor, wanted, limit=limit, cursor=cursor)
    return page


@routes.get("/v1/jobs/{ref}", summary="Show a job with its runs and history", action="job:get")
async def job(ctx: Context, ref: str, account: str | None = None) -> answers.JobDetail:
    """`ref` is an id or its last eight digits, a number, `last`, or a name: the live job's, else the newest's."""
    found: answers.JobDetail = await ctx.db.glance(get_job, ctx.actor, ref, account=account)
    return found


@routes.post("/v1/jobs/{ref}/kill", summary="Ask a job to end", action="job:kill")
async def kill(ctx: Context, ref: str, account: str | None = None) -> answers.JobDetail:
    """Answers the job as it is then; `cancel_requested` is set until what runs has been stopped."""

    def verb(uow: UnitOfWork) -> answers.JobDetail:
        return get_job(uow, ctx.actor, kill_job(uow, ctx.actor, ref, account=account))

    killed: answers.JobDetail = await ctx.db.write(verb)
    return killed


@routes.post("/v1/jobs/{ref}/retry", summary="Run a finished job again, with the next run index", action="job:new")
async def retry(ctx: Context, ref: str, account: str | None = None) -> answers.JobDetail:
    ctx.services.limits.submit(ctx.actor.id)

    settings = ctx.services.compute.settings

    def verb(uow: UnitOfWork) -> answers.JobDetail:
        return get_job(uow, ctx.actor, retry_job(uow, ctx.actor, ref, settings, account=account))

    again: answers.JobDetail = await ctx.db.write(verb)
    return again


@routes.patch("/v1/jobs/{ref}", summary="Change a job's name, tags or bid", action="job:set")
async def change(ctx: Context, ref: str, body: JobChange, account: str | None = None) -> answers.JobDetail:
    if isinstance(body.name, str):
        try:
            check_job_name(body.name)
        except SpecError as error:
            raise _invalid(error) from error

    def verb(uow: UnitOfWork) -> answers.JobDetail:
        return get_job(uow, ctx.actor, set_job(uow, ctx.actor, ref, body, account=account))

    changed: answers.JobDetail = await ctx.db.write(verb)
    return changed


@routes.delete("/v1/jobs/{ref}", summary="Forget a job that has ended", status=204, action="job:rm")
async def delete_job(ctx: Context, ref: str, account: str | None = None) -> None:
    await ctx.db.write(remove_job, ctx.actor, ref, account=account)


@routes.raw(
    "GET", "/v1/jobs/{ref}/partial", summary="Download what a run that did not succeed had written", action="job:logs"
)
async def partial(
    ctx: Context,
    scope: Scope,
    receive: Receive,
    send: Send,
    ref: str,
    account: str | None = None,
    run: int | None = None,
) -> None:
    """A zip archive of what is kept aside of its output, with nothing in it where nothing is; `run`: by default the
    latest."""
    found: Partial = await ctx.db.read(find_partial, ctx.actor, ref, account=account, run=run)
    head = [(b"content-type", b"application/zip"), (b"content-disposition", attachment(f"{found.name}.zip"))]
    pieces = archive_source(ctx.services.blobs, found.digest, found.name)
    await send_pieces(scope, receive, send, pieces, head)


@routes.get("/v1/jobs/{ref}/usage", summary="What a running job uses now", action="job:get")
async def usage(ctx: Context, ref: str, account: str | None = None) -> Usage:
    work = await ctx.db.read(running_work, ctx.actor, ref, "job:get", account)
    now = await ctx.services.compute.usage(work)
    if now is None:
        return Usage()
    return Usage(
        memory=now.memory,
        memory_peak=now.memory_peak,
        cpu_seconds=now.cpu_seconds,
        pids=now.pids,
        gpu_memory=now.gpu_memory,
        gpu_utilization=now.gpu_utilization,
    )


async def check_written(services: Services, spec: JobSpec) -> None:
    """Refuse a spec that is wrong in itself, and keep its source. Raises Invalid, NotFound `no-such-source`."""
    try:
        check(spec)
    except SpecError as error:
        raise _invalid(error) from error
    if spec.source is not None and not await asyncio.to_thread(pin_source, services.blobs, spec.source):
        raise NotFound(
            f"source {spec.source} is not in the blob store; upload it first (POST /v1/sources)", code="no-such-source"
        )
    if spec.notify:
        services.notifier.check(spec.notify)


def _invalid(error: SpecError) -> Invalid:
    message = f"{error}; {error.hint}" if error.hint else str(error)
    return Invalid(
        message, code=error.code, path=error.path, given=error.given, expected=error.expected, hint=error.hint
    )
