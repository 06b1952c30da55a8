"""A whole answer in one piece: what a server says most often, written to the connection at once.

ASGI has a head and a body sent one after the other, and the server looks at each header by two regular expressions:
for an answer of some hundred bytes that is a third of its cost. Where the answer goes out over HTTP/1.1 by httptools it
is put together here instead, with the same rules. Whatever else calls (a test, another server) gets the two messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_WITHOUT_BODY = frozenset({204, 304})


async def send_whole(send: Any, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, head: bool) -> None:
    """Answer with a status, headers (`content-length` among them, unless there is no body) and all of a body.

    `head`: the request was HEAD, and the body is left out. Raises ValueError for a header that would end its line.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.flow.write_paused or cycle.response_started:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})
        return
    if cycle.disconnected:
        return
    lines = [name + b": " + value for name, value in (*cycle.default_headers, *headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close")
    text = b"\r\n".join(lines)
    if text.count(b"\n") != len(lines) - 1 or text.count(b"\r") != len(lines) - 1 or b"\0" in text:
        raise ValueError("a header holds the end of a line")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    sent = b"" if head or status in _WITHOUT_BODY else body
    cycle.transport.write(b"".join((STATUS_LINE[status], text, b"\r\n\r\n", sent)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
