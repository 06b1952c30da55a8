"""Versioned files and file sets: directories, the versions of a file, what a set holds, how two versions differ."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dais.api import Head, attachment, disk, send_file
from dais.data import (
    BlobStore,
    Directory,
    LakeFile,
    compare_file_sets,
    get_file,
    get_file_set,
    list_directory_files,
    list_file_set_files,
    list_file_set_versions,
    list_file_sets,
    list_file_versions,
    open_content,
)
from dais.identity import Account, Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.paging import Page
from dais.provenance import FILE, FILESET
from dais.web import view
from dais.web.frame import Frame
from dais.web.guard import visitor
from dais.web.pages.folders import account_of
from dais.web.pages.meta import described
from dais.web.transfers import SANDBOX

PAGE = 100
"""Rows of one page."""

MOST_CHANGES = 500
"""Differences that a page shows."""


async def show_files(request: Request, frame: Frame) -> Response:
    """A directory, or a file with its versions."""
    who = await visitor(request, frame.services)
    path, cursor = request.query_params.get("path", "/"), request.query_params.get("cursor", "")
    read, template = (_directory, "lake_files.html") if path.endswith("/") else (_versions, "lake_file.html")
    where, found = await frame.services.db.read(read, who.actor, account_of(request), path, cursor)
    known = None
    if not path.endswith("/"):
        known = await frame.services.db.read(described, who.actor, FILE, path, where.id)
    return frame.page(
        request,
        template,
        who,
        account=where.full_name,
        base=f"{view.place(where.full_name)}/files",
        path=path,
        trail=_trail(where, path),
        meta=known,
        line=shlex.join(["dais", "file", "download", "--account", where.full_name, path, "."]),
        found=found.items,
        older=_more(request, found),
        paged=bool(cursor),
    )


async def download(request: Request, frame: Frame) -> Response:
    """The content of a version."""
    who = await visitor(request, frame.services)
    path = request.query_params.get("path", "")
    file = await frame.services.db.read(get_file, who.actor, path, account=account_of(request) or None)
    return _Content(frame.services.blobs, file)


async def show_sets(request: Request, frame: Frame) -> Response:
    """The file sets of an account."""
    who = await visitor(request, frame.services)
    cursor = request.query_params.get("cursor", "")
    where, found = await frame.services.db.read(_sets, who.actor, account_of(request), cursor)
    return frame.page(
        request,
        "filesets.html",
        who,
        account=where.full_name,
        base=f"{view.place(where.full_name)}/filesets",
        sets=found.items,
        older=_more(request, found),
        paged=bool(cursor),
    )


async def show_set(request: Request, frame: Frame) -> Response:
    """One version of a set: its files, its other versions; with `to` how another version differs from it."""
    who = await visitor(request, frame.services)
    name, query = str(request.path_params["name"]), request.query_params
    asked = {"cursor": query.get("cursor", ""), "other": query.get("to", "")}
    where, known = await frame.services.db.read(_set, who.actor, account_of(request), name, **asked)
    return frame.page(
        request,
        "fileset.html",
        who,
        account=where.full_name,
        base=f"{view.place(where.full_name)}/filesets",
        files_base=f"{view.place(where.full_name)}/files",
        older=_more(request, known["files"]),
        paged=bool(asked["cursor"]),
        line=shlex.join(["dais", "fileset", "download", "--account", where.full_name, known["found"].full_name, "."]),
        most=MOST_CHANGES,
        **{**known, "files": known["files"].items},
    )


class _Content(Response):
    """A version's content, to be stored under the file's name."""

    def __init__(self, blobs: BlobStore, file: LakeFile) -> None:
        super().__init__()
        self._blobs, self._file = blobs, file

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = self._file.path.rpartition("/")[2]
        head: Head = [
            (b"content-type", b"application/octet-stream"),
            (b"content-disposition", attachment(name)),
            SANDBOX,
        ]
        opening = open_content(self._blobs, self._file)
        content = await disk(opening.__enter__)
        try:
            await send_file(scope, receive, send, content, head)
        finally:
            opening.__exit__(None, None, None)


def _directory(
    uow: UnitOfWork, actor: Actor, account: str, path: str, cursor: str
) -> tuple[Account, Page[LakeFile | Directory]]:
    where = resolve_account(uow, actor, account or None)
    return where, list_directory_files(uow, actor, path, account=where.id, limit=PAGE, cursor=cursor or None)


def _versions(uow: UnitOfWork, actor: Actor, account: str, path: str, cursor: str) -> tuple[Account, Page[LakeFile]]:
    where = resolve_account(uow, actor, account or None)
    return where, list_file_versions(uow, actor, path, account=where.id, limit=PAGE, cursor=cursor or None)


def _sets(uow: UnitOfWork, actor: Actor, account: str, cursor: str) -> tuple[Account, Page[Any]]:
    where = resolve_account(uow, actor, account or None)
    return where, list_file_sets(uow, actor, account=where.id, limit=PAGE, cursor=cursor or None)


def _set(
    uow: UnitOfWork, actor: Actor, account: str, name: str, *, cursor: str, other: str
) -> tuple[Account, dict[str, Any]]:
    where = resolve_account(uow, actor, account or None)
    found = get_file_set(uow, actor, name, account=where.id)
    changes = []
    if other:
        other = f"{found.name}:{other}" if other.isdigit() else other
        changes = compare_file_sets(uow, actor, other, found.full_name, account=where.id)
    page = list_file_set_files(uow, actor, found.full_name, account=where.id, limit=PAGE, cursor=cursor or None)
    versions = list_file_set_versions(uow, actor, found.name, account=where.id, limit=PAGE).items
    meta = described(uow, actor, FILESET, found.full_name, where.id)
    return where, {
        "meta": meta,
        "found": found,
        "files": page,
        "versions": versions,
        "changes": changes,
        "other": other,
    }


def _trail(where: Account, path: str) -> list[tuple[str, str]]:
    """The directories above a path: names and addresses."""
    base = f"{view.place(where.full_name)}/files"
    parts = [part for part in path.split("/") if part][:-1]
    trail = [(where.full_name, base)]
    at = "/"
    for part in parts:
        at += f"{part}/"
        trail.append((part, f"{base}?{urlencode({'path': at})}"))
    return trail


def _more(request: Request, page: Page[Any]) -> str:
    """The address of the next page."""
    if page.cursor is None:
        return ""
    return f"{request.url.path}?{urlencode({**request.query_params, 'cursor': page.cursor})}"
