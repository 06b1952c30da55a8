"""Statuses that an engine has to tell until they are acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from dais.engines.contract import Batch, Status

BATCH = 4096
"""Statuses that one batch covers at most."""


class _Letter(NamedTuple):
    status: Status
    number: int


class Mailbox:
    """Keeps statuses in order, hands them out in batches, and again from the first to the next reader.

    A status may carry the `number` (from 1) under which its source keeps it, so that the source can be told how far it
    may forget; 0 is a status without a source. For one event loop, without locks.
    """

    def __init__(self) -> None:
        self._letters: dict[int, _Letter] = {}
        self._by_number: dict[int, int] = {}
        self._index = 0
        self._highest = 0
        self._generation = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def post(self, status: Status, number: int = 0) -> None:
        """Add a status; one that the source repeats while it is still unacknowledged is not told twice."""
        if number:
            self._highest = max(self._highest, number)
            known = self._letters.get(self._by_number.get(number, 0))
            if known is not None and _same_event(known.status, status):
                return
        self._index += 1
        self._letters[self._index] = _Letter(status, number)
        if number:
            self._by_number[number] = self._index
        self._wake()

    def renumber(self) -> None:
        """The source has been replaced: numbers that the old one gave may come again, for other events."""
        self._highest = 0

    def acknowledge(self, batch: Batch) -> int:
        """Drop what the batch covered. Returns the number up to which the source may forget everything."""
        for index in batch.token or ():
            letter = self._letters.pop(index, None)
            if letter is not None and self._by_number.get(letter.number) == index:
                del self._by_number[letter.number]
        return min(self._by_number) - 1 if self._by_number else self._highest

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Everything unacknowledged, then what is posted, until `interrupt`."""
        generation, position = self._generation, 0
        while generation == self._generation:
            indexes = self._after(position)
            if indexes:
                position = indexes[-1]
                newest = {letter.status.attempt_id: letter.status for letter in map(self._letters.__getitem__, indexes)}
                yield Batch(tuple(newest.values()), token=tuple(indexes))
            else:
                await self._posted()

    def interrupt(self) -> None:
        """End every reader; what they did not acknowledge is kept."""
        self._generation += 1
        self._wake()

    def _after(self, position: int) -> list[int]:
        """The indexes of the first letters after `position`."""
        indexes: list[int] = []
        for index in reversed(self._letters):
            if index <= position:
                break
            indexes.append(index)
        return indexes[::-1][:BATCH]

    async def _posted(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _same_event(one: Status, other: Status) -> bool:
    return one.attempt_id == other.attempt_id and one.phase == other.phase
