"""What is in a folder, with an address for each path: directories as tables, files as previews, and changes of them.

`?as=download` gives the file, or the directory as an archive; `?as=image` the bytes of an image for the preview;
`?do=directory|move|remove` the page that asks before something is changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import attachment, disk
from dais.compute import remove_unused_folder
from dais.data import (
    Entry,
    Folder,
    FolderStore,
    archive,
    check_archivable,
    find_entry,
    get_folder,
    list_directory,
    make_directory,
    move_entry,
    open_file,
    remove_entries,
)
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, check_form_token, read_form, visitor
from dais.web.pages.folders import account_of
from dais.web.places import folder_address, named
from dais.web.preview import MAX_TEXT, image_type, preview_of
from dais.web.transfers import FileAnswer, PiecesAnswer

PAGE = 100
"""Entries on one page of a directory."""
ACTS = ("directory", "move", "remove")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries of a directory the address asks for. `order` is one of data.ORDERS, with `-` before it downward."""

    match: str = ""
    order: str = "name"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        page = query.get("page", "1")
        if not (page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page)):
            raise Invalid(f"page {page[:40]!r} is no number of a page", code="bad-parameter")
        return cls(match=query.get("match", "").strip(), order=query.get("order", "") or "name", page=int(page))

    def query(self, **changes: Any) -> str:
        """The part of the address after its path, with some of it changed."""
        values = {**msgspec.structs.asdict(self), **changes}
        kept = {name: value for name, value in values.items() if value != getattr(_anything, name)}
        return f"?{urlencode(kept)}" if kept else ""

    def by(self, order: str) -> str:
        return self.query(order=f"-{order}" if self.order == order else order, page=1)


_anything = Wanted()


