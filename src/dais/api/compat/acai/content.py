"""What the addresses of `links` lead to: the contents of files, coming and going."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from dais.api.compat.acai.links import Link, read_link
from dais.api.context import Services
from dais.api.downloads import attachment, send_file
from dais.api.files import Body, disk
from dais.api.routing import Receive, Scope, Send
from dais.data import LakeFile, file_by_id, get_file, note_content, open_content, session_file
from dais.identity import Actor, actor_of_token, project_of
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, NotFound


async def upload(services: Services, scope: Scope, receive: Receive) -> None:
    """Take the content of a session's file. It may be sent again while the session is open: the last one counts.

    Raises Forbidden for an address that is not good, Unauthenticated when its token is not, Conflict `session-over`,
    Unavailable `disk-full`.
    """
    body = Body(receive)
    try:
        link = read_link(services.vault, services.clock, scope["path"], "put")
        actor: Actor = await services.db.read(_sender, link)
        scope["actor"] = actor
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        with services.limits.upload(actor.id, int(length) if length.isdigit() else 0):
            loop, pieces = asyncio.get_running_loop(), aiter(body)

            def come() -> Iterator[bytes]:
                while piece := asyncio.run_coroutine_threadsafe(_next(pieces), loop).result():
                    yield piece

            digest, size = await disk(services.blobs.put_stream, come())
        await services.db.write(_note, link, digest, size)
    except DaisError:
        await body.drain()
        raise


async def download(services: Services, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the content of a version, with its length.

    Raises Forbidden, Unauthenticated when the address's token is not good any more, NotFound where the version was
    removed since, or may not be read any more.
    """
    link = read_link(services.vault, services.clock, scope["path"], "get")
    scope["actor"], found = await services.db.read(_version, link)
    head = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", attachment(found.path.rpartition("/")[2])),
        (b"referrer-policy", b"no-referrer"),
    ]
    opening = open_content(services.blobs, found)
    opened = await disk(opening.__enter__)
    try:
        await send_file(scope, receive, send, opened, head)
    finally:
        opening.__exit__(None, None, None)


def _sender(uow: UnitOfWork, link: Link) -> Actor:
    """Who may upload a session's file now."""
    actor = actor_of_token(uow, link.token_id)
    session_file(uow, link.id, link.number)
    return actor


def _note(uow: UnitOfWork, link: Link, digest: str, size: int) -> None:
    """Asks for the token once more: while much came it may have been revoked."""
    actor_of_token(uow, link.token_id)
    note_content(uow, link.id, link.number, digest, size)


def _version(uow: UnitOfWork, link: Link) -> tuple[Actor, LakeFile]:
    """The version that is to be downloaded, and by whom."""
    actor = actor_of_token(uow, link.token_id)
    found = file_by_id(uow, link.id)
    if found is None:
        raise NotFound("the file was removed", code="no-such-file")
    return actor, get_file(uow, actor, found.name, account=project_of(uow, actor).id)


async def _next(pieces: AsyncIterator[bytearray]) -> bytes:
    try:
        return bytes(await anext(pieces))
    except StopAsyncIteration:
        return b""
