"""Secrets: set, list, remove. No route answers a value."""

from __future__ import annotations

import asyncio
import base64
from typing import Literal

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import (
    Secret,
    get_secret,
    list_secrets,
    remove_secret,
    reseal_dotfiles,
    reseal_registries,
    reseal_secrets,
    reseal_signing,
    set_secret,
)
from dais.identity import require, reseal_devices, reseal_keypairs, reseal_providers, urn
from dais.kit.clock import to_rfc3339
from dais.kit.errors import Invalid
from dais.wire import answers

routes = Routes()


class SecretValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value of 1 byte to 64 KiB, as text or in base64."""

    value: str
    encoding: Literal["utf-8", "base64"] = "utf-8"


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a rotation did: how many secrets (and keys of webhooks) are encrypted with the new key."""

    secrets: int


@routes.get("/v1/secrets", summary="List secrets, without their values", action="secret:list")
async def secrets(
    ctx: Context, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[answers.Secret]:
    page = await ctx.db.read(list_secrets, ctx.actor, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[_answer(secret) for secret in page.items], cursor=page.cursor)


@routes.get("/v1/secrets/{name}", summary="Show a secret, without its value", action="secret:get")
async def secret(ctx: Context, name: str, account: str | None = None) -> answers.Secret:
    return _answer(await ctx.db.read(get_secret, ctx.actor, name, account=account))


@routes.put("/v1/secrets/{name}", summary="Set a secret", action="secret:set")
async def put_secret(ctx: Context, name: str, body: SecretValue, account: str | None = None) -> answers.Secret:
    """Makes it, or replaces its value: jobs that start from now on get the new one. It can never be read back."""
    try:
        value = base64.b64decode(body.value, validate=True) if body.encoding == "base64" else body.value.encode()
    except ValueError as error:  # both kinds of bad base64, and lone surrogates
        raise Invalid(f"the value is not {body.encoding}", code="bad-secret") from error
    return _answer(await ctx.db.write(set_secret, ctx.actor, ctx.services.vault, name, value, account=account))


@routes.delete("/v1/secrets/{name}", summary="Forget a secret", status=204, action="secret:rm")
async def delete_secret(ctx: Context, name: str, account: str | None = None) -> None:
    await ctx.db.write(remove_secret, ctx.actor, name, account=account)


@routes.post("/v1/secrets/rotate-key", summary="Encrypt all secrets with a new key", action="installation:set")
async def rotate_key(ctx: Context) -> Resealed:
    """Older keys stay in the key file: older backups need them."""
    vault = ctx.services.vault
    await ctx.db.read(require, ctx.actor, "installation:set")
    await asyncio.to_thread(vault.rotate)
    secrets: int = await ctx.db.write(reseal_secrets, ctx.actor, vault)
    secrets += await ctx.db.write(reseal_registries, ctx.actor, vault)
    secrets += await ctx.db.write(reseal_signing, ctx.actor, vault)
    secrets += await ctx.db.write(reseal_dotfiles, ctx.actor, vault)
    secrets += await ctx.db.write(reseal_devices, ctx.actor, vault)
    secrets += await ctx.db.write(reseal_providers, ctx.actor, vault)
    return Resealed(secrets=secrets + await ctx.db.write(reseal_keypairs, ctx.actor, vault))


def _answer(secret: Secret) -> answers.Secret:
    return answers.Secret(
        name=secret.name,
        account=secret.account,
        urn=urn(secret.organization_id, secret.account_id, "secret", secret.id),
        size=secret.size,
        set_by=secret.set_by,
        set_at=to_rfc3339(secret.set_at),
    )
