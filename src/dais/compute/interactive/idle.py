"""Stopping interactive jobs that nobody uses.

Every server notes what it sees of use (its terminals, commands, connections and kernels, and what jobs take of CPU and
GPU); one of them, by a lease, warns and stops. A server that has just started knows nothing of what was before: a job
has been quiet since then at the earliest. What cannot be measured is never taken for idle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy import bindparam, delete, insert, select, update

from dais.compute.activity import ActivityKind
from dais.compute.interactive.settings import InteractiveSettings
from dais.compute.interactive.tables import idle_watches
from dais.compute.interactive.warned import words_of
from dais.compute.jobs.records import works
from dais.compute.jobs.runs import cancel
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Work
from dais.compute.notify.outbox import tell_idle
from dais.compute.runtime import Compute
from dais.engines.contract import Usage
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Database, Event, Row, Statement, UnitOfWork
from dais.kit.errors import DaisError
from dais.kit.leases import Lease, LeasedLoop
from dais.wire.units import format_duration

log = logging.getLogger(__name__)

_live = Statement(
    select(
        runs.c.id,
        runs.c.job_id,
        runs.c.started_at,
        idle_watches.c.active_at,
        idle_watches.c.warned_at,
        idle_watches.c.ends_at,
    )
    .select_from(
        jobs.join(runs, (runs.c.job_id == jobs.c.id) & (runs.c.idx == jobs.c.run_index)).outerjoin(
            idle_watches, idle_watches.c.run_id == runs.c.id
        )
    )
    .where(
        jobs.c.type == "interactive",
        jobs.c.ended_at.is_(None),
        jobs.c.state == "RUNNING",
        jobs.c.cancel_requested_at.is_(None),
    )
)
_note = Statement(
    insert(idle_watches),
    suffix="ON CONFLICT (run_id) DO UPDATE SET active_at = excluded.active_at, warned_at = NULL, ends_at = NULL "
    "WHERE idle_watches.active_at IS NULL OR idle_watches.active_at < excluded.active_at",
)
_warn = Statement(
    insert(idle_watches),
    suffix="ON CONFLICT (run_id) DO UPDATE SET warned_at = excluded.warned_at, ends_at = excluded.ends_at",
)
_calm = Statement(
    update(idle_watches).where(idle_watches.c.run_id == bindparam("run")).values(warned_at=None, ends_at=None)
)
_forget = Statement(
    delete(idle_watches).where(
        idle_watches.c.run_id.in_(
            select(runs.c.id).where(runs.c.ended_at.is_not(None), runs.c.id == idle_watches.c.run_id)
        )
    )
)


class IdleWatch:
    """Notes use, warns and stops. `began` (µs) is when this process began to look."""

    def __init__(self, db: Database, compute: Compute, settings: InteractiveSettings) -> None:
        self._db = db
        self._compute = compute
        self._settings = settings
        self._cpu: dict[str, tuple[int, float]] = {}
        self._said: dict[str, int] = {}
        self.began = db.clock.now()
        self.loop = LeasedLoop(db, "idle jobs", self._step, interval=settings.interval)

    async def run(self) -> None:
        """Note what is used, as every server does, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.interval)
            try:
                await self.note()
            except DaisError as error:
                log.warning("what is used could not be noted: %s", error)

    async def note(self) -> None:
        """Look once at every interactive job, write down which were used, and tell their terminals of warnings."""
        live: list[tuple[Row, Work]] = await self._db.read(live_interactive)
        used: dict[str, int] = {}
        for row, work in live:
            at = await self._used(work)
            if at is not None and at > (row.active_at or 0):
                used[row.id] = at
            elif row.warned_at is not None and self._said.get(row.id) != row.warned_at:
                self._said[row.id] = row.warned_at
                self._compute.terminals.say(row.id, words_of(row.ends_at))
        ids = {row.id for row, _ in live}
        self._cpu = {run_id: taken for run_id, taken in self._cpu.items() if run_id in ids}
        self._said = {run_id: at for run_id, at in self._said.items() if run_id in ids}
        if used:
            await self._db.write(note_used, used)

    async def _used(self, work: Work) -> int | None:
        """When a run was last used, as far as this process can tell; now, when it cannot be measured."""
        now, settings, activity = self._db.clock.now(), self._settings, self._compute.activity
        still: tuple[ActivityKind, ...] = ("exec", "kernel")
        if any(settings.watches(kind) for kind in still if kind in activity.opened(work.run_id)):
            return now
        seen = [at for kind, at in activity.last(work.run_id).items() if settings.watches(kind)]
        if {"cpu", "gpu"} & set(settings.signs):
            try:
                usage = await self._compute.usage(work)
            except DaisError:
                usage = None  # it has just ended
            except OSError:
                return now  # its machine is out of reach
            if self._works(work, usage, now):
                return now
        return max(seen, default=None)

    def _works(self, work: Work, usage: Usage | None, now: int) -> bool:
        """Whether it takes of CPU or GPU what shows that it works; also where that cannot be known."""
        settings = self._settings
        if "gpu" in settings.signs and work.gpus:
            share = None if usage is None else usage.gpu_utilization
            if share is None or share * 100 >= settings.gpu_percent:
                return True
        if "cpu" not in settings.signs:
            return False
        if usage is None or usage.cpu_seconds is None:
            return True
        before = self._cpu.get(work.run_id)
        self._cpu[work.run_id] = (now, usage.cpu_seconds)
        if before is None or now <= before[0]:
            return False
        cores = (usage.cpu_seconds - before[1]) * SECOND / (now - before[0])
        return cores * 100 >= settings.cpu_percent

    async def _step(self, lease: Lease) -> None:
        await self.look()

    async def look(self) -> None:
        """Warn and stop what has been idle for too long."""
        if await self._db.read(live_interactive):
            await self._db.write(judge, self._settings, self.began)


