"""Whether the server lives, and whether it can do its work now; for service managers and load balancers."""

from __future__ import annotations

import asyncio
import time

import msgspec
from sqlalchemy import column, literal, select, table, update

from dais.api.context import Context, Services
from dais.api.routing import Routes
from dais.compute import DEFAULT_GROUP, group_problems
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import DaisError, Unavailable
from dais.kit.tables import leases

routes = Routes()

WHY = "load balancers and service managers hold no token"
PROBE_SECONDS = 5.0
REMEMBERED_SECONDS = 1.0
"""The database is asked at most once in so long, whoever asks us: no token is needed for that."""

_one = Statement(select(literal(1)))
_write = Statement(update(leases).values(token=leases.c.token))
_schema = Statement(select(column("version_num")).select_from(table("alembic_version")))


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The server answers and its database can be read."""

    status: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Each thing that was looked at, and "ok".

    `away` are attached groups whose engine cannot be reached: their jobs wait, and the server can do all else.
    """

    status: str
    checks: dict[str, str]
    away: list[str] = []


@routes.get("/v1/health", summary="Whether the server works", public=WHY)
async def health(ctx: Context) -> Health:
    """Answers 200 while the server can read its database, 503 while it cannot or is stopping."""
    if ctx.services.stopping.is_set():
        raise Unavailable("the server is stopping", code="stopping", retry_after=1)
    await ctx.db.read(_probe)
    return Health(status="ok")


@routes.get("/v1/ready", summary="Whether the server can do its work now", public=WHY)
async def ready(ctx: Context) -> Readiness:
    """Answers 200 when the database takes writes and has the right schema, the machine's own engine is connected, and
    the server is not stopping; else 503, whose field `checks` says which of them is not so.
    """
    checks = await _checks(ctx.services)
    away = await ctx.db.read(group_problems)
    failing = {name: words for name, words in checks.items() if words != "ok"}
    if failing:
        told = "; ".join(f"{name}: {words}" for name, words in failing.items())
        raise Unavailable(f"the server is not ready: {told}", code="not-ready", retry_after=2, checks=checks)
    return Readiness(status="ready", checks=checks, away=sorted(away))


async def _checks(services: Services) -> dict[str, str]:
    away = services.parts.compute.unconnected() if services.parts.compute is not None else []
    engines = f"the engine of {DEFAULT_GROUP} cannot be reached" if DEFAULT_GROUP in away else "ok"
    stopping = "the server is stopping" if services.stopping.is_set() else "ok"
    return {**await _database(services), "engines": engines, "server": stopping}


async def _database(services: Services) -> dict[str, str]:
    at, known = services.probed
    if time.monotonic() - at < REMEMBERED_SECONDS:
        return known
    schema = "ok"
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            found = await services.db.write(_touch, services.schema)
        database = "ok"
        if found is not None:
            schema = f"it is {found}, and this program needs {services.schema}: restart it with the right version"
    except TimeoutError:
        database = f"it has taken no write for {PROBE_SECONDS:g} s"
    except DaisError as error:
        database = error.message
    services.probed = (time.monotonic(), {"database": database, "schema": schema})
    return services.probed[1]


def _probe(uow: UnitOfWork) -> None:
    uow.one(_one)


def _touch(uow: UnitOfWork, wanted: str | None) -> str | None:
    """Write, without changing anything; the schema, if it is not the one that is wanted."""
    uow.run(_write)
    found = uow.scalar(_schema) if wanted is not None else None
    return str(found) if found != wanted else None
