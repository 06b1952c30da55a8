"""The Docker Engine API at a Unix socket, as Docker and Podman speak it; errors as the contract wants them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiodocker import Docker, DockerError

from dais.engines.container.hijack import Hijacked, hijack

API = "v1.41"
"""Docker 20.10 and Podman 4 speak it, and all later ones."""
CALL_SECONDS = 60.0
"""How long one call may take; a daemon with a slow disk may need long to create a container."""
_CALL = aiohttp.ClientTimeout(total=CALL_SECONDS)
_ENDLESS = aiohttp.ClientTimeout(sock_connect=CALL_SECONDS)


class Said(Exception):
    """The daemon refused: `status` is as in HTTP, `args[0]` its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Client(Docker):
    """aiodocker's client, which leaves the connection of an answer open that is not read to its end: a pull that fails
    in its midst, a build that nobody waits for."""

    @contextlib.asynccontextmanager
    async def _query(self, *args: Any, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        async with super()._query(*args, **options) as response:
            try:
                yield response
            finally:
                response.close()


class Daemon:
    """Calls raise Said for what the daemon refuses, and OSError when it cannot be reached."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The aiodocker client; for the running event loop."""
        if self._client is None:
            connector = aiohttp.UnixConnector(self.socket, limit=64)
            session = aiohttp.ClientSession(connector=connector, timeout=_CALL)
            self._client = Client("unix://localhost", connector, session, _CALL, api_version=API)
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.session.close()

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON that a GET answers."""
        return await self._call("GET", path, params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> Any:
        """The JSON that a POST answers; None without any."""
        return await self._call("POST", path, params, body)

    async def delete(self, path: str, **params: Any) -> None:
        await self._call("DELETE", path, params)

    async def text(self, path: str, limit: int = 1 << 16, **params: Any) -> bytes:
        """The first bytes that a GET answers."""
        with reached(self.socket):
            async with self.client._query(path, params=_params(params)) as response:
                return await response.content.read(limit)

    async def lines(self, path: str, **params: Any) -> AsyncGenerator[dict[str, Any]]:
        """One JSON document after the other, until the daemon ends them."""
        with reached(self.socket):
            async with self.client._query(path, params=_params(params), timeout=_ENDLESS) as response:
                buffer = b""
                async for piece in response.content.iter_any():
                    *whole, buffer = (buffer + piece).split(b"\n")
                    for line in whole:
                        if line.strip():
                            yield msgspec.json.decode(line)

    async def hijack(self, path: str, body: Mapping[str, Any]) -> Hijacked:
        """A connection that becomes a stream of bytes both ways."""
        async with asyncio.timeout(CALL_SECONDS):
            try:
                return await hijack(self.socket, f"/{API}/{path}", msgspec.json.encode(body))
            except DockerError as error:
                raise Said(error.status, error.message) from error

    async def _call(
        self, method: str, path: str, params: Mapping[str, Any], body: Mapping[str, Any] | None = None
    ) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        with reached(self.socket):
            async with self.client._query(path, method, params=_params(params), data=data) as response:
                content = await response.read()
        try:
            return msgspec.json.decode(content) if content.strip() else None
        except msgspec.DecodeError:
            return content


def _params(params: Mapping[str, Any]) -> dict[str, str]:
    """Strings as they are, everything else as JSON."""
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in params.items()
    }


@contextlib.contextmanager
def reached(socket: str) -> Iterator[None]:
    """The client's errors become Said and OSError."""
    try:
        yield
    except DockerError as error:
        if error.status == 900:
            raise ConnectionError(unreachable(socket)) from error
        raise Said(error.status, error.message) from error
    except TimeoutError as error:
        raise TimeoutError(f"the container daemon at {socket} has not answered in time") from error
    except aiohttp.ClientError as error:
        raise ConnectionError(f"the container daemon at {socket} ended the connection: {error}") from error


def unreachable(socket: str) -> str:
    """Why a socket cannot be used, and what to do."""
    if right := missing_right(socket):
        return (
            f"{socket} may not be used by the user of this server ({os.geteuid()}): {os.strerror(errno.EACCES)}; "
            f"let that user in: setfacl -m {right} (docs/engines.md says how to let it stay so)"
        )
    if not Path(socket).exists():
        return f"there is no {socket}: is the container daemon running?"
    return f"nothing answers at {socket}: is the container daemon running?"


def missing_right(socket: str) -> str:
    """What setfacl is to be told, so that a socket can be used; empty where no right is missing.

    It is the socket's, or that of the first directory on the way to it which lets us not through.
    """
    user = f"u:{os.geteuid()}"
    for place in reversed(Path(socket).parents):
        if not _allowed(place, os.X_OK):
            return f"{user}:x {place}" if _allowed(place, os.F_OK) else ""
    if _allowed(socket, os.R_OK | os.W_OK) or not _allowed(socket, os.F_OK):
        return ""
    return f"{user}:rw {socket}"


def _allowed(place: str | Path, mode: int) -> bool:
    return os.access(place, mode, effective_ids=True)
