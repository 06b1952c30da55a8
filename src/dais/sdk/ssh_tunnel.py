"""SSH through the API, where the gateway's own port cannot be reached: its bytes as messages of a WebSocket."""

from __future__ import annotations

import os
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

from dais.sdk.errors import Unreachable, from_response
from dais.sdk.target import CONNECT_TIMEOUT, Target, is_loopback
from dais.sdk.transport import root_words

PATH = "/v1/ssh/connection"
CHUNK = 64 << 10


def carry(target: Target, source: int, sink: int) -> None:
    """Carry one SSH connection between two descriptors and the gateway, until either is done. Raises DaisError."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect

    try:
        connection = connect(_address(target), **_options(target))
    except InvalidStatus as error:
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        raise from_response(error.response.status_code, bytes(error.response.body or b""), headers) from error
    except (InvalidHandshake, OSError) as error:
        raise Unreachable(
            f"{target.url} is not reachable ({root_words(error)})", sent=False, hint="is it up? check DAIS_URL"
        ) from error
    with connection:
        threading.Thread(target=_outward, args=(connection, source), daemon=True).start()
        try:
            for message in connection:
                left = memoryview(message if isinstance(message, bytes) else message.encode())
                while left:
                    left = left[os.write(sink, left) :]
        except (ConnectionClosed, BrokenPipeError):
            return


def _outward(connection: Any, source: int) -> None:
    from websockets.exceptions import ConnectionClosed

    try:
        while data := os.read(source, CHUNK):
            connection.send(data)
        connection.close()
    except (ConnectionClosed, OSError):
        return


def _address(target: Target) -> str:
    scheme, _, rest = target.url.partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}{PATH}"


def _options(target: Target) -> dict[str, Any]:
    parts = urlsplit(_address(target))
    options: dict[str, Any] = {
        "additional_headers": target.credentials("GET", parts.path),
        "max_size": 1 << 20,
        "compression": None,
        "open_timeout": CONNECT_TIMEOUT * 2,
    }
    if parts.scheme == "wss":
        options["ssl"] = ssl.create_default_context()
    if is_loopback(parts.hostname or ""):
        options["proxy"] = None
    return options
