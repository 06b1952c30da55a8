"""The list of folders, and making one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import disk, make_folder
from dais.data import FOLDER_ORDERS, Folder, get_folder, list_folders, measure
from dais.identity import Actor, list_accounts
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.kit.ids import is_id, new_id
from dais.kit.paging import Page
from dais.web import view
from dais.web.frame import Frame, answer_json, see_other
from dais.web.guard import check_form_token, read_form, visitor
from dais.web.places import folder_address
from dais.wire.transfers import NewFolder
from dais.wire.units import short_size

PAGE = 50
"""Folders on one page."""
MEASURED = 20_000
"""Entries of a folder after which a list stops counting it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which folders the address asks for; `account` is part of its path."""

    name: str = ""
    order: str = "name"
    cursor: str = ""
    account: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str], account: str = "") -> Wanted:
        """Read from a query; what is not there or empty is as always."""
        given = {name: value for name in ("name", "order", "cursor") if (value := query.get(name, "").strip())}
        return cls(**given, account=account)

    @property
    def base(self) -> str:
        return f"{view.place(self.account)}/folders" if self.account else "/folders"

    def address(self, **changes: str) -> str:
        """The page's address, with some of it changed."""
        values = {"name": self.name, "order": self.order, "cursor": self.cursor, **changes}
        kept = {name: value for name, value in values.items() if value != getattr(_anything, name)}
        return f"{self.base}?{urlencode(kept)}" if kept else self.base

    def by(self, order: str) -> str:
        """The address of the list sorted by this, or the other way round if it is so already."""
        return self.address(order=f"-{order}" if self.order == order else order, cursor="")


_anything = Wanted()


def account_of(request: Request) -> str:
    """The full name of the account that the address begins with; "" where it names none."""
    organization = request.path_params.get("organization")
    return f"{organization}.{request.path_params['account']}" if organization else ""


async def show_folders(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    wanted = Wanted.of(request.query_params, account_of(request))
    found: Page[Folder] = await frame.services.db.read(
        list_folders,
        who.actor,
        account=wanted.account or None,
        match=wanted.name,
        order=wanted.order,
        limit=PAGE,
        cursor=wanted.cursor or None,
    )
    return frame.page(
        request,
        "folders.html",
        who,
        account=wanted.account or None,
        folders=found.items,
        older=found.cursor,
        wanted=wanted,
        orders=FOLDER_ORDERS,
    )


async def sizes(request: Request, frame: Frame) -> Response:
    """How many files and bytes folders hold, by their ids; large ones are counted in part."""
    who = await visitor(request, frame.services)
    ids = request.query_params.get("ids", "").split(",")
    if len(ids) > PAGE or not all(map(is_id, ids)):
        raise Invalid(f"ids are at most {PAGE} ids of folders, with commas between them", code="bad-parameter")
    found = await frame.services.db.read(_visible, who.actor, ids)
    return answer_json({folder.id: await _measured(frame, folder) for folder in found})


def _visible(uow: UnitOfWork, actor: Actor, ids: list[str]) -> list[Folder]:
    found = []
    for id_ in ids:
        try:
            found.append(get_folder(uow, actor, id_))
        except DaisError:
            continue  # removed meanwhile
    return found


async def _measured(frame: Frame, folder: Folder) -> dict[str, Any]:
    try:
        counted = await disk(measure, frame.services.folders, folder.id, limit=MEASURED)
    except DaisError as error:
        return {"problem": error.message}
    more = "" if counted.complete else "> "
    return {
        "files": f"{more}{counted.files:,}",
        "size": f"{more}{short_size(counted.size)}",
        "complete": counted.complete,
    }


async def to_its_address(request: Request, frame: Frame) -> Response:
    """From an id, or a name in the reader's account, to the folder's page."""
    who = await visitor(request, frame.services)
    found: Folder = await frame.services.db.read(get_folder, who.actor, request.path_params["ref"])
    return see_other(folder_address(found))


async def ask_new(request: Request, frame: Frame) -> Response:
    """The form for a new folder."""
    who = await visitor(request, frame.services)
    return await _new_form(request, frame, who, {"account": request.query_params.get("account", "")}, {})


async def make(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    wanted = NewFolder(name=form.get("name", "").strip(), account=form.get("account", "").strip() or None)
    try:
        made = await make_folder(frame.services, who.actor, wanted, new_id())
    except DaisError as error:
        return await _new_form(request, frame, who, form, {_field_of(error): error.message})
    return see_other(folder_address(made))


async def _new_form(
    request: Request, frame: Frame, who: Any, form: Mapping[str, str], wrong: Mapping[str, str]
) -> Response:
    accounts = await frame.services.db.read(list_accounts, who.actor, limit=1_000)
    own = next((account.full_name for account in accounts.items if account.id == who.actor.account_id), "")
    return frame.page(
        request,
        "folder_new.html",
        who,
        status=400 if wrong else 200,
        accounts=[account.full_name for account in accounts.items],
        name=form.get("name", ""),
        chosen=form.get("account") or own,
        wrong=wrong,
    )


def _field_of(error: DaisError) -> str:
    """The field that an error is about; "" for the form as a whole."""
    if error.code in ("bad-name", "folder-exists"):
        return "name"
    return "account" if error.code in ("no-such-account", "not-allowed") else ""
