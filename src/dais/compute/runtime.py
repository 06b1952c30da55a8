"""Compute at work: the groups of this process, their loops, logs and live containers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dais.compute.activity import Activity
from dais.compute.apps.apps import Apps
from dais.compute.code.desk import CodeDesk
from dais.compute.code.pool import Pool
from dais.compute.groups.commands import register_group
from dais.compute.groups.disk import look_at
from dais.compute.groups.kinds import Kinds
from dais.compute.groups.queries import DEFAULT_GROUP
from dais.compute.images.registries import register_first
from dais.compute.jobs.types import Work
from dais.compute.launch import WORK, Staged, is_contained, job_environment
from dais.compute.logbook import Logbook
from dais.compute.loops.dispatcher import Dispatcher
from dais.compute.loops.group import Group
from dais.compute.loops.housekeeping import leftover_attempts
from dais.compute.loops.staging import give_to_jobs, staged
from dais.compute.meter import Meter
from dais.compute.openings import Openings
from dais.compute.settings import ComputeSettings
from dais.compute.terminals.desk import Terminals
from dais.compute.terminals.settings import TerminalSettings
from dais.data import BlobStore, FolderStore
from dais.engines.contract import (
    ByteStream,
    CommandNotFound,
    Dial,
    Engine,
    Exec,
    ExecStream,
    HostTools,
    LaunchRefused,
    Metered,
    Terminal,
    Usage,
)
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Invalid, Unavailable
from dais.kit.vault import Vault

log = logging.getLogger(__name__)

FORGET_SECONDS = 60.0
"""How often what is remembered of runs is looked through for those that have ended."""


class Compute:
    """Owns the dispatchers. `engines` are by the name of their resource group; `open_group` adds to them."""

    def __init__(
        self,
        db: Database,
        engines: dict[str, Engine],
        blobs: BlobStore,
        folders: FolderStore,
        settings: ComputeSettings,
        data_dir: Path,
        vault: Vault,
        kinds: Kinds | None = None,
        terminals: TerminalSettings | None = None,
    ) -> None:
        self.settings = settings
        self.kinds: Kinds = kinds or {}
        self.logbook = Logbook(db, engines, blobs)
        self.meter = Meter(self.usage, db.clock)
        self.activity = Activity(db.clock)
        self.apps = Apps(self)
        self.terminals = Terminals(self.exec, self.activity, db.clock, terminals or TerminalSettings())
        self.groups: dict[str, Group] = {}
        self._parts = (db, blobs, folders, data_dir, vault)
        self._engines = engines
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.openings = Openings(self, db, self.kinds)
        self._own: list[asyncio.Task[None]] = []
        self.code = CodeDesk(self)
        self.pool = Pool(self, db)
        self._warming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start every engine and its group's loops. Raises OSError or LaunchRefused when an engine cannot work here."""
        db, _, folders, data_dir, _ = self._parts
        for name, engine in self._engines.items():
            await engine.start()
            host = await engine.host_tools()
            await asyncio.to_thread(give_to_jobs, host, folders, data_dir)
            # Before the first request: whoever submits at once must find the group there.
            await db.write(_register, name, engine.name)
            self._serve(self._group(name, engine, host))
        self._own = [
            asyncio.create_task(self.openings.run(), name="resource groups"),
            asyncio.create_task(self._forget_for_ever(), name="what is remembered of runs"),
        ]
        self._warming = asyncio.create_task(self.pool.loop.run(), name="warm sandboxes")
        for task in (*self._own, self._warming):
            task.add_done_callback(_report)

    async def open_group(self, name: str, engine: Engine) -> None:
        """Start the engine of a group that was attached, and the group's loops.

        Raises OSError or LaunchRefused when it cannot work now: then nothing has changed, and it may be tried again.
        """
        try:
            await engine.start()
            host = await engine.host_tools()
            own = self.groups[DEFAULT_GROUP].host
            # What jobs use is shared by all groups, so it belongs to whom the machine's own engine says.
            group = self._group(name, engine, msgspec.structs.replace(host, uid=own.uid, gid=own.gid))
            with contextlib.suppress(OSError):  # its dispatcher asks again
                await group.tell_nodes(look_at(group.data_dir, group.settings))
        except BaseException:
            await engine.close()
            raise
        self._engines[name] = engine
        self._serve(group)

    async def close_group(self, name: str) -> None:
        """Stop the loops of a group and let go of its engine; its containers go on."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.groups.pop(name).close_images()
        await self._engines.pop(name).close()

    def _group(self, name: str, engine: Engine, host: HostTools) -> Group:
        db, blobs, folders, data_dir, vault = self._parts
        return Group(name, engine, db, blobs, folders, self.settings, data_dir, host, vault)

    def _serve(self, group: Group) -> None:
        self.groups[group.name] = group
        task = asyncio.create_task(Dispatcher(group).run(), name=f"dispatcher {group.name}")
        task.add_done_callback(_report)
        self._tasks[group.name] = task

    async def stop(self) -> None:
        """Stop the loops and disconnect. Containers go on; shells that were held end."""
        await self.terminals.close()
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
            await self.pool.put_away()
        await self.code.close()
        for tasks in (self._own, list(self._tasks.values())):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for group in self.groups.values():
            await group.close_images()
        self._tasks.clear()
        for engine in self._engines.values():
            await engine.retire()
            await engine.close()

    async def forget_ended(self) -> None:
        """Drop what is remembered of runs that have ended, whichever server has seen that, and however late it came."""
        db = self._parts[0]
        known = sorted(self.activity.runs() | self.apps.runs())
        for run_id in await db.read(leftover_attempts, known) if known else ():
            self.activity.forget(run_id)
            self.apps.forget(run_id)

    async def _forget_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            try:
                await self.forget_ended()
            except DaisError as error:
                log.warning("runs that have ended could not be forgotten: %s", error)

    def unconnected(self) -> list[str]:
        """The groups whose engine this process cannot reach now, or has not started yet."""
        away = [name for name, group in self.groups.items() if group.away is not None]
        return sorted({*away, *(name for name in self._engines if name not in self.groups)})

    async def exec(
        self, work: Work, argv: Sequence[str], *, env: Mapping[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        """Run a command inside a run's container, with the job's own environment.

        Raises Conflict, Invalid, Unavailable.
        """
        group, handle = self.running(work)
        if not isinstance(group.engine, Exec):
            raise Unavailable(f"the engine of group {group.name} cannot run commands in jobs", code="no-exec")
        ready = await asyncio.to_thread(_ready, group, work)
        variables = job_environment(work, ready, group.host)
        if pty is not None:
            variables["TERM"] = pty.term
        where = workdir or work.spec.workdir or (WORK if is_contained(group.host) else str(ready.work))
        try:
            return await group.engine.exec(handle, argv, env={**variables, **env}, workdir=where, pty=pty)
        except LookupError as error:
            raise Conflict(f"job {work.job_id} is not running any more", code="not-running") from error
        except CommandNotFound as error:
            raise Invalid(str(error), code="command-not-found") from error
        except LaunchRefused as error:
            raise Invalid(str(error), code="exec-refused") from error
        except OSError as error:
            raise Unavailable(f"job {work.job_id} cannot be reached: {error}", code="exec") from error

    async def variables(self, work: Work) -> dict[str, str]:
        """The variables of a running job. Raises Conflict `not-running`."""
        group, _ = self.running(work)
        return job_environment(work, await asyncio.to_thread(_ready, group, work), group.host)

    async def dial(self, work: Work, port: int) -> ByteStream:
        """Connect to a port of a run's container. Raises Conflict `not-running`, `nothing-listens`, Unavailable."""
        group, handle = self.running(work)
        if not isinstance(group.engine, Dial):
            raise Unavailable(f"the engine of group {group.name} cannot connect to ports of jobs", code="no-dial")
        try:
            return await group.engine.dial(handle, port)
        except LookupError as error:
            raise Conflict(f"job {work.job_id} is not running any more", code="not-running") from error
        except ConnectionRefusedError as error:
            raise Conflict(
                f"nothing in job {work.job_id} listens on port {port} of 127.0.0.1 (yet)",
                code="nothing-listens",
                port=port,
            ) from error
        except OSError as error:
            raise Unavailable(f"port {port} of job {work.job_id} cannot be reached: {error}", code="dial") from error

    async def usage(self, work: Work) -> Usage | None:
        """What a running job uses now; None where the engine cannot tell."""
        group, handle = self.running(work)
        if not isinstance(group.engine, Metered):
            return None
        return (await group.engine.usage([handle]))[0]

    def running(self, work: Work) -> tuple[Group, dict[str, object]]:
        """The group and the handle of a run. Raises Conflict `not-running`, Unavailable `group-not-open`."""
        group = self.groups.get(work.group)
        if group is None and work.state == "RUNNING":
            raise Unavailable(
                f"the engine of group {work.group}, where job {work.job_id} runs, is not connected to this server yet; "
                "try again in a moment",
                code="group-not-open",
                retry_after=1,
            )
        handle = work.handle or (group.handles.get(work.run_id) if group else None)
        if group is None or handle is None or work.state != "RUNNING":
            raise Conflict(f"job {work.job_id} is {work.state}, not RUNNING", code="not-running", state=work.state)
        return group, handle


def _register(uow: UnitOfWork, name: str, engine: str) -> None:
    """See to it that an own group is there. A new installation knows one registry, which may be removed for good."""
    if register_group(uow, name, engine, "host") and name == DEFAULT_GROUP:
        register_first(uow)


def _ready(group: Group, work: Work) -> Staged:
    """What was staged for a run. Blocks."""
    return staged(group, work, group.environment_directory(work.environment_id) if work.environment_id else None)


def _report(task: asyncio.Task[None]) -> None:
    """A dispatcher that ends unasked is a defect that must be seen."""
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended: %s", task.get_name(), task.exception(), exc_info=task.exception())
