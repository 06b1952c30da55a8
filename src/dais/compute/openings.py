"""Keeps the groups of the table open in this process: opened when they are attached and at each start, closed when they
are detached, tried again, later each time, while their engine is away; and writes down why it is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from dais.compute.groups.attached import store_problem
from dais.compute.groups.kinds import Kinds, find_kind, read_options
from dais.compute.groups.queries import DEFAULT_GROUP, group_row, group_rows
from dais.compute.groups.topics import GROUPS
from dais.engines.contract import Engine, LaunchRefused
from dais.kit.database import Database, Row
from dais.kit.errors import DaisError, NotFound
from dais.kit.leases import holder_name

if TYPE_CHECKING:
    from dais.compute.runtime import Compute

log = logging.getLogger(__name__)

POLL_SECONDS = 3.0
"""How often the table is looked at without a hint: another server may have attached a group, or lost an engine."""
OPEN_SECONDS = 60.0
"""The longest that an engine may take to start; then it is away, and tried again."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries; each pause is twice as long as the one before."""


@dataclass
class _Opening:
    """One group, as this process has it. `told` are the options that it was opened with; None: it is not open."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    told: str | None = None
    failures: int = 0
    next_try: float = 0.0
    task: asyncio.Task[None] | None = None


class Openings:
    """The loop, and what attaching and detaching do at once."""

    def __init__(self, compute: Compute, db: Database, kinds: Kinds, now: Callable[[], float] = time.monotonic) -> None:
        self._compute = compute
        self._db = db
        self._kinds = kinds
        self._now = now
        self._groups: dict[str, _Opening] = {}
        self._holder = holder_name()

    async def run(self) -> None:
        """Look after the groups until cancelled."""
        try:
            with self._db.hints.subscribe(GROUPS) as hint:
                while True:
                    try:
                        await self._turn()
                    except DaisError as error:
                        log.warning("resource groups could not be looked at: %s", error)
                    except Exception:
                        log.exception("resource groups could not be looked at")
                    await hint.wait(POLL_SECONDS)
        finally:
            tasks = [one.task for one in self._groups.values() if one.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def open(self, name: str) -> None:
        """Open a group now. Raises NotFound, and what keeps its engine from working: DaisError, OSError, LaunchRefused.

        A group that is open already is left alone.
        """
        opening = self._groups.setdefault(name, _Opening())
        async with opening.lock:
            if opening.told is not None:
                return
            row = await self._db.read(group_row, name)
            if row is None:
                raise NotFound(f"there is no resource group {name!r}", code="no-such-group", group=name)
            await self._open(row, opening)

    async def close(self, name: str) -> None:
        """Close a group, if it is open here; its containers go on."""
        async with self.closed(name):
            pass

    @asynccontextmanager
    async def closed(self, name: str) -> AsyncIterator[None]:
        """Keep a group closed in this process meanwhile; if it is still there afterwards, it is opened again."""
        opening = self._groups.setdefault(name, _Opening())
        async with opening.lock:
            if opening.told is not None:
                opening.told = None
                await self._compute.close_group(name)
            yield

    # -- the loop --------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        rows = {row.name: row for row in await self._db.read(group_rows)}
        for name in [name for name in self._groups if name not in rows]:
            if not self._groups[name].lock.locked():
                await self.close(name)
                del self._groups[name]
        for name, row in rows.items():
            if name == DEFAULT_GROUP:
                await self._tell(row)
                continue
            opening = self._groups.setdefault(name, _Opening())
            if opening.lock.locked():
                continue
            if opening.told is not None and opening.told != row.options:
                await self.close(name)
                opening.failures, opening.next_try = 0, 0.0
            if opening.told is not None:
                await self._tell(row)
            elif (opening.task is None or opening.task.done()) and self._now() >= opening.next_try:
                opening.task = asyncio.create_task(self._try(name, opening), name=f"opening {name}")

    async def _tell(self, row: Row) -> None:
        """Write what has changed about an engine that is open."""
        group = self._compute.groups.get(row.name)
        if group is not None and group.away != row.problem:
            await self._write_problem(row.name, group.away)

    async def _try(self, name: str, opening: _Opening) -> None:
        try:
            await self.open(name)
        except NotFound:
            return  # detached meanwhile
        except (DaisError, OSError, LaunchRefused) as error:
            await self._failed(name, opening, str(error) or type(error).__name__)
        except Exception as error:
            log.exception("group %s could not be opened", name)
            await self._failed(name, opening, f"{type(error).__name__}: {error}")

    async def _failed(self, name: str, opening: _Opening, why: str) -> None:
        opening.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(opening.failures - 1, 10)) * random.uniform(0.75, 1.0)
        opening.next_try = self._now() + pause
        log.warning("group %s could not be opened, %d times in a row: %s", name, opening.failures, why)
        row = await self._db.read(group_row, name)
        if row is not None and row.problem != why:
            await self._write_problem(name, why)

    async def _open(self, row: Row, opening: _Opening) -> None:
        engine = self._make(row)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._compute.open_group(row.name, engine)
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"its engine has not started within {OPEN_SECONDS:g} s") from error
        opening.told, opening.failures = row.options, 0
        log.info("group %s is open (%s)", row.name, row.engine)
        await self._write_problem(row.name, None)

    def _make(self, row: Row) -> Engine:
        kind = find_kind(self._kinds, row.engine)
        return kind.make(read_options(row.engine, kind, msgspec.json.decode(row.options)), row.name)

    async def _write_problem(self, name: str, problem: str | None) -> None:
        if problem is not None:
            log.warning("group %s starts nothing now: %s", name, problem)
        await self._db.write(store_problem, name, problem, self._holder)
