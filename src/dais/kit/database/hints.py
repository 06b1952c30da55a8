"""Hints: "something changed, look now". Losing one costs a little time, never correctness."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection


class Hints:
    """Wakes waiters in this process; `raise_` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Hint]] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}

    def listen(self, topic: str, callback: Callable[[], None]) -> None:
        """Call `callback`, on whichever thread raises the hint, for as long as this object lives.

        A change of this process is told to it after the commit and before the change is answered, so that it may
        drop what it has remembered. It must be quick and must not raise.
        """
        with self._lock:
            self._listeners.setdefault(topic, []).append(callback)

    def subscribe(self, topic: str) -> Hint:
        """A hint for `topic`, to be used on the running event loop and closed when done."""
        hint = Hint(self, topic, asyncio.get_running_loop())
        with self._lock:
            self._waiting.setdefault(topic, set()).add(hint)
        return hint

    def raise_(self, topics: Collection[str]) -> None:
        """Wake everybody who waits for one of the topics."""
        with self._lock:
            woken = [hint for topic in topics for hint in self._waiting.get(topic, ())]
            called = [callback for topic in topics for callback in self._listeners.get(topic, ())]
        for callback in called:
            callback()
        for hint in woken:
            hint.wake()

    def _drop(self, hint: Hint) -> None:
        with self._lock:
            waiting = self._waiting.get(hint.topic)
            if waiting is not None:
                waiting.discard(hint)
                if not waiting:
                    del self._waiting[hint.topic]


class Hint:
    """One waiter's bell. A ring while nobody waits is kept for the next `wait`."""

    def __init__(self, hints: Hints, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self._hints = hints
        self._loop = loop
        self._event = asyncio.Event()
        self.topic = topic

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 (a bounded wait is what this is)
        """Wait for a ring, at most `timeout` seconds; whether there was one."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True

    def close(self) -> None:
        self._hints._drop(self)

    def __enter__(self) -> Hint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
