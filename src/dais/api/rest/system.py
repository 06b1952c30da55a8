"""What it is, who asks."""

from __future__ import annotations

import dais
from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import get_account, get_user, urn
from dais.wire import answers

routes = Routes()


@routes.get("/v1/version", summary="What runs here", public="clients compare versions before they sign in")
async def version(ctx: Context) -> answers.Version:
    return answers.Version(version=dais.__version__)


@routes.get("/v1/me", summary="Who the bearer of the token is", own="who they are")
async def me(ctx: Context) -> answers.Me:
    actor = ctx.actor
    account = await ctx.db.glance(get_account, actor.account_id)
    user = await ctx.db.glance(get_user, actor.id)
    return answers.Me(
        id=actor.id,
        number=actor.number,
        name=actor.name,
        urn=urn(actor.organization_id, None, "user", actor.id),
        organization=actor.organization,
        account=account.full_name,
        administrator=actor.administrator,
        mail=user.email,
    )
