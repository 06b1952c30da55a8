"""Signing a machine in from a browser elsewhere, as RFC 8628 says; and out again.

Requests are JSON, failures are problems: the word that the RFC has for one is their field `error`.
"""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.api.settings import ServerSettings
from dais.identity import Polled, begin_device_login, end_own_token, get_account, poll_device_login
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire import answers

routes = Routes()

DEVICE_PAGE = "/device"
"""The page on which people confirm."""
MAX_BODY = 4096


class NewDeviceLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the machine says of itself, for the person who confirms."""

    machine: str = ""
    client: str = ""


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `device_code` that the machine was told."""

    device_code: str


_decode = BodyDecoder(NewDeviceLogin)


@routes.raw(
    "POST",
    "/v1/login/device",
    summary="Begin to sign a machine in",
    status=201,
    public="whoever has no token yet",
    answer=answers.DeviceLogin,
)
async def begin(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """Show `user_code` and the address to a person, who confirms there; ask for the token every `interval` seconds."""
    body: NewDeviceLogin = _decode(await read_body(scope, receive, MAX_BODY) or b"{}")
    address = ctx.services.authenticator.addresses.of(scope)
    ctx.services.limits.login(address)
    begun = await ctx.db.write(begin_device_login, body.machine, body.client, address)
    page = f"{_settings(ctx).public_url.rstrip('/')}{DEVICE_PAGE}"
    answer = answers.DeviceLogin(
        device_code=begun.device_code,
        user_code=begun.user_code,
        verification_uri=page,
        verification_uri_complete=f"{page}?code={begun.user_code}",
        expires_in=begun.expires_in,
        interval=begun.interval,
    )
    await send_json(send, 201, answer)


@routes.post(
    "/v1/login/token",
    summary="Ask whether the machine is signed in, and for its token",
    public="who holds the device code, which is told once",
)
async def token(ctx: Context, body: DeviceCode) -> answers.DeviceToken:
    """Problems until then: `authorization-pending`, `slow-down` (wait 5 seconds more each time), `access-denied`,
    `expired-token`. The token is told once.
    """
    polled: Polled = await ctx.db.write(poll_device_login, body.device_code, _settings(ctx).login_days)
    if polled.token is None or polled.user is None:
        raise _not_yet(polled)
    account = await ctx.db.read(get_account, polled.user.account_id)
    assert polled.token.expires_at is not None
    return answers.DeviceToken(
        access_token=polled.token.secret,
        expires_in=(polled.token.expires_at - ctx.services.clock.now()) // SECOND,
        expires_at=to_rfc3339(polled.token.expires_at),
        user=polled.user.name,
        organization=polled.user.organization,
        account=account.full_name,
    )


@routes.post("/v1/logout", summary="End the token that this request carries", own="their own token")
async def logout(ctx: Context) -> None:
    def end(uow: UnitOfWork) -> None:
        end_own_token(uow, ctx.actor)

    await ctx.db.write(end)


def _not_yet(polled: Polled) -> Invalid:
    """What a machine hears that has no token."""
    words = {
        "pending": ("authorization-pending", "nobody has confirmed yet; ask again"),
        "slow-down": ("slow-down", f"you ask too often; wait {polled.interval} seconds between two questions"),
        "denied": ("access-denied", "the person at the browser said no"),
    }
    code, sentence = words.get(
        polled.state, ("expired-token", "the code has expired or was used; `dais login` shows another")
    )
    return Invalid(sentence, code=code, error=code.replace("-", "_"), interval=polled.interval)


def _settings(ctx: Context) -> ServerSettings:
    found: ServerSettings = ctx.services.settings.get("server") or ServerSettings()
    return found
