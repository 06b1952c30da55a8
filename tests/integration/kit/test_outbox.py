"""Events are numbered once, in an order that never changes, and whoever resumes misses none."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dais.kit import outbox
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Event, UnitOfWork
from dais.kit.errors import Conflict
from dais.kit.leases import holder_name, take
from dais.kit.outbox import KEPT_SECONDS, after, bounds, can_resume, number_events, purge_events

PATIENCE = 30.0


def emit(uow: UnitOfWork, *names: str, account: str | None = "a1") -> None:
    for name in names:
        uow.emit(Event("thing.new", "thing", name, account, {"name": name}))


def names(database: Database, seq: int = 0, **filters: object) -> list[str]:
    return [event.subject_id for event in database.read_sync(after, seq, **filters)]


def test_readers_see_numbered_events_only(database: Database) -> None:
    database.write_sync(emit, "x", "y")
    if database.dialect == "sqlite":  # one writer at a time: they are written with their numbers
        assert database.write_sync(number_events) == 0
    else:
        assert names(database) == []
        assert database.write_sync(number_events) == 2
    found = database.read_sync(after, 0)
    assert [(event.seq, event.subject_id, event.data) for event in found] == [
        (1, "x", {"name": "x"}),
        (2, "y", {"name": "y"}),
    ]
    assert database.write_sync(number_events) == 0


def test_numbers_go_on(database: Database) -> None:
    for batch in (["a"], ["b", "c"], ["d"]):
        database.write_sync(emit, *batch)
        database.write_sync(number_events)
    assert names(database) == ["a", "b", "c", "d"]
    assert names(database, 2) == ["c", "d"]
    assert names(database, 0, limit=3) == ["a", "b", "c"]
    assert database.read_sync(bounds) == (1, 4)


def test_a_verb_that_fails_leaves_no_event(database: Database) -> None:
    def failing(uow: UnitOfWork) -> None:
        emit(uow, "x")
        raise Conflict("no", code="no")

    with pytest.raises(Conflict):
        database.write_sync(failing)
    assert database.write_sync(number_events) == 0


def test_events_are_filtered_by_subject(database: Database) -> None:
    database.write_sync(emit, "x", "y", account="a1")
    database.write_sync(emit, "z", account="a2")
    database.write_sync(number_events)
    assert names(database) == ["x", "y", "z"]
    assert names(database, subject="z") == ["z"]
    assert names(database, subject="w") == []


def test_events_live_seven_days_and_numbers_never_start_again(database: Database, clock: ManualClock) -> None:
    database.write_sync(emit, "x", "y", "z")
    database.write_sync(number_events)
    clock.advance(KEPT_SECONDS + 1)
    assert database.write_sync(purge_events) == 2  # the newest stays
    assert database.read_sync(bounds) == (3, 3)
    database.write_sync(emit, "new")
    database.write_sync(number_events)
    assert names(database) == ["z", "new"]
    assert database.read_sync(bounds) == (3, 4)
    assert [database.read_sync(can_resume, seq) for seq in (0, 1, 2, 3, 4, 5)] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_an_empty_outbox_can_be_resumed_from_its_beginning(database: Database) -> None:
    assert database.read_sync(can_resume, 0)
    assert not database.read_sync(can_resume, 7)


def test_numbering_stops_when_the_lease_is_lost(database: Database, clock: ManualClock) -> None:
    lease = database.write_sync(take, "outbox-relay", "one")
    clock.advance(60)
    database.write_sync(take, "outbox-relay", "two")
    database.write_sync(emit, "x")
    with pytest.raises(Conflict) as caught:
        database.write_sync(number_events, lease)
    assert caught.value.code == "lease-lost"
    assert names(database) == (["x"] if database.dialect == "sqlite" else [])


@pytest.mark.anyio
async def test_the_relay_numbers_what_many_threads_emit_and_a_follower_misses_none(database: Database) -> None:
    writers, each = 4, 50

    def write(number: int) -> None:
        for step in range(each):
            database.write_sync(emit, f"{number}-{step}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    relay = asyncio.create_task(outbox.relay(database).run())
    seen: list[str] = []
    try:
        with database.hints.subscribe(outbox.NUMBERED) as hint:
            for thread in threads:
                thread.start()
            seq = 0
            async with asyncio.timeout(PATIENCE):
                while len(seen) < writers * each:
                    found = await database.read(after, seq, limit=7)
                    assert [event.seq for event in found] == list(range(seq + 1, seq + len(found) + 1))
                    seen += [event.subject_id for event in found]
                    seq += len(found)
                    if not found:
                        await hint.wait(1.0)
    finally:
        for thread in threads:
            thread.join(PATIENCE)
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
    assert len(set(seen)) == writers * each
    for number in range(writers):
        assert [name for name in seen if name.startswith(f"{number}-")] == [f"{number}-{step}" for step in range(each)]


def test_the_holder_of_this_process_is_alive() -> None:
    from dais.kit.leases import is_gone

    assert not is_gone(holder_name())
