"""What the databases have in common: verbs that write wait in one queue, verbs that read go to threads of their own."""

from __future__ import annotations

import asyncio
import queue
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dais.kit.clock import Clock
from dais.kit.database.batch import Call, call_async, call_sync
from dais.kit.database.failures import noted
from dais.kit.database.hints import Hints
from dais.kit.database.work import Verb
from dais.kit.errors import DaisError, Unavailable
from dais.kit.meters import DatabaseMeter


class Database(ABC):
    """Runs verbs. The edges hold it; verbs never do. `readers` is the number of reading threads."""

    dialect: str

    def __init__(self, clock: Clock, readers: int) -> None:
        self.clock = clock
        self.hints = Hints()
        self.meter = DatabaseMeter()
        self._memory: dict[str, Any] = {}
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="dais-reader")
        self._closed = False

    async def write(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """Run a verb in the next batch; returns when its transaction is committed, and on disk."""
        call = call_async(verb, args, kwargs)
        self._put(call, self._queue)
        try:
            return await call.future
        except DaisError as error:
            raise noted(error)  # noqa: B904 (it is the same)

    def write_sync(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """The same for callers without an event loop."""
        call = call_sync(verb, args, kwargs)
        self._put(call, self._queue)
        return call.future.result()

    async def read(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """Run a reading verb on one consistent snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, verb, args, kwargs)

    def read_sync(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """The same for callers without an event loop."""
        return self._readers.submit(self._read, verb, args, kwargs).result()

    @abstractmethod
    async def glance(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """Run a reading verb that finds a few rows by their keys: for less than going to a thread takes."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued, then close every connection."""

    @abstractmethod
    def _read(self, verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a reading thread does."""

    def _put(self, call: Call, waiting: queue.SimpleQueue[Call | None]) -> None:
        if self._closed:
            raise Unavailable("the database is closed: the server is stopping", code="stopping")
        waiting.put(call)
