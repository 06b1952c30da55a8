"""The public keys by which one reader reaches their jobs through SSH."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import SshKey, add_ssh_key, list_ssh_keys, remove_ssh_key
from dais.kit.errors import DaisError, Forbidden
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting, refusal
from dais.web.pages.images import status_of

HERE = "/settings/ssh-keys"


async def show_ssh_keys(request: Request, frame: Frame) -> Response:
    return await _page(request, frame, await visitor(request, frame.services))


async def add(request: Request, frame: Frame) -> Response:
    """Let the reader in by a key: the line of a `.pub` file."""
    who, form = await acting(request, frame)
    try:
        await frame.services.db.write(
            add_ssh_key, who.actor, form.get("public", ""), label=form.get("label", "")[:128] or None
        )
    except DaisError as error:
        return await _page(request, frame, who, error, form)
    return see_other(HERE)


async def remove(request: Request, frame: Frame) -> Response:
    """Let nobody in by a key any more."""
    who, _ = await acting(request, frame)
    wrong = await refusal(frame, remove_ssh_key, who.actor, request.path_params["id"])
    return await _page(request, frame, who, Forbidden(wrong, code="not-removed")) if wrong else see_other(HERE)


async def _page(
    request: Request, frame: Frame, who: Visitor, error: DaisError | None = None, given: Mapping[str, str] | None = None
) -> Response:
    keys: list[SshKey] = await frame.services.db.read(list_ssh_keys, who.actor)
    values = {"public": "", "label": ""} | dict(given or {})
    if "PRIVATE KEY" in values["public"]:
        values["public"] = ""  # it is not said again, not even to whoever gave it
    at_key = error is not None and error.code in ("bad-ssh-key", "weak-ssh-key", "ssh-key-exists")
    return frame.page(
        request,
        "settings_ssh_keys.html",
        who,
        status=status_of(error),
        keys=keys,
        wrong=error.message if error is not None and at_key else "",
        problem=error.message if error is not None and not at_key else "",
        given=values,
    )
