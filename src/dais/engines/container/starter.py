"""Bringing containers to life: created and started a few at a time, and again after the daemon was away."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dais.engines.container.attempts import Attempt, Attempts
from dais.engines.container.daemon import Daemon, Said
from dais.engines.container.document import Host, Places, create_document, refuse
from dais.engines.container.options import ContainerOptions
from dais.engines.container.outcome import Facts, facts_of
from dais.engines.contract import Bind, LaunchRefused, LaunchSpec

_log = logging.getLogger(__name__)


NOT_STARTED = ("created", "configured", "initialized", "removing")
"""States of a container that has not run, as Docker and Podman call them; one that is being removed may have."""
SETTLES, BETWEEN = 100, 0.05
"""How often, and after how many seconds, it is looked whether a container that was only created goes or runs."""


class _Failed(Exception):
    """It can never run: (reason, detail)."""


@dataclass
class Starter:
    """Starts attempts. `back` waits until the daemon answers again; `settle` finds out whether one has ended."""

    daemon: Daemon
    attempts: Attempts
    options: ContainerOptions
    host: Host
    kit: str
    back: Callable[[], Awaitable[None]]
    running: Callable[[Attempt, Facts], Awaitable[None]]

    def __post_init__(self) -> None:
        self._room = asyncio.Semaphore(self.options.at_once)

    def name(self, attempt_id: str) -> str:
        """The container's name: made from the attempt's, so that there is never a second one."""
        return f"dais-{self.host.installation}-{attempt_id}"

    async def start(self, attempt: Attempt) -> None:
        """From accepted to running, or to its end."""
        async with self._room:
            try:
                while True:
                    try:
                        await self._start(attempt)
                        return
                    except OSError as error:
                        _log.warning("starting attempt %s waits for the container daemon: %s", attempt.id, error)
                        await self.back()
            except (_Failed, LaunchRefused) as error:
                reason, detail = error.args if isinstance(error, _Failed) else ("launch-failed", str(error))
                await self.attempts.failed(attempt, reason, detail)
            except Said as error:
                await self._give_up(attempt, str(error))
            except Exception as error:
                _log.exception("attempt %s cannot be started", attempt.id)
                await self._give_up(attempt, str(error) or type(error).__name__)

    async def _start(self, attempt: Attempt) -> None:
        spec = attempt.spec
        if attempt.stopping() or spec is None:
            raise _Failed("launch-failed", "")
        found = await self.look(attempt)
        if found is None:
            image = await self._image(spec)
            container = await self._create(attempt, await self._prepare(attempt, spec, image))
            await self.attempts.created(attempt, container)
            if attempt.stopping():
                await self._remove(container)
                raise _Failed("launch-failed", "")
            await self._run(container)
            found = await self.look(attempt)
        if found is None:
            raise _Failed("launch-failed", "the container vanished while it was being started")
        await self.running(attempt, found)

    async def look(self, attempt: Attempt) -> Facts | None:
        """The attempt's container, if it was started; one that was only created is removed.

        Not by force: another server's request to start it may be under way, and that of a third to remove it.
        """
        for _ in range(SETTLES):
            try:
                document = await self.daemon.get(f"containers/{self.name(attempt.id)}/json")
            except Said as error:
                if error.status == 404:
                    return None
                raise
            state = str(document["State"].get("Status", "")).lower()
            begun = await asyncio.to_thread(self.attempts.store.has_begun, attempt.id)
            if begun or state not in NOT_STARTED:
                attempt.kept.container = document["Id"]
                return facts_of(document)
            if await self._removed(document["Id"]):
                return None
            await asyncio.sleep(BETWEEN)
        await self._remove(document["Id"])
        return None

    async def _removed(self, container: str) -> bool:
        """Whether a container that does not run is gone now."""
        try:
            await self.daemon.delete(f"containers/{container}", v=True)
        except Said as error:
            if error.status not in (404, 409, 500):
                raise
            return error.status == 404
        return True

    async def _image(self, spec: LaunchSpec) -> dict[str, Any]:
        refuse(spec, self.options)
        try:
            image: dict[str, Any] = await self.daemon.get(f"images/{spec.image}/json")
        except Said as error:
            if error.status == 404:
                raise _Failed("image-not-found", f"there is no image {spec.image} on this machine") from error
            raise
        return image

    async def _prepare(self, attempt: Attempt, spec: LaunchSpec, image: dict[str, Any]) -> dict[str, Any]:
        """The create document; what it must not say is put in memory."""

        def prepare() -> dict[str, Any]:
            config = image.get("Config") or {}
            workdir = spec.workdir or config.get("WorkingDir") or "/"
            binds = [identity(bind) for bind in spec.binds]
            memory = self.attempts.memory
            control = memory.write(spec, config.get("Env") or [], workdir, attempt.kept.user, binds)
            self.attempts.store.empty_log(attempt.id)
            places = Places(self.kit, str(control), self.attempts.store.log(attempt.id))
            return create_document(spec, image, places, self.options, self.host)

        try:
            return await asyncio.to_thread(prepare)
        except OSError as error:
            raise _Failed("launch-failed", f"the container cannot be prepared: {error}") from error

    async def _create(self, attempt: Attempt, document: dict[str, Any]) -> str:
        """Its id. One that the requests of servers before have made meanwhile, and never start, makes room."""
        for _ in range(SETTLES):
            try:
                answer = await self.daemon.post("containers/create", document, name=self.name(attempt.id))
                return str(answer["Id"])
            except Said as error:
                why = str(error)
                if error.status != 409 or await self.look(attempt) is not None:
                    break
        raise _Failed("launch-failed", f"the container cannot be created: {why}")

    async def _run(self, container: str) -> None:
        try:
            await self.daemon.post(f"containers/{container}/start")
        except Said as error:
            raise Said(error.status, f"the container cannot be started: {error}") from error

    async def _give_up(self, attempt: Attempt, detail: str) -> None:
        try:
            await self._remove(self.name(attempt.id))
        except (Said, OSError) as error:
            _log.warning("the container of attempt %s is left for later: %s", attempt.id, error)
        await self.attempts.failed(attempt, "launch-failed", detail)

    async def _remove(self, container: str) -> None:
        try:
            await self.daemon.delete(f"containers/{container}", v=True, force=True)
        except Said as error:
            if error.status not in (404, 409):
                raise


def identity(bind: Bind) -> tuple[bytes, int, int]:
    """A mount's target, and which directory or file the server means. Raises LaunchRefused, OSError. Blocks."""
    if bind.exact and os.path.realpath(bind.source) != os.path.normpath(bind.source):
        raise LaunchRefused(f"{bind.source} leads through a link")
    seen = Path(bind.source).stat(follow_symlinks=not bind.exact)
    return os.fsencode(bind.target), seen.st_dev, seen.st_ino
