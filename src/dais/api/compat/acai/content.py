"""What the addresses of `links` lead to: the contents of files, coming and going."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from dais.api.compat.acai.links import read_link
from dais.api.context import Services
from dais.api.downloads import attachment, send_file
from dais.api.files import Body, disk
from dais.api.routing import Receive, Scope, Send
from dais.data import LakeFile, file_by_id, note_content, open_content, session_file
from dais.kit.errors import DaisError, NotFound


async def upload(services: Services, scope: Scope, receive: Receive) -> None:
    """Take the content of a session's file. It may be sent again while the session is open: the last one counts.

    Raises Forbidden for an address that is not good, Conflict `session-over`, Unavailable `disk-full`.
    """
    body = Body(receive)
    try:
        link = read_link(services.vault, services.clock, scope["path"], "put")
        await services.db.read(session_file, link.id, link.number)
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        with services.limits.upload(link.user_id, int(length) if length.isdigit() else 0):
            loop, pieces = asyncio.get_running_loop(), aiter(body)

            def come() -> Iterator[bytes]:
                while piece := asyncio.run_coroutine_threadsafe(_next(pieces), loop).result():
                    yield piece

            digest, size = await disk(services.blobs.put_stream, come())
        await services.db.write(note_content, link.id, link.number, digest, size)
    except DaisError:
        await body.drain()
        raise


async def download(services: Services, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the content of a version, with its length. Raises Forbidden, NotFound where it was removed since."""
    link = read_link(services.vault, services.clock, scope["path"], "get")
    found: LakeFile | None = await services.db.read(file_by_id, link.id)
    if found is None:
        raise NotFound("the file was removed", code="no-such-file")
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


async def _next(pieces: AsyncIterator[bytearray]) -> bytes:
    try:
        return bytes(await anext(pieces))
    except StopAsyncIteration:
        return b""
