"""Ports of apps' own, where there is no wildcard DNS: one for each app that was opened, the same until its job ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import bindparam, delete, insert, select

from dais.compute import Place, placed_job
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import NotFound, Unavailable
from dais.proxy.tables import app_ports

_all = Statement(select(app_ports).order_by(app_ports.c.opened_at))
_insert = Statement(insert(app_ports))
_delete = Statement(delete(app_ports).where(app_ports.c.port == bindparam("number")))


class Ports:
    """The listeners. `arrived` serves a connection; `span` are the first and the last port."""

    def __init__(
        self, db: Database, span: tuple[int, int], arrived: Callable[[asyncio.Transport, Place], None]
    ) -> None:
        self._db = db
        self._span = span
        self._arrived = arrived
        self._servers: dict[int, tuple[Place, asyncio.Server]] = {}
        self.host = "127.0.0.1"

    async def start(self) -> None:
        """Listen where apps have been opened before."""
        for port, place in await self._db.read(_known):
            if self._span[0] <= port <= self._span[1]:
                await self._listen(port, place)

    async def stop(self) -> None:
        for _, server in self._servers.values():
            server.close()

    def knows(self, place: Place) -> bool:
        """Whether an app has a port already."""
        return any(known == place for known, _ in self._servers.values())

    async def open(self, place: Place) -> int:
        """The port of an app. Raises Unavailable `no-free-port`, `port-in-use`."""
        port: int = await self._db.write(_allot, place, self._span)
        await self._listen(port, place)
        return port

    async def _listen(self, port: int, place: Place) -> None:
        known = self._servers.get(port)
        if known is not None and known[0] == place:
            return
        if known is not None:
            known[1].close()
            del self._servers[port]
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(lambda: _Arrival(self._arrived, place), self.host, port)
        except OSError as error:
            raise Unavailable(
                f"port {port}, which an app is to have, cannot be listened on: {error}; choose other DAIS_PROXY_PORTS",
                code="port-in-use",
                port=port,
            ) from error
        self._servers[port] = (place, server)


class _Arrival(asyncio.Protocol):
    """A connection that has just come."""

    def __init__(self, arrived: Callable[[asyncio.Transport, Place], None], place: Place) -> None:
        self._arrived = arrived
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._arrived(transport, self._place)  # type: ignore[arg-type]


def _known(uow: UnitOfWork) -> list[tuple[int, Place]]:
    return [(row.port, Place(job_id=row.job_id, target=row.target)) for row in uow.all(_all)]


def _allot(uow: UnitOfWork, place: Place, span: tuple[int, int]) -> int:
    taken: dict[int, Place] = {}
    for port, known in _known(uow):
        if known == place and span[0] <= port <= span[1]:
            return port
        taken[port] = known
    free = next((port for port in range(span[0], span[1] + 1) if port not in taken), None)
    if free is None:
        free = next((port for port in taken if span[0] <= port <= span[1] and _ended(uow, taken[port])), None)
    if free is None:
        raise Unavailable(
            f"all ports from {span[0]} to {span[1]} belong to apps of jobs that run; give more with DAIS_PROXY_PORTS",
            code="no-free-port",
        )
    for port, known in taken.items():
        if port == free or known == place:
            uow.run(_delete, number=port)
    uow.run(_insert, port=free, job_id=place.job_id, target=place.target, opened_at=uow.now)
    return free


def _ended(uow: UnitOfWork, place: Place) -> bool:
    try:
        return placed_job(uow, place)[0].ended_at is not None
    except NotFound:
        return True