def live_interactive(uow: UnitOfWork) -> list[tuple[Row, Work]]:
    """The interactive jobs that run, each with what is known of its use."""
    rows = {row.id: row for row in uow.all(_live)}
    return [(rows[work.run_id], work) for work in works(uow, list(rows))]


def note_used(uow: UnitOfWork, used: Mapping[str, int]) -> None:
    """These runs were used at these instants: who was warned is so no more."""
    uow.many(_note, [{"run_id": run, "active_at": at, "warned_at": None, "ends_at": None} for run, at in used.items()])
    for row, work in live_interactive(uow):
        if row.id in used and row.warned_at is not None:
            uow.emit(Event("job.used", "job", work.job_id, work.account_id))


def judge(uow: UnitOfWork, settings: InteractiveSettings, began: int) -> None:
    """Warn and stop interactive jobs that nobody has used since `began`, or later, for too long."""
    uow.run(_forget)
    for row, work in live_interactive(uow):
        limit = settings.idle_timeout if work.spec.idle_timeout is None else work.spec.idle_timeout
        used = max(began, row.started_at or 0, row.active_at or 0)
        warning = min(settings.warning, limit // 2)
        if limit == 0 or uow.now < used + (limit - warning) * SECOND:
            if row.warned_at is not None:
                uow.run(_calm, run=row.id)
                uow.emit(Event("job.used", "job", work.job_id, work.account_id))
        elif row.warned_at is None:
            ends_at = uow.now + warning * SECOND
            uow.run(_warn, run_id=row.id, active_at=row.active_at, warned_at=uow.now, ends_at=ends_at)
            uow.emit(Event("job.idle", "job", work.job_id, work.account_id, {"ends_at": to_rfc3339(ends_at)}))
            tell_idle(uow, work.job_id, row.started_at, words_of(ends_at))
        elif row.ends_at is not None and uow.now >= row.ends_at:
            idle = format_duration(max(limit, (uow.now - used) // SECOND))
            cancel(uow, work.job_id, "idle-timeout", f"nothing had happened in it for {idle}")
