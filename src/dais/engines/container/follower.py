"""Hearing of ends: the daemon's events, and a look at everything now and then; in between it may be away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from dais.engines.container.daemon import Daemon, Said

_log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""How often everything is listed, in case an event was lost."""
_first_retry, _last_retry = 0.1, 3.0


class Follower:
    """Keeps `connected`. `look` is called when the daemon is (again) there, and now and then; `hear` for each event."""

    def __init__(
        self,
        daemon: Daemon,
        installation: str,
        look: Callable[[], Awaitable[None]],
        hear: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        self._daemon = daemon
        self._label = f"dais.installation={installation}"
        self._look = look
        self._hear = hear
        self._up = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    async def back(self) -> None:
        """Wait until the daemon answers."""
        if self._up.is_set():  # a call has failed that this one does not know of yet
            try:
                await self._daemon.get("_ping")
                return
            except (OSError, Said):
                self._up.clear()
        await self._up.wait()

    async def start(self) -> None:
        """Look at everything once; raises OSError when that cannot be. Then follow."""
        since = time.time()
        await self._look()
        self._up.set()
        self._tasks = [asyncio.create_task(self._follow(since)), asyncio.create_task(self._look_often())]

    async def close(self) -> None:
        self._up.clear()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def containers(self) -> list[dict[str, Any]]:
        """All of this installation, also those that have ended. Raises OSError."""
        try:
            found = await self._daemon.get("containers/json", all=True, filters={"label": [self._label]})
        except Said as error:
            raise OSError(f"the container daemon cannot list its containers: {error}") from error
        return list(found or ())

    async def _follow(self, since: float) -> None:
        while True:
            began = time.time()
            try:
                filters = {"type": ["container"], "label": [self._label], "event": ["die", "died", "oom", "destroy"]}
                events = self._daemon.lines("events", filters=filters, since=f"{since - 1:.0f}")
                async with contextlib.aclosing(events):
                    async for event in events:
                        await self._hear(event)
            except (OSError, Said) as error:
                _log.info("the events of the container daemon ended: %s", error)
            except Exception:
                _log.exception("the events of the container daemon are not understood")
            self._up.clear()
            since = began
            await self._return()

    async def _return(self) -> None:
        retry = _first_retry
        while True:
            try:
                await self._daemon.get("_ping")
                self._up.set()  # first: whoever hears of an end may act at once
                await self._look()
            except (OSError, Said) as error:
                self._up.clear()
                _log.debug("the container daemon is away: %s", error)
                await asyncio.sleep(retry)
                retry = min(retry * 2, _last_retry)
            else:
                return

    async def _look_often(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.connected:
                try:
                    await self._look()
                except (OSError, Said) as error:
                    _log.info("the containers cannot be listed: %s", error)
                except Exception:
                    _log.exception("the containers cannot be looked at")
