"""Who is told when the caller's jobs end, by default, and the key that their webhooks are signed with."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import Wishes, get_wishes, new_signing, set_targets
from dais.wire import answers

routes = Routes()


class Targets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`https://…` or `mail:ADDRESS`, at most 8; none at all for nobody."""

    targets: tuple[str, ...]


@routes.get("/v1/notify", summary="Show who is told when your jobs end", action="user:get")
async def notify(ctx: Context) -> answers.Notify:
    return _answer(await ctx.db.read(get_wishes, ctx.actor))


@routes.put("/v1/notify", summary="Set who is told when your jobs end", action="user:set")
async def set_notify(ctx: Context, body: Targets) -> answers.Notify:
    """For jobs that name nobody themselves."""
    ctx.services.notifier.check(body.targets)
    return _answer(await ctx.db.write(set_targets, ctx.actor, body.targets))


@routes.post("/v1/notify/secret", summary="Make a new key that your webhooks are signed with", action="user:set")
async def new_notify_secret(ctx: Context) -> answers.SigningSecret:
    """It is told this once, and takes the place of the one before at once."""
    return answers.SigningSecret(secret=await ctx.db.write(new_signing, ctx.actor, ctx.services.vault))


def _answer(wishes: Wishes) -> answers.Notify:
    return answers.Notify(targets=list(wishes.targets), signed=wishes.signed)
