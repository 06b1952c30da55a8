"""`client.jobs.port_forward`, on both clients; what it needs is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dais.sdk.flow import Asynchronous, Blocking

if TYPE_CHECKING:
    from dais.sdk.client import AsyncClient
    from dais.sdk.forwarding import AsyncPortForward, PortForward


class PortForwarding(Blocking):
    """For the blocking jobs."""

    def port_forward(
        self,
        ref: str,
        local: int,
        remote: int | None = None,
        *,
        address: str = "127.0.0.1",
        note: Callable[[str], None] | None = None,
    ) -> PortForward:
        """A port of this machine (0: a free one) that leads to a port (by default the same) inside a job.

        Use it as a context manager: it listens from then on, in a thread of its own, until it is closed or the job has
        ended, which `wait` waits for. It stays up while Dais restarts: new connections wait. `address` is where it
        listens; beyond loopback, whoever can reach it can reach the port as you. `note` is told of trouble.

        Entering raises NotFound, Forbidden, Conflict `not-running` when the job has ended, and OSError.
        """
        from dais.sdk.client import Client
        from dais.sdk.forwarding import AsyncPortForward, PortForward

        def make(client: AsyncClient) -> AsyncPortForward:
            return AsyncPortForward(client, ref, local, _same(local, remote), address=address, note=note)

        assert isinstance(self._client, Client)
        return PortForward(self._client, make)


class AsyncPortForwarding(Asynchronous):
    """For the jobs on asyncio."""

    def port_forward(
        self,
        ref: str,
        local: int,
        remote: int | None = None,
        *,
        address: str = "127.0.0.1",
        note: Callable[[str], None] | None = None,
    ) -> AsyncPortForward:
        """As `Jobs.port_forward`, on the running loop; an asynchronous context manager."""
        from dais.sdk.client import AsyncClient
        from dais.sdk.forwarding import AsyncPortForward

        assert isinstance(self._client, AsyncClient)
        return AsyncPortForward(self._client, ref, local, _same(local, remote), address=address, note=note)


def _same(local: int, remote: int | None) -> int:
    chosen = local if remote is None else remote
    if not 0 < chosen < 1 << 16:
        raise ValueError(f"{chosen} is no port inside the job; name one from 1 to 65535")
    return chosen
