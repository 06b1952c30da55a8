"""How attempts get on: from accepted to running, asked to stop, ended; and found again by the next server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine
from typing import Any

from dais.engines.container.attempts import Attempt, Attempts
from dais.engines.container.daemon import Daemon, Said
from dais.engines.container.document import Host, user_of
from dais.engines.container.execution import end_strays
from dais.engines.container.follower import Follower
from dais.engines.container.memory import STOP
from dais.engines.container.options import ContainerOptions
from dais.engines.container.outcome import Facts, facts_of
from dais.engines.container.starter import Starter
from dais.engines.container.store import Stop
from dais.engines.contract import LaunchRefused, LaunchSpec

_log = logging.getLogger(__name__)

LATE_SECONDS = 5.0
"""How long process 1 may be late with an end that it was asked for, before the daemon is asked to kill it."""
SETTLE_SECONDS = 30.0
ISOLATION = ("container", "capabilities", "no-new-privileges", "memory", "cpu", "pids")


class Lives:
    """Everything that happens to attempts, as tasks of the running event loop."""

    def __init__(
        self,
        daemon: Daemon,
        attempts: Attempts,
        options: ContainerOptions,
        host: Host,
        kit: str,
        missing: tuple[str, ...],
    ) -> None:
        self._daemon = daemon
        self._attempts = attempts
        self._host = host
        self._missing = missing
        self._tasks: set[asyncio.Task[None]] = set()
        self._removals: asyncio.Queue[str] = asyncio.Queue()
        self.follower = Follower(daemon, host.installation, self.look, self._hear)
        self.starter = Starter(daemon, attempts, options, host, kit, self.follower.back, self._is_running)

    async def start(self) -> None:
        """Find what runs. Raises OSError when the daemon cannot be asked."""
        await self._adopt()
        await self.follower.start()
        self._spawn(self._remove_for_ever())

    async def close(self) -> None:
        await self.follower.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for attempt in self._attempts.all():
            if attempt.timer is not None:
                attempt.timer.cancel()

    def runs(self, attempt_id: str) -> bool:
        """Whether the daemon must be asked how it gets on."""
        attempt = self._attempts.get(attempt_id)
        return attempt is not None and not attempt.over and attempt.begun

    async def forget(self, attempt: Attempt) -> None:
        """Drop an attempt that is over; its container is removed soon."""
        await self._attempts.drop(attempt)
        self._removals.put_nowait(attempt.kept.container or self.starter.name(attempt.id))

    # -- from accepted to running ------------------------------------------------------------------

    async def accept(self, spec: LaunchSpec) -> None:
        problem = None
        user = (os.geteuid(), os.getegid())
        try:
            user = user_of(spec, self._host)
        except LaunchRefused as error:
            problem = str(error)
        attempt = await self._attempts.accept(spec, self.starter.kit, user)
        if problem is not None:
            await self._attempts.failed(attempt, "launch-failed", problem)
        else:
            self._spawn(self._begin(attempt))

    async def _begin(self, attempt: Attempt) -> None:
        await self.starter.start(attempt)
        attempt.begun = True

    async def _is_running(self, attempt: Attempt, facts: Facts) -> None:
        """Its container was started; perhaps it has ended since."""
        attempt.begun = True
        self._attempts.running(attempt, facts, ISOLATION, self._missing)
        if not facts.running:
            await self._settle(attempt)
            return
        if attempt.stop is not None:
            await self._tell_stop(attempt, attempt.stop)
        self._arm(attempt)

    # -- stopping ----------------------------------------------------------------------------------

    async def stop(self, attempt: Attempt, stop: Stop) -> None:
        stop = await self._attempts.asked_to_stop(attempt, stop)
        if attempt.kept.container:
            await self._tell_stop(attempt, stop)
            self._arm(attempt)

    async def _tell_stop(self, attempt: Attempt, stop: Stop) -> None:
        """Process 1 does the rest; a container that is just being started reads the file when it begins."""
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(
                self._attempts.memory.put, attempt.id, STOP, str(stop.grace).encode(), attempt.kept.user
            )
        await self._signal(attempt, "SIGTERM")

    async def _signal(self, attempt: Attempt, name: str) -> None:
        try:
            await self._daemon.post(f"containers/{attempt.kept.container}/kill", signal=name)
        except Said as error:
            if error.status not in (404, 409, 500):
                raise OSError(f"the container daemon says: {error}") from error

    def _arm(self, attempt: Attempt) -> None:
        """Ask the daemon to kill it if process 1 does not end it in time."""
        limits, stop, started = attempt.kept.limits, attempt.stop, attempt.status.started_at
        due = []
        if stop is not None:
            due.append(stop.at + stop.grace)
        if limits.time is not None and started is not None:
            due.append(started / 1e6 + limits.time + limits.grace)
        if attempt.timer is not None:
            attempt.timer.cancel()
        if due and not attempt.over:
            delay = max(0.0, min(due) - time.time()) + LATE_SECONDS
            attempt.timer = asyncio.get_running_loop().call_later(delay, lambda: self._spawn(self._kill(attempt)))

    async def _kill(self, attempt: Attempt) -> None:
        if attempt.over:
            return
        if attempt.stop is None:
            await self._attempts.asked_to_stop(attempt, Stop(cause="time-limit", at=time.time()))
        with contextlib.suppress(OSError):  # it is tried again
            await self._signal(attempt, "SIGKILL")
        self._arm(attempt)

    # -- hearing of ends ---------------------------------------------------------------------------

    async def _hear(self, event: dict[str, Any]) -> None:
        attributes = (event.get("Actor") or {}).get("Attributes") or {}
        attempt = self._attempts.get(attributes.get("dais.attempt", ""))
        if attempt is None or attempt.over:
            return
        if event.get("Action") == "oom" or event.get("status") == "oom":
            attempt.out_of_memory = True
        elif attempt.begun:
            self._spawn(self._settle(attempt, died=True))

    async def _settle(self, attempt: Attempt, *, died: bool = False) -> None:
        """Find out whether its container has ended, and how. A daemon may tell of an end before it knows it itself."""
        deadline = time.monotonic() + (SETTLE_SECONDS if died else 0)
        async with attempt.lock:
            while not attempt.over:
                try:
                    document = await self._daemon.get(f"containers/{self.starter.name(attempt.id)}/json")
                    facts = facts_of(document)
                except Said as error:
                    if error.status != 404:
                        raise OSError(f"the container daemon says: {error}") from error
                    facts = None
                except OSError:
                    return  # looked at again when the daemon is back
                if facts is None or not facts.running:
                    await self._attempts.ended(attempt, await self._with_words(attempt, facts))
                    return
                if time.monotonic() >= deadline:
                    self._attempts.running(attempt, facts, ISOLATION, self._missing)
                    return
                await asyncio.sleep(0.05)

    async def _with_words(self, attempt: Attempt, facts: Facts | None) -> Facts | None:
        """What process 1 itself printed, where it has failed."""
        if facts is None or facts.exit_code in (None, 0, 137) or self._attempts.store.report(attempt.id) is not None:
            return facts
        try:
            printed = await self._daemon.text(
                f"containers/{attempt.kept.container}/logs", 4096, stdout="true", stderr="true", tail="3"
            )
        except (Said, OSError):
            return facts
        words = "".join(c for c in printed.decode("utf-8", "replace") if c.isprintable() or c == "\n").strip()
        return Facts(False, facts.exit_code, facts.out_of_memory, facts.error, facts.started_at, facts.ended_at, words)

    async def look(self) -> None:
        """Compare everything that runs with what the daemon has. Raises OSError."""
        listed = {c["Labels"].get("dais.attempt"): c for c in await self.follower.containers()}
        waiting = []
        for attempt in self._attempts.all():
            if attempt.over or not attempt.begun:
                continue
            container = listed.get(attempt.id)
            if container is None or str(container.get("State", "")).lower() not in ("running", "paused"):
                waiting.append(self._settle(attempt))
        await asyncio.gather(*waiting)

    async def _adopt(self) -> None:
        """Go on with what the servers before have started, and remove what nobody knows."""
        listed = {c["Labels"].get("dais.attempt"): c for c in await self.follower.containers()}
        for attempt_id, container in listed.items():
            if self._attempts.get(attempt_id) is None:
                self._removals.put_nowait(container["Id"])
        for attempt in self._attempts.all():
            if not attempt.over:
                await self._adopt_one(attempt, listed.get(attempt.id))
        known = {attempt.id for attempt in self._attempts.all() if not attempt.over}
        for name in await asyncio.to_thread(self._attempts.memory.names):
            if name not in known:
                await asyncio.to_thread(self._attempts.memory.remove, name)

    async def _adopt_one(self, attempt: Attempt, container: dict[str, Any] | None) -> None:
        if container is not None and await self.starter.look(attempt) is not None:
            self._spawn(self._resume(attempt))
        elif container is None and attempt.kept.container:
            await self._settle(attempt)
        else:
            # It has not run, and what it would need for that went with the server: it may be launched again.
            await self._attempts.drop(attempt)

    async def _resume(self, attempt: Attempt) -> None:
        try:
            document = await self._daemon.get(f"containers/{attempt.kept.container}/json")
        except Said:
            await self._settle(attempt)
            return
        facts = facts_of(document)
        await self._is_running(attempt, facts)
        if facts.running and document.get("ExecIDs"):
            await end_strays(self._daemon, attempt.kept)

    async def _remove_for_ever(self) -> None:
        """Containers whose attempts were forgotten, one after the other."""
        while True:
            container = await self._removals.get()
            try:
                await self._remove(container)
            except OSError as error:
                _log.info("container %s is removed later: %s", container, error)
                self._removals.put_nowait(container)
                await self.follower.back()

    async def _remove(self, container: str) -> None:
        try:
            await self._daemon.delete(f"containers/{container}", v=True, force=True)
        except Said as error:
            if error.status not in (404, 409):
                _log.warning("container %s cannot be removed: %s", container, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, OSError):
                _log.info("the container daemon is away: %s", error)
            else:
                _log.error("the container engine failed: %s", error, exc_info=error)
