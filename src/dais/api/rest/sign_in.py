"""One-time links into the pages, for whoever holds a token."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import SIGN_IN_LINK_SECONDS, own_sign_in_link
from dais.wire import answers

routes = Routes()


@routes.post("/v1/sign-in-links", summary="Make a one-time link into the pages", status=201, action="session:new")
async def sign_in_link(ctx: Context) -> answers.SignInLink:
    """The link signs its opener in as the bearer of the token: once, within fifteen minutes."""
    secret = await ctx.db.write(own_sign_in_link, ctx.actor)
    return answers.SignInLink(path=f"/sign-in/{secret}", seconds=SIGN_IN_LINK_SECONDS)
