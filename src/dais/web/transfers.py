"""Transfers of the pages: the API's own routes for uploads, run for who is signed in; downloads and archives.

A session opens pages and never the API. These few addresses carry what a page sends for its reader, and do what the
routes of the same names do; each request must come from this origin and carry the form's token in a header, which no
other origin can set.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dais.api import Context, Head, all_routes, attachment, opened_file, send_file, send_pieces, send_whole
from dais.data import FolderStore
from dais.web.frame import Frame
from dais.web.guard import FORM_HEADER, check_form_token, check_origin, visitor

SANDBOX = (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'")
"""What users' files are sent with: should a browser ever show one by itself, nothing in it can act."""

_routes = {(route.method, route.path): route for route in all_routes()}
_carried = {
    "compare": _routes["POST", "/v1/folders/{ref}/compare"],
    "pack": _routes["POST", "/v1/folders/{ref}/pack"],
    "file": _routes["PUT", "/v1/folders/{ref}/file"],
}


class _Carried(Response):
    def __init__(self, name: str, ctx: Context, folder: str) -> None:
        super().__init__()
        self._run, self._ctx, self._folder = _carried[name].run, ctx, folder

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answered = await self._run(self._ctx, scope, receive, send, [self._folder])
        if answered is not None:
            await send_whole(send, answered)


class FileAnswer(Response):
    """A file of a folder, or the range of it that is asked for."""

    def __init__(self, store: FolderStore, folder_id: str, path: str, head: Head) -> None:
        super().__init__()
        self._store, self._folder_id, self._path, self._head = store, folder_id, path, head

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with opened_file(self._store, self._folder_id, self._path) as file:
            await send_file(scope, receive, send, file, [*self._head, SANDBOX])


class PiecesAnswer(Response):
    """What a blocking generator makes, to be stored under a name."""

    def __init__(self, pieces: Generator[bytes, None, None], kind: bytes, name: str) -> None:
        super().__init__()
        self._pieces = pieces
        self._head: Head = [(b"content-type", kind), (b"content-disposition", attachment(name)), SANDBOX]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send_pieces(scope, receive, send, self._pieces, self._head)


async def compare(request: Request, frame: Frame) -> Response:
    """Which files are there already, and how much has come of large ones."""
    return await _carry("compare", request, frame)


async def pack(request: Request, frame: Frame) -> Response:
    """Many small files at once."""
    return await _carry("pack", request, frame)


async def piece(request: Request, frame: Frame) -> Response:
    """A piece of a large file."""
    return await _carry("file", request, frame)


async def _carry(name: str, request: Request, frame: Frame) -> Response:
    check_origin(request)
    who = await visitor(request, frame.services)
    check_form_token(who, {"token": request.headers.get(FORM_HEADER, "")})
    return _Carried(name, Context(frame.services, who.actor), request.path_params["folder"])
