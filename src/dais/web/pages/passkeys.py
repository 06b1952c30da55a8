"""Passkeys: signing in with one, as the only factor or the second; and one's own, in the settings.

A passkey is made and shown by the browser, which needs JavaScript: modules post JSON here. What can be done without
(names, removal) are forms.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    Challenge,
    Entry,
    Passkey,
    Pending,
    Recognized,
    Site,
    add_passkey,
    copied_passkey,
    go_on,
    has_password,
    list_passkeys,
    new_challenge,
    passkey_creation,
    passkey_request,
    recognize,
    remove_passkey,
    rename_passkey,
    signed_in,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, Unauthenticated
from dais.web.frame import Frame, answer_json, see_other
from dais.web.guard import (
    CHALLENGE_COOKIE,
    FORM_HEADER,
    Visitor,
    browser_of,
    check_form_token,
    local,
    pending,
    read_form,
    read_json,
    set_cookie,
    visitor,
)
from dais.web.pages.sign_in import entered
from dais.web.pages.sso import taken

FIRST, SECOND, NEW = "passkey-first", "passkey-second", "passkey-new"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser's authenticator answered, as JSON; `next` is the page to go on with."""

    answer: dict[str, Any]
    next: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Before a passkey is made: the password, from who has one."""

    password: str = ""


class New(msgspec.Struct, frozen=True, kw_only=True):
    """The passkey that the browser made, and what to call it."""

    answer: dict[str, Any]
    name: str = ""


async def ask_first(request: Request, frame: Frame) -> Response:
    """What the browser is to show any passkey of this site for."""
    await read_json(request, Wish)
    return await _asked(request, frame, FIRST, "")


async def by_passkey(request: Request, frame: Frame) -> Response:
    """Sign in by a passkey alone: its authenticator must have checked that it is its owner."""
    shown = await read_json(request, Shown)
    challenge = await taken(request, frame, FIRST)
    found = await _recognized(frame, challenge, shown)
    if not found.verified:
        raise Unauthenticated(
            "this passkey did not check that it is you, by a PIN or a finger; sign in by your password first, and use "
            "it as the second factor",
            code="not-verified",
        )
    browser, settings = browser_of(request, frame.services), frame.services.desk.settings

    def enter(uow: UnitOfWork) -> Entry:
        return signed_in(uow, found.user_id, "passkey", browser=browser, settings=settings, strong=True)

    return _gone_on(request, await frame.services.db.write(enter), local(shown.next))


async def ask_second(request: Request, frame: Frame) -> Response:
    """The same for one of the user's who is signing in."""
    await read_json(request, Wish)
    who = await _second(request, frame)
    return await _asked(request, frame, SECOND, who.user_id)


async def by_second(request: Request, frame: Frame) -> Response:
    """Go on with a sign-in by a passkey of the same user."""
    shown = await read_json(request, Shown)
    who = await _second(request, frame)
    challenge = await taken(request, frame, SECOND)
    found = await _recognized(frame, challenge, shown)
    if found.user_id != who.user_id or challenge.subject != who.user_id:
        raise Unauthenticated("this passkey is somebody else's; show one of yours", code="bad-passkey")
    browser, settings = browser_of(request, frame.services), frame.services.desk.settings

    def enter(uow: UnitOfWork) -> Entry:
        return go_on(uow, who, browser=browser, settings=settings, strong=True)

    return _gone_on(request, await frame.services.db.write(enter), local(shown.next))


async def show_passkeys(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    return await _page(request, frame, who)


async def ask_new(request: Request, frame: Frame) -> Response:
    """What the browser is to make a passkey with. Who has a password shows it: a passkey opens the door for good."""
    wish = await read_json(request, Wish)
    who = await _own(request, frame)
    await frame.services.desk.confirm(who.actor, wish.password)
    site = _site(frame)
    secret: str = await frame.services.db.write(new_challenge, NEW, who.actor.id)
    challenge = Challenge(secret=secret, subject=who.actor.id, back="")
    options = await frame.services.db.read(passkey_creation, who.actor, site, challenge)
    response = answer_json(options)
    set_cookie(request, response, secret, CHALLENGE_COOKIE)
    return response


async def make(request: Request, frame: Frame) -> Response:
    """Keep the passkey that the browser made."""
    new = await read_json(request, New)
    who = await _own(request, frame)
    challenge = await taken(request, frame, NEW)
    made: Passkey = await frame.services.db.write(
        add_passkey, who.actor, _site(frame), challenge, new.answer, new.name[:200]
    )
    return answer_json({"to": "/settings/passkeys", "name": made.name}, 201)


async def rename(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    await frame.services.db.write(rename_passkey, who.actor, request.path_params["id"], form.get("name", ""))
    return see_other("/settings/passkeys")


async def remove(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    await frame.services.desk.confirm(who.actor, form.get("current", ""))
    await frame.services.db.write(remove_passkey, who.actor, request.path_params["id"])
    return see_other("/settings/passkeys")


async def _asked(request: Request, frame: Frame, purpose: str, user_id: str) -> Response:
    services = frame.services
    services.limits.login(browser_of(request, services).address)
    site = _site(frame)
    secret: str = await services.db.write(new_challenge, purpose, user_id)
    challenge = Challenge(secret=secret, subject=user_id, back="")
    response = answer_json(await services.db.read(passkey_request, site, challenge, user_id or None))
    set_cookie(request, response, secret, CHALLENGE_COOKIE)
    return response


async def _recognized(frame: Frame, challenge: Challenge, shown: Shown) -> Recognized:
    found: Recognized = await frame.services.db.write(recognize, _site(frame), challenge, shown.answer)
    if found.copied:
        raise copied_passkey(found.passkey)
    return found


async def _second(request: Request, frame: Frame) -> Pending:
    """The sign-in that waits for a second factor, if a passkey was not the first. Raises Unauthenticated."""
    who = await pending(request, frame.services)
    check_form_token(who, {"token": request.headers.get(FORM_HEADER, "")})
    if who.step != "second-factor" or who.first_factor == "passkey":
        raise Unauthenticated("this sign-in does not wait for a passkey; begin again", code="no-sign-in")
    return who


async def _own(request: Request, frame: Frame) -> Visitor:
    who = await visitor(request, frame.services)
    check_form_token(who, {"token": request.headers.get(FORM_HEADER, "")})
    return who


async def _page(request: Request, frame: Frame, who: Visitor) -> Response:
    def read(uow: UnitOfWork) -> tuple[list[Passkey], bool]:
        return list_passkeys(uow, who.actor), has_password(uow, who.actor.id)

    found, password = await frame.services.db.read(read)
    return frame.page(request, "passkeys.html", who, passkeys=found, password=password)


def _site(frame: Frame) -> Site:
    site = frame.passkey_site()
    if site is None:
        raise Invalid(
            f"browsers make no passkeys for {frame.services.url}: they need a name and https; an administrator can set "
            "DAIS_SERVER_PUBLIC_URL",
            code="no-passkeys-here",
        )
    return site


def _gone_on(request: Request, entry: Entry, after: str) -> Response:
    """Where the page is to go; the cookies are those of a form's answer."""
    moved = entered(request, entry, after)
    response = answer_json({"to": moved.headers["location"]})
    response.raw_headers += [pair for pair in moved.raw_headers if pair[0] == b"set-cookie"]
    return response
