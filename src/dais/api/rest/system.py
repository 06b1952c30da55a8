"""Whether it lives, what it is, who asks."""

from __future__ import annotations

import msgspec
from sqlalchemy import literal, select

import dais
from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import get_account, urn
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Unavailable
from dais.wire import answers

routes = Routes()

_one = Statement(select(literal(1)))


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The server answers and its database can be read."""

    status: str


@routes.get("/v1/health", summary="Whether the server works", public=True)
async def health(ctx: Context) -> Health:
    """Answers 200 while the server can read its database, 503 while it cannot or is stopping."""
    if ctx.services.stopping.is_set():
        raise Unavailable("the server is stopping", code="stopping", retry_after=1)
    await ctx.db.read(_probe)
    return Health(status="ok")


@routes.get("/v1/version", summary="What runs here", public=True)
async def version(ctx: Context) -> answers.Version:
    return answers.Version(version=dais.__version__)


@routes.get("/v1/me", summary="Who the bearer of the token is")
async def me(ctx: Context) -> answers.Me:
    actor = ctx.actor
    account = await ctx.db.glance(get_account, actor.account_id)
    return answers.Me(
        id=actor.id,
        number=actor.number,
        name=actor.name,
        urn=urn(actor.organization_id, None, "user", actor.id),
        organization=actor.organization,
        account=account.full_name,
        administrator=actor.administrator,
    )


def _probe(uow: UnitOfWork) -> None:
    uow.one(_one)
