"""Building environments through the group's engine: once per content, whoever asks first."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
from pathlib import Path

from dais.compute.environments.build import NO_PYTHON, Base, build_spec, image_tools
from dais.compute.environments.commands import (
    Claim,
    build_again,
    claim_environment,
    finish_environment,
    read_claim,
    store_build_handle,
)
from dais.compute.environments.requirements import Requirements
from dais.compute.jobs.runs import store_environment
from dais.compute.jobs.types import Work
from dais.compute.logs import read_tail, ship
from dais.compute.loops.group import Group
from dais.compute.loops.staging import tree_size
from dais.engines.contract import TOLD_BEFORE, HostTools, Phase, Status
from dais.kit.errors import Unavailable

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""How often a build is looked at without being told."""


class BuildFailed(Exception):
    """The builder could not make the environment; the message holds its own words. `no_python`: there is none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.no_python = NO_PYTHON in message


class Builder:
    """Ensures environments. Several runs that want the same one share one build."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.Future[Status]] = {}

    def tell(self, status: Status) -> None:
        """A status of an attempt that is no run: perhaps one of our builds has ended."""
        waiting = self._ended.get(status.attempt_id)
        if waiting is not None and not waiting.done() and status.phase in (Phase.ENDED, Phase.LOST):
            waiting.set_result(status)

    async def close(self) -> None:
        """Stop waiting; builds go on, and are found again by their attempt ids."""
        tasks = list(self._builds.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure(self, work: Work, requirements: Requirements) -> Path:
        """The directory of the environment, once it is built. Raises BuildFailed."""
        group = self._group
        host, base = group.host, Base(root=work.root)
        if work.pin is not None:
            base = Base(image=work.image, path=work.pin.path)
            host = image_tools(host, work.pin.reference, work.pin.python or "python3")
        elif work.root is not None and work.python is not None:
            host = image_tools(host, work.image, work.python)
        context = tuple(one for one in (base.root, base.image) if one is not None)
        key = requirements.digest(host.interpreter, host.version, platform.machine(), host.isolation, *context)
        claim: Claim = await group.db.write(
            claim_environment,
            work.organization_id,
            key,
            kind="venv",
            requirements="".join(requirements.files.values()),
            interpreter=f"{host.interpreter} ({host.version})",
            run_id=work.run_id,
        )
        await group.db.write(store_environment, work.run_id, claim.id)
        with group.db.hints.subscribe("environments") as hint:
            while claim.state == "BUILDING":
                self._go_on(claim, requirements, host, base)
                await hint.wait(POLL_SECONDS)
                now: Claim | None = await group.db.read(read_claim, claim.id)
                if now is None:
                    raise BuildFailed("the environment was removed while it was being built")
                claim = now
        if claim.state == "FAILED":
            raise BuildFailed(claim.detail or "the builder said nothing")
        return group.environment_directory(claim.id)

    def _go_on(self, claim: Claim, requirements: Requirements, host: HostTools, base: Base) -> None:
        """See to it that somebody builds; a build that was interrupted is taken up again."""
        if claim.id not in self._builds:
            task = asyncio.create_task(self._build(claim, requirements, host, base), name=f"build {claim.id}")
            self._builds[claim.id] = task
            task.add_done_callback(lambda _: self._builds.pop(claim.id, None))

    async def _build(self, claim: Claim, requirements: Requirements, host: HostTools, base: Base) -> None:
        group = self._group
        directory = group.environment_directory(claim.id)
        source = group.data_dir / "envs" / f".{claim.id}.requirements"
        ended: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._ended[claim.attempt_id] = ended
        try:
            await asyncio.to_thread(_lay_out, directory, source, requirements, group.host.uid, group.host.gid)
            spec = build_spec(claim.attempt_id, directory, source, requirements.main, host, group.settings, base)
            (handle,) = await group.engine.launch([spec])
            group.handles[claim.attempt_id] = handle
            await group.db.write(store_build_handle, claim.id, handle)
            status = await self._wait(claim, ended)
            if status.phase == Phase.LOST or status.detail == TOLD_BEFORE:
                log.warning("the build of environment %s was lost, it begins again: %s", claim.id, status.detail)
                await group.engine.forget([handle])
                await group.db.write(build_again, claim.id, claim.attempt_id)
            else:
                await self._finish(claim, status, directory)
        except (ConnectionError, Unavailable) as error:
            log.warning("building environment %s was interrupted, it is taken up again: %s", claim.id, error)
            return
        except Exception as error:
            log.exception("building environment %s failed", claim.id)
            detail = f"the environment could not be built: {error}"
            await group.db.write(
                finish_environment, claim.id, claim.attempt_id, ok=False, detail=detail, size=None, segments=[]
            )
        finally:
            del self._ended[claim.attempt_id]
        await asyncio.to_thread(shutil.rmtree, source, ignore_errors=True)

    async def _wait(self, claim: Claim, ended: asyncio.Future[Status]) -> Status:
        handle = self._group.handles[claim.attempt_id]
        while True:  # looked at first: the end may have been told before anybody waited for it
            (status,) = await self._group.engine.poll([handle])
            if status.phase in (Phase.ENDED, Phase.LOST):
                return status
            done, _ = await asyncio.wait([ended], timeout=POLL_SECONDS)
            if done:
                return ended.result()

    async def _finish(self, claim: Claim, status: Status, directory: Path) -> None:
        group = self._group
        handle = group.handles[claim.attempt_id]
        ok = status.phase == Phase.ENDED and status.reason == "exit-code" and status.exit_code == 0
        detail = None
        if not ok:
            words = await read_tail(group.engine, handle, lines=20)
            how = status.detail or (f"exit code {status.exit_code}" if status.exit_code is not None else status.reason)
            detail = f"building the environment failed ({how}):\n{words}".strip()
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        size = await asyncio.to_thread(tree_size, directory) if ok else None
        segments = await ship(group.engine, handle, group.blobs)
        await group.db.write(
            finish_environment, claim.id, claim.attempt_id, ok=ok, detail=detail, size=size, segments=segments
        )
        await group.engine.forget([handle])
        group.handles.pop(claim.attempt_id, None)


def _lay_out(directory: Path, source: Path, requirements: Requirements, uid: int | None, gid: int | None) -> None:
    """The directory to build into, owned by the builder's uid, and the requirement files, readable by it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    if uid is not None:
        os.chown(directory, uid, -1 if gid is None else gid)
    if source.exists():
        return  # a build that goes on since before a restart reads them
    fresh = source.with_name(f"{source.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    for path, text in requirements.files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    fresh.rename(source)
