"""The dispatcher of a resource group: ticks when something happened, and carries out what the tick decided.

It holds nothing that a restart would lose. What it does in the world is idempotent (launches by attempt id, stops,
staging), and what it learns is acknowledged to the engine only after the commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from dais.compute.groups.disk import Disk, look_at
from dais.compute.images.making import end_interrupted
from dais.compute.interactive.home import add_homes, open_homes
from dais.compute.jobs.records import placed_works
from dais.compute.jobs.types import Work
from dais.compute.launch import NOTHING, is_contained, launch_spec
from dais.compute.loops.builder import Builder
from dais.compute.loops.cleaner import Cleaner
from dais.compute.loops.disk_use import DiskUse
from dais.compute.loops.group import Group
from dais.compute.loops.housekeeping import leftover_attempts, leftover_environments, overdue, unshipped
from dais.compute.loops.pace import Pace
from dais.compute.loops.prepare import Preparer
from dais.compute.loops.ship import Shipper
from dais.compute.loops.staging import (
    built_environments,
    clean_up,
    make_tools,
    remove_environments,
    stage,
    staged_runs,
)
from dais.compute.loops.tick import Outcome, needs_preparation, tick
from dais.compute.loops.trees import trees_in_use
from dais.compute.secrets.queries import open_secrets
from dais.compute.secrets.types import Given, Refused
from dais.engines.contract import (
    NEVER_ACCEPTED,
    TOLD_BEFORE,
    Batch,
    Handle,
    LaunchSpec,
    Phase,
    Queues,
    Status,
)
from dais.kit.clock import SECOND
from dais.kit.database import Hint
from dais.kit.errors import DaisError
from dais.kit.leases import LEASE_SECONDS, Lease, holder_name, release, renew, take

log = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
"""How long a tick waits for something to happen before it looks anyway."""
AWAY_SECONDS = 0.5
"""The same while the engine cannot be reached: when it is back, it need not say so."""
RECONCILE_SECONDS = 30.0
"""How often the engine is asked about everything that runs, in case it told and nobody heard."""
STOP_AGAIN_SECONDS = 30.0


class LeaseLost(Exception):
    """Another process has the group now."""


class Dispatcher:
    """Runs one resource group until it is cancelled."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._builder = Builder(group)
        self._preparer = Preparer(group, self._builder)
        self._shipper = Shipper(group)
        self._cleaner = Cleaner(group)
        self._disk_use = DiskUse(group)
        self._inbox: list[Batch] = []
        self._handles: list[tuple[str, Handle]] = []
        self._stopped: dict[str, float] = {}
        self._reconcile_now = asyncio.Event()
        # A reconcile must not see a run as launched whose launch a tick has not sent yet: it would send it itself, and
        # by then the run may have ended and been forgotten. So one of them at a time decides and acts.
        self._acting = asyncio.Lock()
        self._pace = Pace(group.ticks)
        self._failures: dict[str, int] = {}
        self._short: str | None = None
        self._lease_name = f"dispatcher:{group.name}"
        # What an engine with a queue of its own starts is on other machines, which no socket of this one reaches.
        self._near = not isinstance(group.engine, Queues)

    async def run(self) -> None:
        """Work while this process holds the group's lease; wait for it while another process works."""
        while True:
            lease = await self._take_lease()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_lease(lease))
                    tasks.create_task(self._work())
            except* LeaseLost:
                log.warning("group %s goes on in another process", self._group.name)
            finally:
                await self._preparer.close()
                await self._builder.close()
                with contextlib.suppress(DaisError):
                    await self._group.db.write(release, lease)

    async def _take_lease(self) -> Lease:
        while True:
            try:
                lease: Lease | None = await self._group.db.write(take, self._lease_name, holder_name(), LEASE_SECONDS)
            except DaisError as error:
                log.warning("group %s cannot begin: %s", self._group.name, error)
                lease = None
            if lease is not None:
                return lease
            await asyncio.sleep(LEASE_SECONDS / 5)

    async def _keep_lease(self, lease: Lease) -> None:
        """Renew until it is lost: then everything here stops. A database that is away for a moment is no loss."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 5)
            try:
                renewed: Lease | None = await self._group.db.write(renew, lease, LEASE_SECONDS)
            except DaisError as error:
                log.warning("the lease of group %s could not be renewed: %s", self._group.name, error)
                continue
            if renewed is None:
                raise LeaseLost

    async def _work(self) -> None:
        begun = asyncio.Event()

        async def begin() -> None:
            await self._begin()
            begun.set()

        with contextlib.closing(self._group.reports):
            while not begun.is_set():
                await self._once("beginning", begin)
            with self._group.db.hints.subscribe("scheduler") as hint:
                await self._run_loops(hint)

    async def _run_loops(self, hint: Hint) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._for_ever("watch", self._watch))
            tasks.create_task(self._for_ever("tick", partial(self._tick, hint)))
            tasks.create_task(self._for_ever("reconcile", self._reconcile_later))
            for run in (self._shipper.run, self._cleaner.run, self._disk_use.run, self._group.reports.run):
                tasks.create_task(run())

    async def _begin(self) -> None:
        """Find again what runs, and remove what a crash left."""
        group = self._group
        group.reports.begin()
        await asyncio.to_thread(make_tools, group)
        if group.images is not None:
            await group.db.write(end_interrupted, group.name)
        await self._reconcile()
        await self._sweep()

    async def _sweep(self) -> None:
        group = self._group
        ended = {handle["attempt_id"]: handle for handle in await group.engine.ended()}
        await group.engine.forget([ended[one] for one in await group.db.read(leftover_attempts, list(ended))])
        staged_for = await asyncio.to_thread(staged_runs, group)
        left = await group.db.read(leftover_attempts, staged_for)
        await group.reports.finish(left)
        await asyncio.to_thread(clean_up, group, left)
        await asyncio.to_thread(group.trees.sweep)
        built = await asyncio.to_thread(built_environments, group)
        await asyncio.to_thread(remove_environments, group, await group.db.read(leftover_environments, built))

    async def _for_ever(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._once(what, step)

    async def _once(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        """One step; after an error say so, and wait a little, longer each time in a row."""
        failures = self._failures.get(what, 0)
        try:
            await step()
            self._failures[what] = 0
            return
        except (DaisError, OSError) as error:
            failures += 1
            if isinstance(error, OSError):
                self._group.problem = f"its engine cannot be used now: {error}"
                if what != "reconcile":
                    self.ask_engine()  # which says when it can be used again
            log.warning("%s of group %s failed, %d times in a row: %s", what, self._group.name, failures, error)
        except Exception:
            failures += 1
            log.exception("%s of group %s failed, %d times in a row", what, self._group.name, failures)
        self._failures[what] = failures
        await asyncio.sleep(min(30.0, 0.1 * 2 ** min(failures, 9)) * random.uniform(0.5, 1.0))

    def ask_engine(self) -> None:
        """Reconcile soon, instead of when it is time."""
        self._reconcile_now.set()

    # -- hearing from the engine ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        async for batch in self._group.engine.watch():
            news = tuple(status for status in batch.statuses if status.detail != NEVER_ACCEPTED)
            if len(news) < len(batch.statuses):
                self.ask_engine()  # it has not run: it is launched again, and is not lost
            self._inbox.append(Batch(news, batch.token))
            self._group.problem = None
            self._group.db.hints.raise_(["scheduler"])
        await asyncio.sleep(IDLE_SECONDS)  # this engine only answers when asked

    async def _reconcile_later(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECONCILE_SECONDS):
                await self._reconcile_now.wait()
        self._reconcile_now.clear()
        try:
            async with self._acting:
                await self._reconcile()
        except BaseException:
            self.ask_engine()
            raise

    async def _reconcile(self) -> None:
        """Ask the engine about every placed run, launch again what never reached it, and finish what is overdue."""
        group = self._group
        await self._tell_nodes(look_at(group.data_dir, group.settings))
        group.problem = None  # it has answered
        works: list[Work] = await group.db.read(placed_works, group.name)
        for work in works:
            if work.handle is not None:
                group.handles.setdefault(work.run_id, work.handle)
            if work.launched_at is None and needs_preparation(work):
                self._preparer.start(work)
        launched = [work for work in works if work.launched_at is not None]
        known = [work for work in launched if work.run_id in group.handles]
        lost = [work for work in launched if work.run_id not in group.handles]
        await group.reports.keep([work.run_id for work in works], [work.run_id for work in launched], listen=self._near)
        statuses = await group.engine.poll([group.handles[work.run_id] for work in known]) if known else []
        news: list[Status] = []
        for work, status in zip(known, statuses, strict=True):
            if status.phase == Phase.LOST and status.reason is None:
                if status.detail == NEVER_ACCEPTED and work.state != "RUNNING":
                    lost.append(work)
                    continue
            elif status.detail == TOLD_BEFORE:
                # Acknowledged, so some database knows how it ended, but not this one (a restored backup).
                status = msgspec.structs.replace(status, phase=Phase.LOST, reason="node-lost")
            news.append(status)
        if news:
            self._inbox.append(Batch(tuple(news)))
        await self._launch(lost)
        for run_id in await group.db.read(unshipped, group.name):
            self._shipper.add(run_id)
        await group.db.write(overdue, group.name, group.settings, tuple(self._shipper.sealing))
        await self._remove_trees()
        group.db.hints.raise_(["scheduler"])

    async def _remove_trees(self) -> None:
        """Remove trees of file sets that no job has needed for a while."""
        trees = self._group.trees
        idle = await asyncio.to_thread(trees.idle)
        if idle:
            needed = await self._group.db.read(trees_in_use, idle)
            await asyncio.to_thread(trees.remove, [one for one in idle if one not in needed])

    # -- deciding ------------------------------------------------------------------------------------------

    async def _tick(self, hint: Hint) -> None:
        async with self._acting:
            with self._pace.measured():
                await self._decide()
        await self._pace.wait()
        await hint.wait(IDLE_SECONDS if self._group.away is None else AWAY_SECONDS)

    async def _tell_nodes(self, disk: Disk | None) -> None:
        """Write what machines there are, and what is free on the disk that jobs are staged on."""
        group = self._group
        await group.tell_nodes(disk)
        short, before = disk.short if disk else None, self._short
        if (short is None) != (before is None):
            log.warning("group %s starts %s", group.name, "jobs again" if short is None else f"no jobs: disk: {short}")
        self._short = short

    async def _watch_disk(self) -> None:
        """Stop placing jobs at once when the disk runs short, and go on at once when there is room."""
        disk = look_at(self._group.data_dir, self._group.settings)
        if disk is not None and (disk.short is None) != (self._short is None):
            await self._tell_nodes(disk)

    async def _decide(self) -> None:
        group = self._group
        await self._watch_disk()
        batches, self._inbox = self._inbox, []
        handles, self._handles = self._handles, []
        statuses = [status for batch in batches for status in batch.statuses]
        try:
            backfills = group.backfills
            outcome: Outcome = await group.db.write(
                tick, group.name, statuses, handles, backfills=backfills, lookahead=group.lookahead, away=group.away
            )
        except BaseException:
            self._inbox, self._handles = batches + self._inbox, handles + self._handles
            raise
        self._pace.note(statuses, outcome, backfills=backfills)
        try:
            for batch in batches:
                if batch.token is not None:
                    await group.engine.acknowledge(batch)
            await self._act(outcome)
        except Exception:  # what was decided and not done is found by asking
            self.ask_engine()
            raise

    async def _act(self, outcome: Outcome) -> None:
        for status in outcome.strangers:
            self._builder.tell(status)
        for run_id in outcome.overrun:
            await self._group.engine.stop({"attempt_id": run_id}, grace=0.0, reason="node-lost")
        for work in outcome.preparations:
            self._preparer.start(work)
        for run_id in outcome.ships:
            self._shipper.add(run_id)
        await self._stop(outcome.stops)
        await self._launch(outcome.launches)
        if outcome.empty:  # last: the slots that they held should not wait for it
            await self._forget(outcome.empty)

    # -- acting --------------------------------------------------------------------------------------------

    async def _launch(self, works: Sequence[Work]) -> None:
        if not works:
            return
        group = self._group
        specs: list[LaunchSpec] = []
        secrets: dict[str, Given | Refused] = {}
        if any(work.spec.secrets for work in works):
            secrets = await group.db.read(open_secrets, group.vault, works)
        if any(work.spec.type == "interactive" for work in works):
            add_homes(secrets, await group.db.read(open_homes, group.vault, works, contained=is_contained(group.host)))
        for spec in await asyncio.to_thread(self._specify_all, works, secrets):
            if isinstance(spec, LaunchSpec):
                specs.append(spec)
            else:
                self._inbox.append(Batch((spec,)))
                group.db.hints.raise_(["scheduler"])
        if not specs:
            return
        handles = await group.engine.launch(specs)
        for spec, handle in zip(specs, handles, strict=True):
            group.handles[spec.attempt_id] = handle
            self._handles.append((spec.attempt_id, handle))

    def _specify_all(self, works: Sequence[Work], secrets: Mapping[str, Given | Refused]) -> list[LaunchSpec | Status]:
        """What to launch, in order. Blocking; for all in one thread, since going there costs more than one takes."""
        self._group.reports.place([work.run_id for work in works], listen=self._near)
        return [self._specify(work, secrets.get(work.run_id, NOTHING)) for work in works]

    def _specify(self, work: Work, secrets: Given | Refused) -> LaunchSpec | Status:
        """What to launch; a run that cannot be staged any more has ended before it began. Blocking."""
        group = self._group
        if isinstance(secrets, Refused):
            return self._stillborn(work, secrets.reason, secrets.detail)
        environment = group.environment_directory(work.environment_id) if work.environment_id else None
        try:
            ready = stage(group, work, environment)
        except (DaisError, OSError) as error:
            return self._stillborn(work, "launch-failed", f"the run could not be staged: {error}")
        return launch_spec(work, ready, group.host, group.settings, secrets)

    def _stillborn(self, work: Work, reason: str, detail: str) -> Status:
        """The end of a run that was not launched."""
        now = self._group.db.clock.now()
        return Status(attempt_id=work.run_id, phase=Phase.ENDED, reason=reason, detail=detail, ended_at=now)

    async def _stop(self, works: Sequence[Work]) -> None:
        group, wanted = self._group, {work.run_id for work in works}
        now = group.db.clock.now() / SECOND
        self._stopped = {run: at for run, at in self._stopped.items() if run in wanted}
        for work in works:
            handle = group.handles.get(work.run_id)
            if handle is None or now - self._stopped.get(work.run_id, 0.0) < STOP_AGAIN_SECONDS:
                continue
            self._stopped[work.run_id] = now
            grace, reason = group.settings.stop_grace, work.cancel_reason or "user-request"
            await group.engine.stop(handle, grace=grace, reason=reason)

    async def _forget(self, run_ids: Sequence[str]) -> None:
        group = self._group
        handles = [group.handles.pop(run) for run in run_ids if run in group.handles]
        await group.engine.forget(handles)
        self._cleaner.add(run_ids)
