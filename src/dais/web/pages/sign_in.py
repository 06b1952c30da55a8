"""Signing in, step by step, and out. Every step is a form of its own; none of them needs JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dais.api import describe
from dais.identity import (
    Entry,
    IdentityProvider,
    Pending,
    all_providers,
    begin_enrolment,
    check_sign_in_link,
    end_session,
    key_address,
    last_provider,
    redeem_sign_in_link,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid, TooMany, Unauthenticated
from dais.web.frame import Frame, see_other
from dais.web.guard import (
    PENDING_COOKIE,
    browser_of,
    check_form_token,
    cookie_name,
    drop_cookie,
    form_token_of,
    local,
    pending,
    read_form,
    set_cookie,
    visitor,
)
from dais.web.qr import qr_code

STEPS = {"second-factor": "/sign-in/code", "enrolment": "/sign-in/device", "password": "/sign-in/password"}
"""Where each step of a sign-in is done."""


async def show_form(request: Request, frame: Frame) -> Response:
    """Name and password."""
    after = local(request.query_params.get("next", ""))
    try:
        await visitor(request, frame.services)
    except Unauthenticated:
        ways = await frame.services.db.read(all_providers)
        return frame.page(request, "sign_in.html", None, next=after, name="", problem=None, ways=ways)
    return see_other(after)


async def by_password(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    name, after = form.get("name", ""), local(form.get("next", ""))
    try:
        entry = await frame.services.desk.by_password(
            name, form.get("password", ""), browser_of(request, frame.services)
        )
    except (Unauthenticated, TooMany) as error:
        ways = await frame.services.db.read(all_providers)
        return failed(request, frame, error, "sign_in.html", next=after, name=name, ways=ways)
    return entered(request, entry, after)


async def show_code(request: Request, frame: Frame) -> Response:
    """The code of a device, or one for recovery."""
    who = await _at(request, frame, "second-factor")
    return who if isinstance(who, Response) else frame.page(request, "sign_in_code.html", None, **_of(request, who))


async def by_code(request: Request, frame: Frame) -> Response:
    form, who = await _posted(request, frame, "second-factor")
    if isinstance(who, Response):
        return who
    try:
        entry = await frame.services.desk.second_factor(
            who.secret, form.get("code", ""), browser_of(request, frame.services)
        )
    except (Unauthenticated, TooMany) as error:
        if error.code == "no-sign-in":
            return _from_the_start(request)
        return failed(request, frame, error, "sign_in_code.html", **_of(request, who))
    return entered(request, entry, _next(request))


async def show_device(request: Request, frame: Frame) -> Response:
    """Setting up a device that shows codes: first its key, to be stored; then the code to be scanned."""
    who = await _at(request, frame, "enrolment")
    if isinstance(who, Response):
        return who
    values = await device_values(request, frame, who.user_id, who.user)
    return frame.page(request, "sign_in_device.html", None, **values, **_of(request, who))


async def set_device(request: Request, frame: Frame) -> Response:
    """The code that the device shows; then the recovery codes, which are seen this once."""
    form, who = await _posted(request, frame, "enrolment")
    if isinstance(who, Response):
        return who
    try:
        entry, codes = await frame.services.desk.enrol(
            who.secret, form.get("code", ""), form.get("device", ""), browser_of(request, frame.services)
        )
    except (Unauthenticated, Invalid) as error:
        if error.code == "no-sign-in":
            return _from_the_start(request)
        values = await device_values(request, frame, who.user_id, who.user, device=form.get("device", ""))
        return failed(request, frame, error, "sign_in_device.html", **values | _of(request, who) | {"stored": True})
    response = frame.page(request, "recovery_codes.html", None, codes=codes, next=_address(entry, _next(request)))
    _remember(request, response, entry)
    return response


async def show_password(request: Request, frame: Frame) -> Response:
    """A new password, where the old one was chosen by somebody else or is forgotten."""
    who = await _at(request, frame, "password")
    return who if isinstance(who, Response) else frame.page(request, "sign_in_password.html", None, **_of(request, who))


async def set_password(request: Request, frame: Frame) -> Response:
    form, who = await _posted(request, frame, "password")
    if isinstance(who, Response):
        return who
    try:
        password = repeated(form)
        entry = await frame.services.desk.pending_password(who.secret, password, browser_of(request, frame.services))
    except (Unauthenticated, Invalid, TooMany) as error:
        if error.code == "no-sign-in":
            return _from_the_start(request)
        return failed(request, frame, error, "sign_in_password.html", **_of(request, who))
    return entered(request, entry, _next(request))


async def show_link(request: Request, frame: Frame) -> Response:
    """A page with one button. Opening it uses nothing up: those who preview links would burn it otherwise."""
    purpose = await frame.services.db.read(check_sign_in_link, request.path_params["secret"])
    return frame.page(request, "sign_in_link.html", None, purpose=purpose)


async def use_link(request: Request, frame: Frame) -> Response:
    """The button: the link becomes a session, or the next step to one."""
    await read_form(request)
    secret, browser, settings = (
        request.path_params["secret"],
        browser_of(request, frame.services),
        frame.services.desk.settings,
    )

    def redeem(uow: UnitOfWork) -> Entry:
        return redeem_sign_in_link(uow, secret, browser=browser, settings=settings)

    return entered(request, await frame.services.db.write(redeem), "/jobs")


async def sign_out(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    provider: IdentityProvider | None = None
    if who.session.first_factor == "oidc":
        provider = await frame.services.db.read(last_provider, who.actor.id)
    await frame.services.db.write(end_session, who.secret)
    way_out = frame.relying_party.way_out(provider, f"{frame.services.url}/sign-in") if provider else None
    response = frame.page(request, "signed_out.html", None, provider=provider, way_out=way_out)
    drop_cookie(request, response)
    return response


def entered(request: Request, entry: Entry, after: str) -> Response:
    """Send the browser on to the next step, or, signed in, to where it wanted to go."""
    response = see_other(_address(entry, after))
    _remember(request, response, entry)
    return response


def failed(request: Request, frame: Frame, error: DaisError, template: str, **values: Any) -> Response:
    """The form again, with what went wrong."""
    problem, headers = describe(error)
    response = frame.page(request, template, None, status=problem.status, **values | {"problem": problem.detail})
    if "retry-after" in headers:
        response.headers["retry-after"] = headers["retry-after"]
    return response


def repeated(form: Mapping[str, str]) -> str:
    """The new password of a form, typed twice. Raises Invalid `passwords-differ`."""
    password = form.get("password", "")
    if password != form.get("again", ""):
        raise Invalid("the two passwords are not the same; type them again", code="passwords-differ")
    return password


async def device_values(request: Request, frame: Frame, user_id: str, user: str, device: str = "") -> dict[str, Any]:
    """What the page needs that sets a device up."""
    enrolment = await frame.services.db.write(begin_enrolment, frame.services.vault, user_id)
    secret = enrolment.secret
    return {
        "key": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        "picture": qr_code(key_address(secret, user)),
        "stored": request.query_params.get("stored") == "yes",
        "device": device,
    }


async def _at(request: Request, frame: Frame, step: str) -> Pending | Response:
    """The sign-in that is at this step, or the way to where it is."""
    try:
        who = await pending(request, frame.services)
    except Unauthenticated:
        return _from_the_start(request)
    return who if who.step == step else see_other(_with_next(STEPS.get(who.step, "/sign-in"), _next(request)))


async def _posted(request: Request, frame: Frame, step: str) -> tuple[dict[str, str], Pending | Response]:
    """The same for a form that was sent."""
    form = await read_form(request)
    who = await _at(request, frame, step)
    if isinstance(who, Pending):
        check_form_token(who, form)
    return form, who


def _of(request: Request, who: Pending) -> dict[str, Any]:
    return {"user": who.user, "form_token": form_token_of(who.secret), "next": _next(request), "problem": None}


def _from_the_start(request: Request) -> Response:
    return see_other(_with_next("/sign-in", _next(request)))


def _next(request: Request) -> str:
    return local(request.query_params.get("next", ""))


def _address(entry: Entry, after: str) -> str:
    return after if entry.step == "session" else _with_next(STEPS[entry.step], after)


def _with_next(address: str, after: str) -> str:
    return address if after in ("/", "/jobs") else f"{address}?{urlencode({'next': after})}"


def _remember(request: Request, response: Response, entry: Entry) -> None:
    if entry.step == "session":
        set_cookie(request, response, entry.secret)
        if cookie_name(request, PENDING_COOKIE) in request.cookies:
            drop_cookie(request, response, PENDING_COOKIE)
    else:
        set_cookie(request, response, entry.secret, PENDING_COOKIE)
