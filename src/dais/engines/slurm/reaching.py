"""Reaching the supervisor of an attempt, wherever its node is: a bridge that is made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.attempts import Known
from dais.engines.slurm.commands import Failed
from dais.engines.slurm.store import Store
from dais.engines.supervised.remote import Remote, RemoteConnector
from dais.node.allocation import ADDRESS

CERTIFIED_SECONDS = 365 * 86400.0
"""How long, from its submission on, an attempt can be reached: it may wait in the queue for long."""


class Reach:
    """The connectors of attempts. Without a `remote` none can be reached."""

    def __init__(self, remote: Remote | None, slurm: Slurm, store: Store) -> None:
        self._remote = remote
        self._slurm = slurm
        self._store = store
        self._connectors: dict[str, RemoteConnector] = {}

    async def open(self) -> None:
        if self._remote is not None:
            await self._remote.open()

    def invite(self, attempt_id: str) -> bytes | None:
        """What an attempt's launch says about how to be reached; it is secret."""
        if self._remote is None:
            return None
        return self._remote.invite(attempt_id, CERTIFIED_SECONDS, self._store.place(attempt_id) / ADDRESS)

    async def to(self, known: Known) -> RemoteConnector:
        """The way to a running attempt. Raises OSError where there is none."""
        if self._remote is None:
            raise ConnectionError("this server has no certificates for supervisors on other machines")
        name = known.attempt_id
        connector = self._connectors.get(name)
        if connector is None:
            connector = self._connectors[name] = RemoteConnector(self._remote, name, self._store.place(name) / ADDRESS)
        if known.job is not None and await asyncio.to_thread(self._store.ask_bridge, name):
            try:
                await self._slurm.wake(known.job, known.unix)
            except Failed as error:
                raise ConnectionError(f"Slurm does not pass a signal on to job {known.job}: {error}") from error
        return connector

    def forget(self, attempt_ids: Sequence[str]) -> None:
        for attempt_id in attempt_ids:
            connector = self._connectors.pop(attempt_id, None)
            if connector is not None:
                connector.close()

    def close(self) -> None:
        """Let in nobody any more; another server will."""
        self.forget(list(self._connectors))
