"""The small files that are in the home of a reader's interactive jobs."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.compute import get_dotfile, list_dotfiles, read_dotfile, remove_dotfile, set_dotfile
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, DaisError, Invalid, NotFound
from dais.kit.vault import Vault
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, check_form_token, read_fields, visitor
from dais.web.pages.access.shared import acting
from dais.web.pages.images import status_of
from dais.wire import answers

HERE = "/settings/dotfiles"
MOST_FORM = 256 << 10
"""Bytes of a form: each of a file's can take three of them."""
MODES = {"644": "files that all may read", "600": "secrets", "755": "programs"}
"""What a file can be given in the form, and what it is for; any other mode takes the command line."""


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the form. `known`: the file is there already."""

    path: str = ""
    mode: str = "644"
    content: str = ""
    known: bool = False


async def show_dotfiles(request: Request, frame: Frame) -> Response:
    return await _list(request, frame, await visitor(request, frame.services), Filled())


async def show_dotfile(request: Request, frame: Frame) -> Response:
    """One of them, to be changed or removed. One that is no text is not shown."""
    who = await visitor(request, frame.services)
    path = request.query_params.get("path", "")
    file, content = await frame.services.db.read(_read, who.actor, frame.services.vault, path)
    try:
        filled = Filled(path=file.path, mode=file.mode, content=content.decode(), known=True)
    except UnicodeDecodeError:
        filled = None
    return _file(request, frame, who, file, filled)


async def set_one(request: Request, frame: Frame) -> Response:
    """Make a dotfile, or change one that is there."""
    fields = await read_fields(request, MOST_FORM, 10)
    who = await visitor(request, frame.services)
    form = {name: values[-1] for name, values in fields.items()}
    check_form_token(who, form)
    filled = Filled(
        path=form.get("path", "").strip(),
        mode=form.get("mode", "644"),
        content=form.get("content", "").replace("\r\n", "\n"),
        known=form.get("known") == "yes",
    )
    try:
        await frame.services.db.write(_set, who.actor, frame.services.vault, filled)
    except DaisError as error:
        if not filled.known:
            return await _list(request, frame, who, filled, error)
        file: answers.Dotfile = await frame.services.db.read(get_dotfile, who.actor, filled.path)
        return _file(request, frame, who, file, filled, error)
    return see_other(HERE)


async def remove(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    await frame.services.db.write(remove_dotfile, who.actor, form.get("path", ""))
    return see_other(HERE)


def _set(uow: UnitOfWork, actor: Actor, vault: Vault, filled: Filled) -> answers.Dotfile:
    """Do what the form says. Raises Conflict `dotfile-exists` for a new one that is there, and as `set_dotfile`."""
    if not filled.mode.isdigit() or set(filled.mode) - set("01234567"):
        raise Invalid(f"mode {filled.mode[:20]!r} is no octal number such as 644", code="bad-mode")
    if not filled.known and _is_there(uow, actor, filled.path):
        raise Conflict(f"you have {filled.path} already; change it in the list", code="dotfile-exists")
    return set_dotfile(uow, actor, vault, filled.path, filled.content.encode(), int(filled.mode, 8))


def _is_there(uow: UnitOfWork, actor: Actor, path: str) -> bool:
    try:
        get_dotfile(uow, actor, path)
    except NotFound:
        return False
    return True


def _read(uow: UnitOfWork, actor: Actor, vault: Vault, path: str) -> tuple[answers.Dotfile, bytes]:
    return get_dotfile(uow, actor, path), read_dotfile(uow, actor, vault, path)


async def _list(
    request: Request, frame: Frame, who: Visitor, filled: Filled, error: DaisError | None = None
) -> Response:
    files = await frame.services.db.read(list_dotfiles, who.actor)
    return frame.page(request, "settings_dotfiles.html", who, files=files, **_form(filled, error))


def _file(
    request: Request,
    frame: Frame,
    who: Visitor,
    file: answers.Dotfile,
    filled: Filled | None,
    error: DaisError | None = None,
) -> Response:
    return frame.page(request, "settings_dotfile.html", who, file=file, **_form(filled, error))


def _form(filled: Filled | None, error: DaisError | None) -> dict[str, Any]:
    at = {"bad-path": "path", "dotfile-exists": "path", "bad-mode": "mode", "too-large": "content"}
    wrong = {at.get(error.code, "form"): error.message} if error is not None else {}
    modes = dict(MODES) if filled is None or filled.mode in MODES else {filled.mode: "as it is", **MODES}
    choices = [(mode, f"{mode}: {words}") for mode, words in modes.items()]
    return {"filled": filled, "wrong": wrong, "modes": choices, "status": status_of(error)}
