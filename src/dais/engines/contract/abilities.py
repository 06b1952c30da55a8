"""What some engines can do beside: asked for with isinstance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from dais.engines.contract.launch import Terminal
from dais.engines.contract.status import Handle

if TYPE_CHECKING:
    import asyncio


@runtime_checkable
class Backfills(Protocol):
    """Engines that may be given more than fits on a node: each container starts, in order, once its slots are free."""

    @property
    def backfills(self) -> bool:
        """Whether it does so now; what runs the containers may be older than the server."""
        ...


class ExecStream(Protocol):
    """A command running inside a container."""

    async def send(self, data: bytes) -> None:
        """Bytes to its stdin; waits while it does not read."""
        ...

    async def send_eof(self) -> None: ...
    async def resize(self, rows: int, cols: int) -> None: ...
    async def signal(self, name: str) -> None: ...

    async def receive(self) -> tuple[int, bytes] | int:
        """The next (stream, bytes); or, last, the exit code (128 + n for signal n)."""
        ...

    async def close(self) -> None:
        """End it, if it still runs."""
        ...


@runtime_checkable
class Exec(Protocol):
    """Engines that can run a command inside a running container."""

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        """`env` is set over what the container was launched with.

        Raises LookupError when it does not run, CommandNotFound, LaunchRefused when it cannot be started.
        """
        ...


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running container uses now. Of its GPUs together: bytes, and the mean share of time that they worked."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    pids: int | None = None
    gpu_memory: int | None = None
    gpu_utilization: float | None = None


@runtime_checkable
class Connected(Protocol):
    """An engine that may be out of reach for a while, and knows it."""

    @property
    def connected(self) -> bool: ...


@runtime_checkable
class Metered(Protocol):
    """Engines that can tell what running containers use."""

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]: ...


class RootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a root directory: its system's own name, and the path of its Python inside it, where it has them."""

    system: str | None = None
    python: str | None = None


@runtime_checkable
class Rooted(Protocol):
    """Engines whose containers can have a directory of their machines as root file system."""

    async def add_root(self, path: str) -> RootFacts:
        """Let launches name this directory as `root`. Raises LaunchRefused with what is wrong with it, OSError."""
        ...

    async def remove_root(self, path: str) -> None:
        """No launch may name it any more; one that is not known is fine. Raises LaunchRefused, OSError."""
        ...


class ByteStream(Protocol):
    """A TCP connection to a port inside a container."""

    async def send(self, data: bytes) -> None:
        """Waits while the other side does not read. Raises ConnectionError once it is gone."""
        ...

    async def send_eof(self) -> None:
        """Nothing more will be sent; what comes may still be received."""
        ...

    async def receive(self) -> bytes:
        """The next bytes; empty at the end."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Detachable(Protocol):
    """A ByteStream that is a connection of asyncio, and can be had as such: what carries much goes without a reader."""

    def detach(self, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, bytes, bool]:
        """Let `protocol` have what comes: the transport, its reading paused, what has come, and whether that is all.

        The stream is only good for `close` after that, and is kept as long as the connection.
        """
        ...


@runtime_checkable
class Dial(Protocol):
    """Engines that can connect to a port of a running container, whatever network it has; nothing is published."""

    async def dial(self, handle: Handle, port: int) -> ByteStream:
        """Connect to `port` of the container's own loopback address.

        Raises LookupError when it does not run, ConnectionRefusedError when nothing listens there, OSError.
        """
        ...


@runtime_checkable
class Queues(Protocol):
    """Engines with a queue and a placement of their own: a node that Dais has in mind for a job binds them to nothing.

    They are given what fits and `lookahead` jobs more, so that a freed place is taken at once; who comes next is
    otherwise up to Dais.
    """

    @property
    def lookahead(self) -> int: ...
