"""Verbs that are run together in one transaction: one sync of the disk, and one statement for what they all put off.

Both databases work so. The verbs of a batch run one after the other without savepoints (on SQLite each costs 15 % of a
submit, for it copies every page that is written after it). A verb that fails before it has written anything fails
alone; when one fails later, the transaction is given up and each verb has a transaction, or a savepoint, of its own.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from dais.kit.database.work import UnitOfWork, Verb, write_out

log = logging.getLogger(__name__)

MAX_BATCH = 256


@dataclass(slots=True)
class Call:
    """A verb that waits for a transaction, and what came of it. `loop` is its caller's, if that has one."""

    verb: Verb
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Any
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None
    hints: set[str] = field(default_factory=set)
    tallies: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, work: UnitOfWork) -> None:
        """Run the verb in a unit of work, whose writes are not all written yet."""
        self.error = None
        self.result = self.verb(work, *self.args, **self.kwargs)
        self.hints = work.hints
        self.tallies = work.tallies

    def tell(self) -> None:
        """Answer the caller, on its own event loop."""
        if self.loop is not None and self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def call_async(verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call of somebody on the running event loop."""
    loop = asyncio.get_running_loop()
    return Call(verb, args, kwargs, loop.create_future(), loop)


def call_sync(verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call of a thread that waits."""
    return Call(verb, args, kwargs, Future())


class Turn:
    """Of several writers one at a time runs verbs; the next begins when it commits, and finds more that wait.

    So what waits is committed together, while nobody waits for another's disk. Nor for long verbs: after `patience`
    seconds a writer begins anyway.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._mine = threading.local()

    def take(self) -> None:
        """Wait for this thread's turn."""
        self._mine.held = self._lock.acquire(timeout=self._patience)

    def give(self) -> None:
        """Let the next one begin; nothing where it is not this thread's turn."""
        if getattr(self._mine, "held", False):
            self._mine.held = False
            self._lock.release()


def next_batch(
    waiting: queue.SimpleQueue[Call | None], most: int = MAX_BATCH, turn: Turn | None = None
) -> tuple[list[Call], bool]:
    """Wait for a call, then for the turn, and take what waits by then, at most so many; whether None came: then there
    will be no more."""
    batch: list[Call] = []
    call = waiting.get()
    if turn is not None and call is not None:
        turn.take()
    while call is not None:
        batch.append(call)
        if len(batch) == most:
            return batch, False
        try:
            call = waiting.get_nowait()
        except queue.Empty:
            return batch, False
    return batch, True


def run_together(batch: Sequence[Call], unit: Callable[[set[str]], UnitOfWork]) -> BaseException | None:
    """Run verbs in the open transaction, and write what they put off.

    `unit` makes a unit of work, given the topics of what those before it changed. Where something failed after
    something was written, that error is returned: the transaction must be given up, and each verb run alone.
    """
    stale: set[str] = set()
    units = []
    for call in batch:
        work = unit(stale)
        try:
            call.run(work)
        except BaseException as error:
            if work.touched:
                return error
            call.error = error
        else:
            stale |= call.hints
            units.append(work)
    try:
        write_out(units)
    except BaseException as error:
        return error
    return None


def deliver(batch: Sequence[Call]) -> None:
    """Answer everybody: one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Call]] = {}
    for call in batch:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, calls in by_loop.items():
        if loop is None:
            _tell_all(calls)
        else:
            try:
                loop.call_soon_threadsafe(_tell_all, calls)
            except RuntimeError:  # the loop was closed while its verbs ran: they are committed, nobody listens
                log.warning("%d verbs were committed after their caller had gone", len(calls))


def _tell_all(calls: Sequence[Call]) -> None:
    for call in calls:
        call.tell()