@dataclass(frozen=True, slots=True)
class Spot:
    """A path in a folder, and whether its reader may change what is there."""

    folder: Folder
    path: str
    may_change: bool

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] or self.folder.name

    @property
    def parent(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def address(self) -> str:
        return folder_address(self.folder, self.path)

    @property
    def trail(self) -> list[tuple[str, str]]:
        """The folder and the directories above this path: name and address of each."""
        parts = self.path.split("/") if self.path else []
        above = [""] + ["/".join(parts[: end + 1]) for end in range(len(parts))]
        names = [self.folder.name, *parts]
        return [(name, folder_address(self.folder, path)) for name, path in zip(names, above, strict=True)][:-1]

    def below(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


async def show(request: Request, frame: Frame) -> Response:
    """A directory, a file, or the question before a change."""
    who, spot = await _spot(request, frame)
    entry = await disk(find_entry, frame.services.folders, spot.folder.id, spot.path)
    spot = replace(spot, path=entry.path)
    wanted, act = request.query_params.get("as", ""), request.query_params.get("do", "")
    if wanted == "download":
        return await _download(frame, spot, entry)
    if wanted == "image":
        return await _image(frame, spot)
    if wanted:
        raise Invalid(f"a file is not shown as {wanted[:40]!r}; there are download and image", code="bad-parameter")
    if act:
        return _ask(request, frame, who, spot, entry, act)
    if entry.kind == "directory":
        return await _directory(request, frame, who, spot)
    return await _file(request, frame, who, spot, entry)


async def change(request: Request, frame: Frame) -> Response:
    """Do what a page asked about."""
    form = await read_form(request)
    who, spot = await _spot(request, frame)
    check_form_token(who, form)
    act, store = form.get("do", ""), frame.services.folders
    entry = await disk(find_entry, store, spot.folder.id, spot.path)
    spot = replace(spot, path=entry.path)
    try:
        _may(spot)
        if act == "directory":
            made = await disk(make_directory, store, spot.folder.id, spot.below(_given(form, "name")))
            return see_other(folder_address(spot.folder, made))
        if act == "move" and spot.path:
            moved = await disk(move_entry, store, spot.folder.id, spot.path, _given(form, "target").lstrip("/"))
            return see_other(folder_address(spot.folder, moved.rpartition("/")[0]))
        if act == "remove":
            return await _remove(frame, who, spot, entry, form.get("name", ""))
    except DaisError as error:
        return _ask(request, frame, who, spot, entry, act, given=form, wrong=error.message)
    raise Invalid(f"{act[:40]!r} is nothing that can be done here; there are {', '.join(ACTS)}", code="bad-parameter")


async def _spot(request: Request, frame: Frame) -> tuple[Visitor, Spot]:
    who = await visitor(request, frame.services)
    name, path = request.path_params["name"], request.path_params.get("path", "")
    folder, may = await frame.services.db.read(_found, who.actor, name, account_of(request))
    return who, Spot(folder, path, may)


def _found(uow: UnitOfWork, actor: Actor, name: str, account: str) -> tuple[Folder, bool]:
    folder = get_folder(uow, actor, name, account=account)
    try:
        get_folder(uow, actor, folder.id, action="data:set")
    except Forbidden:
        return folder, False
    return folder, True


async def _directory(request: Request, frame: Frame, who: Visitor, spot: Spot) -> Response:
    wanted = Wanted.of(request.query_params)
    listing = await disk(
        list_directory,
        frame.services.folders,
        spot.folder.id,
        spot.path,
        match=wanted.match,
        order=wanted.order.lstrip("-"),
        descending=wanted.order.startswith("-"),
        start=(wanted.page - 1) * PAGE,
        limit=PAGE,
    )
    return frame.page(
        request,
        "files.html",
        who,
        account=spot.folder.account,
        spot=spot,
        listing=listing,
        wanted=wanted,
        pages=max(1, -(-listing.matching // PAGE)),
        first=(wanted.page - 1) * PAGE,
    )


async def _file(request: Request, frame: Frame, who: Visitor, spot: Spot, entry: Entry) -> Response:
    shown = None
    if entry.kind == "file":
        head = await disk(_head, frame.services.folders, spot.folder.id, spot.path, MAX_TEXT)
        shown = preview_of(spot.name, head, entry.size)
    return frame.page(request, "file.html", who, account=spot.folder.account, spot=spot, entry=entry, shown=shown)


def _head(store: FolderStore, folder_id: str, path: str, most: int) -> bytes:
    with open_file(store, folder_id, path) as file:
        return os.pread(file.fd, most, 0)


async def _download(frame: Frame, spot: Spot, entry: Entry) -> Response:
    store = frame.services.folders
    if entry.kind == "directory":
        await disk(check_archivable, store, spot.folder.id, spot.path)
        pieces = archive(store, spot.folder.id, spot.path, spot.name)
        return PiecesAnswer(pieces, b"application/zip", f"{spot.name}.zip")
    head = [(b"content-type", b"application/octet-stream"), (b"content-disposition", attachment(spot.name))]
    return FileAnswer(store, spot.folder.id, spot.path, head)


async def _image(frame: Frame, spot: Spot) -> Response:
    kind = image_type(await disk(_head, frame.services.folders, spot.folder.id, spot.path, 64))
    if kind is None:
        raise Invalid("this file is no image that can be shown; download it", code="no-image")
    return FileAnswer(frame.services.folders, spot.folder.id, spot.path, [(b"content-type", kind.encode())])


def _ask(
    request: Request,
    frame: Frame,
    who: Visitor,
    spot: Spot,
    entry: Entry,
    act: str,
    *,
    given: Mapping[str, str] | None = None,
    wrong: str = "",
) -> Response:
    """The page that says what will happen, with the button that does it."""
    if act not in ACTS or (act == "move" and not spot.path) or (act == "directory" and entry.kind != "directory"):
        raise Invalid(f"{act[:40]!r} is nothing that can be done here", code="bad-parameter")
    _may(spot)
    return frame.page(
        request,
        "file_act.html",
        who,
        status=400 if wrong else 200,
        account=spot.folder.account,
        spot=spot,
        entry=entry,
        act=act,
        given=given or {},
        wrong=wrong,
    )


async def _remove(frame: Frame, who: Visitor, spot: Spot, entry: Entry, confirmed: str) -> Response:
    store = frame.services.folders
    if entry.kind == "directory" and confirmed.strip() not in (spot.name.strip(), named(spot.name)):
        raise Invalid(f"write {named(spot.name)} to say that it is meant; nothing was removed", code="not-confirmed")
    if spot.path:
        await disk(remove_entries, store, spot.folder.id, spot.path, recursive=True)
        return see_other(folder_address(spot.folder, spot.parent))
    removed: Folder = await frame.services.db.write(remove_unused_folder, who.actor, spot.folder.id)
    await disk(store.discard, removed.id)
    return see_other(f"{view.place(spot.folder.account)}/folders")


def _given(form: Mapping[str, str], field: str) -> str:
    text = form.get(field, "").strip()
    if not text:
        raise Invalid("it is empty; write a name", code="empty-path")
    return text


def _may(spot: Spot) -> None:
    if not spot.may_change:
        raise Forbidden(
            f"you may read {spot.folder.full_name}, and not change it; ask a member of {spot.folder.account}",
            code="not-allowed",
        )
