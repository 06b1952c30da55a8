"""Files as answers: ranges, tags by which a download goes on, and names that every browser understands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from urllib.parse import quote

from blake3 import blake3

from dais.api.errors import HttpProblem
from dais.api.files import CHUNK, disk
from dais.api.routing import Receive, Scope, Send
from dais.data import FolderStore, OpenFile, Readable, open_file
from dais.kit.errors import Conflict
from dais.wire.transfers import HASHED_RANGE

Head = list[tuple[bytes, bytes]]

_range = re.compile(rb"bytes=(\d{1,18})-(\d{0,18})")
_unfit = re.compile(r"[^ !#-\[\]-~]|[/;%]")


@asynccontextmanager
async def opened_file(store: FolderStore, folder_id: str, path: str) -> AsyncIterator[OpenFile]:
    """`open_file`, without blocking."""
    opening = open_file(store, folder_id, path)
    file = await disk(opening.__enter__)
    try:
        yield file
    finally:
        opening.__exit__(None, None, None)


def attachment(name: str) -> bytes:
    """The value of `Content-Disposition` by which a browser stores an answer under this name (RFC 6266, RFC 5987)."""
    plain = _unfit.sub("_", name)
    exact = quote(name.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}".encode("ascii")


async def send_file(scope: Scope, receive: Receive, send: Send, file: Readable, head: Head) -> None:
    """Answer a file, or the `Range` of it that is asked for, with these headers and those that every download has.

    `If-Match` refuses with `changed` when the file is another; `If-Range` sends all of it then. `Dais-Digest` is the
    digest of what is sent, where that is at most 16 MiB. Raises HttpProblem 416.
    """
    headers = dict(scope["headers"])
    tag = f'"{file.tag}"'.encode()
    wanted = headers.get(b"if-match")
    if wanted is not None and wanted.strip(b'" ') != file.tag.encode():
        raise Conflict("the file is not the one that was asked for any more; begin anew", code="changed")
    ranged = headers.get(b"range") if headers.get(b"if-range", tag).strip() == tag else None
    start, end = _parse_range(ranged, file.size)
    head = [
        *head,
        (b"content-length", b"%d" % (end - start)),
        (b"accept-ranges", b"bytes"),
        (b"etag", tag),
        (b"dais-executable", b"true" if file.executable else b"false"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if ranged is not None:
        head.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size)))
    if end - start <= HASHED_RANGE:
        head.append((b"dais-digest", (await disk(_digest, file, start, end)).encode()))
    await send({"type": "http.response.start", "status": 200 if ranged is None else 206, "headers": head})
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body", "body": b""})
        return
    async with _departure(receive) as gone:
        await _send_range(send, file, start, end, gone)


async def send_pieces(
    scope: Scope, receive: Receive, send: Send, pieces: Generator[bytes, None, None], head: Head
) -> None:
    """Answer what a blocking generator makes. What it raises before its first piece can still be answered.

    It is closed at the end, also when the client goes before that.
    """
    gathered = _gathered(pieces)
    try:
        piece = None if scope["method"] == "HEAD" else await disk(next, gathered, None)
        await send({"type": "http.response.start", "status": 200, "headers": [*head, (b"cache-control", b"no-store")]})
        async with _departure(receive) as gone:
            while piece is not None and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await disk(next, gathered, None)
        await send({"type": "http.response.body", "body": b""})
    finally:
        await disk(gathered.close)
        await disk(pieces.close)


@asynccontextmanager
async def _departure(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """A task that is done when the client has gone: what nobody takes need not be read from the disk."""
    task = asyncio.create_task(_until_gone(receive))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    ended = False
    while (message := await receive())["type"] != "http.disconnect":
        if ended:  # a server that tells no more than the body's end
            await asyncio.Event().wait()
        ended = not message.get("more_body", False)


def _gathered(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Small pieces put together: each costs a change of threads."""
    while batch := list(islice(pieces, 16)):
        yield b"".join(batch)


def _parse_range(header: bytes | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last. Raises HttpProblem 416."""
    if header is None:
        return 0, size
    found = _range.fullmatch(header.strip())
    if found is not None:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if start < end or start == size == 0:
            return start, end
    raise HttpProblem(
        416,
        "This range is not there",
        f"the file has {size} bytes; ask for one range of them, as bytes=0-{max(size - 1, 0)}",
        code="bad-range",
        headers={"content-range": f"bytes */{size}"},
        size=size,
    )


def _digest(file: Readable, start: int, end: int) -> str:
    hasher = blake3()
    while start < end:
        piece = file.read_at(start, min(CHUNK, end - start))
        if not piece:
            break
        hasher.update(piece)
        start += len(piece)
    return f"blake3:{hasher.hexdigest()}"


async def _send_range(send: Send, file: Readable, start: int, end: int, gone: asyncio.Task[None]) -> None:
    while start < end and not gone.done():
        piece = await disk(file.read_at, start, min(CHUNK, end - start))
        if not piece:
            raise OSError("the file became shorter while it was sent")
        start += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
