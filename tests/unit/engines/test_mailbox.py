"""The mailbox: nothing is dropped before it is acknowledged, nothing is told twice to one reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from dais.engines.contract import Batch, Phase, Status
from dais.engines.mailbox import BATCH, Mailbox

pytestmark = pytest.mark.anyio


def status(name: str, phase: Phase = Phase.ENDED, **fields: Any) -> Status:
    return Status(attempt_id=name, phase=phase, **fields)


def names(batch: Batch) -> list[str]:
    return [told.attempt_id for told in batch.statuses]


async def take(reader: AsyncGenerator[Batch, None]) -> Batch:
    async with asyncio.timeout(10):
        return await anext(reader)


async def test_a_reader_gets_what_was_posted_before_and_after() -> None:
    box = Mailbox()
    box.post(status("a"), 1)
    reader = box.batches()
    assert names(await take(reader)) == ["a"]
    waiting = asyncio.create_task(take(reader))
    await asyncio.sleep(0)
    box.post(status("b"), 2)
    assert names(await waiting) == ["b"]
    await reader.aclose()


async def test_a_batch_names_an_attempt_once_with_its_newest_state() -> None:
    box = Mailbox()
    box.post(status("a", Phase.RUNNING), 1)
    box.post(status("b", Phase.RUNNING), 2)
    box.post(status("a", exit_code=3), 3)
    reader = box.batches()
    batch = await take(reader)
    await reader.aclose()
    assert {told.attempt_id: (told.phase, told.exit_code) for told in batch.statuses} == {
        "a": (Phase.ENDED, 3),
        "b": (Phase.RUNNING, None),
    }
    assert box.acknowledge(batch) == 3


async def test_the_next_reader_begins_at_the_first_unacknowledged() -> None:
    box = Mailbox()
    for number, name in enumerate("abc", 1):
        box.post(status(name), number)
    first = box.batches()
    batch = await take(first)
    await first.aclose()
    again = box.batches()
    assert names(await take(again)) == ["a", "b", "c"]
    await again.aclose()
    box.acknowledge(batch)
    box.post(status("d"), 4)
    last = box.batches()
    assert names(await take(last)) == ["d"]
    await last.aclose()


async def test_the_source_may_forget_only_what_comes_before_everything_unacknowledged() -> None:
    box = Mailbox()
    reader = box.batches()
    batches = []
    for number in (1, 2, 3):
        box.post(status(f"attempt {number}"), number)
        batches.append(await take(reader))
    await reader.aclose()
    assert box.acknowledge(batches[2]) == 0
    assert box.acknowledge(batches[0]) == 1
    assert box.acknowledge(batches[0]) == 1
    assert box.acknowledge(batches[1]) == 3


async def test_what_the_source_repeats_is_told_once_and_other_events_are_not_mistaken_for_it() -> None:
    box = Mailbox()
    box.post(status("a"), 1)
    box.post(status("a"), 1)
    # A source that began anew gives the number to something else.
    box.renumber()
    box.post(status("b"), 1)
    reader = box.batches()
    batch = await take(reader)
    await reader.aclose()
    assert names(batch) == ["a", "b"]
    assert len(batch.token) == 2
    assert box.acknowledge(batch) == 1


async def test_interrupt_ends_readers_and_keeps_letters() -> None:
    box = Mailbox()
    reader = box.batches()
    waiting = asyncio.create_task(take(reader))
    await asyncio.sleep(0)
    box.interrupt()
    with pytest.raises(StopAsyncIteration):
        await waiting
    box.post(status("a"), 1)
    again = box.batches()
    assert names(await take(again)) == ["a"]
    await again.aclose()


async def test_batches_are_bounded() -> None:
    box = Mailbox()
    for number in range(1, BATCH + 11):
        box.post(status(f"{number}"), number)
    reader = box.batches()
    first, second = await take(reader), await take(reader)
    await reader.aclose()
    assert (len(first.statuses), len(second.statuses)) == (BATCH, 10)
    assert names(first)[0] == "1"
    assert names(second)[-1] == str(BATCH + 10)
