"""Jobs: submit, look, list, kill. The verbs are the native API's."""

from __future__ import annotations

from typing import Annotated, Any

from dais.api.compat.eai.asking import Asked, asked
from dais.api.context import Context
from dais.api.rest.jobs import MAX_SPEC, make_job
from dais.api.routing import Header, Receive, Reply, Routes, Scope, Send, send_whole
from dais.compute import JobFilter, get_job, kill_job, list_jobs
from dais.identity import resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, NotFound, Unauthenticated
from dais.wire import answers, eai
from dais.wire.problems import SpecError
from dais.wire.read import read_spec

routes = Routes()

MOST = 1000
"""Jobs of one answer: there are no pages."""

PAGE = 200


@routes.post("/v1/account/{account}/job", summary="Submit a job", status=201, max_body=MAX_SPEC, action="job:new")
async def submit(
    ctx: Context,
    account: str,
    body: dict[str, Any],
    human: int = 0,
    idempotency_key: Annotated[str | None, Header("Idempotency-Key")] = None,
) -> Reply[eai.Job]:
    """The body is a job's specification in camelCase. `human` changes nothing: sizes may have units in any case.

    The same `Idempotency-Key` with the same body makes one job, within 24 hours.
    """
    try:
        spec = read_spec(body, {"account": account})
    except SpecError as error:
        raise Invalid(f"{error}; {error.hint}" if error.hint else str(error), code=error.code) from error
    made = await make_job(ctx.services, ctx.actor, spec, idempotency_key)
    return Reply(eai.shown_job(made), 201, (("Location", f"/v1/job/{made.id}"),))


@routes.get("/v1/account/{account}/job", summary="List the jobs of an account", action="job:list")
async def of_account(
    ctx: Context, account: str, q: str = "", order: str = "-created", limit: int = 100, human: int = 0
) -> eai.Jobs:
    """`q` is `alive_recently=True`, `alive=True`, `state=…`, `state__in=a,b`, `name=…`, `id__in=a,b`, joined by `&`."""

    def named(uow: UnitOfWork) -> str:
        return resolve_account(uow, ctx.actor, account).id

    wanted = asked(q, order, ctx.services.clock.now(), account=await ctx.db.read(named))
    return eai.Jobs(items=await _found(ctx, wanted, limit))


@routes.get("/v1/cluster/job", summary="List jobs wherever they are", action="job:list")
async def of_cluster(ctx: Context, q: str = "", order: str = "-created", limit: int = 100, human: int = 0) -> eai.Jobs:
    """Those that the asker may see; `q` as for an account. Ids that lead nowhere are left out."""
    return eai.Jobs(items=await _found(ctx, asked(q, order, ctx.services.clock.now()), limit))


@routes.get("/v1/me/job", summary="List one's own jobs", action="job:list")
async def of_me(ctx: Context, q: str = "", order: str = "-created", limit: int = 100, human: int = 0) -> eai.Jobs:
    """`q` as for an account."""
    wanted = asked(q, order, ctx.services.clock.now(), owner=ctx.actor.id)
    return eai.Jobs(items=await _found(ctx, wanted, limit))


@routes.get("/v1/job/{ref}", summary="Show a job", action="job:get")
async def one(ctx: Context, ref: str, human: int = 0) -> eai.Job:
    """`ref` is an id, or a name in the asker's account."""
    job: answers.JobDetail = await ctx.db.glance(get_job, ctx.actor, ref)
    return eai.shown_job(job)


@routes.delete("/v1/job/{ref}", summary="Ask a job to end", action="job:kill")
async def kill(ctx: Context, ref: str, human: int = 0) -> eai.Job:
    """The state is CANCELLING until what runs has been stopped; one that has ended stays as it is."""

    def verb(uow: UnitOfWork) -> answers.JobDetail:
        return get_job(uow, ctx.actor, kill_job(uow, ctx.actor, ref))

    return eai.shown_job(await ctx.db.write(verb))


@routes.raw("GET", "/v1/token", summary="The token of the request, as text", own="the token that was sent")
async def token(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """What `eai login token` prints. A request that is signed carries none."""
    given = dict(scope["headers"]).get(b"authorization", b"")
    if given[:7].lower() != b"bearer ":
        raise Unauthenticated("this request carries no token", code="token-missing")
    body = given[7:].strip()
    head = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store")]
    await send_whole(send, (200, head, body))


async def _found(ctx: Context, wanted: Asked, limit: int) -> list[eai.Job]:
    if not 1 <= limit <= MOST:
        raise Invalid(f"limit {limit} is not from 1 to {MOST}", code="bad-parameter")
    found: list[eai.Job] = []
    if wanted.ids is not None:
        for ref in wanted.ids[:limit]:
            job = await _visible(ctx, ref, wanted.filter)
            found += [job] if job is not None and wanted.means(job.state) else []
        return found
    cursor: str | None = None
    while len(found) < limit:
        page: answers.Page[answers.Job] = await ctx.db.read(
            list_jobs, ctx.actor, wanted.filter, limit=min(PAGE, limit), cursor=cursor
        )
        shown = (eai.shown_job(job) for job in page.items)
        found += [job for job in shown if wanted.means(job.state)]
        cursor = page.cursor
        if cursor is None:
            break
    return found[:limit]


async def _visible(ctx: Context, ref: str, within: JobFilter) -> eai.Job | None:
    try:
        job: answers.JobDetail = await ctx.db.read(get_job, ctx.actor, ref)
    except NotFound:
        return None
    return eai.shown_job(job) if within.account in (None, job.account_id) else None
