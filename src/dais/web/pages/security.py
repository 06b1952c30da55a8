"""What one reader signs in with: the password, devices that show codes, recovery codes. What is changed asks for the
password once more: somebody else may sit at their browser."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import Actor, Device, has_password, list_devices, recovery_codes_left
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, browser_of, set_cookie, visitor
from dais.web.pages.access.shared import acting
from dais.web.pages.sign_in import device_values, repeated


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader has: whether there is a password, the devices, and how many recovery codes are left."""

    password: bool
    devices: list[Device]
    codes: int


async def show_security(request: Request, frame: Frame) -> Response:
    return await _page(request, frame, await visitor(request, frame.services))


async def change_password(request: Request, frame: Frame) -> Response:
    """Every other browser is signed out; this one goes on with a fresh session."""
    who, form = await acting(request, frame, strip=False)
    try:
        password = repeated(form)
        secret = await frame.services.desk.change_password(
            who.session, form.get("current", ""), password, browser_of(request, frame.services)
        )
    except DaisError as error:
        return await _page(request, frame, who, error)
    response = see_other("/settings/security")
    set_cookie(request, response, secret)
    return response


async def show_device(request: Request, frame: Frame) -> Response:
    """Setting a device up: its key first, to be stored, then the code to be scanned."""
    return await _device(request, frame, await visitor(request, frame.services))


async def set_device(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame, strip=False)
    desk, name = frame.services.desk, form.get("device", "")
    try:
        secret, codes = await desk.add_device(
            who.session, form.get("code", ""), name, form.get("current", ""), browser_of(request, frame.services)
        )
    except DaisError as error:
        return await _device(request, frame, who, error, device=name)
    if codes:
        response = frame.page(request, "recovery_codes.html", None, codes=codes, next="/settings/security")
    else:
        response = see_other("/settings/security")
    set_cookie(request, response, secret)
    return response


async def remove_device(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame, strip=False)
    try:
        await frame.services.desk.remove_device(who.actor, request.path_params["id"], form.get("current", ""))
    except DaisError as error:
        return await _page(request, frame, who, error)
    return see_other("/settings/security")


async def renew_codes(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame, strip=False)
    try:
        codes = await frame.services.desk.renew_recovery_codes(who.actor, form.get("current", ""))
    except DaisError as error:
        return await _page(request, frame, who, error)
    return frame.page(request, "recovery_codes.html", who, codes=codes, next="/settings/security")


async def _page(request: Request, frame: Frame, who: Visitor, error: DaisError | None = None) -> Response:
    known = await frame.services.db.read(_known, who.actor)
    status = 400 if error else 200
    problem = error.message if error else ""
    return frame.page(request, "settings_security.html", who, status=status, known=known, problem=problem)


async def _device(
    request: Request, frame: Frame, who: Visitor, error: DaisError | None = None, device: str = ""
) -> Response:
    known = await frame.services.db.read(_known, who.actor)
    user = f"{who.actor.organization}.{who.actor.name}"
    values: dict[str, Any] = await device_values(request, frame, who.actor.id, user, device)
    if error is not None:
        values["stored"] = True
    status, problem = (400, error.message) if error else (200, "")
    return frame.page(request, "settings_device.html", who, status=status, known=known, problem=problem, **values)


def _known(uow: UnitOfWork, actor: Actor) -> Known:
    return Known(
        password=has_password(uow, actor.id),
        devices=list_devices(uow, actor.id),
        codes=recovery_codes_left(uow, actor.id),
    )
