"""Of several processes one holds a lease; a dead one's is taken over at once, a slow one's when it has expired."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict
from dais.kit.leases import Lease, LeasedLoop, check, holder_name, is_gone, release, renew, take

PATIENCE = 30.0


def test_one_holds_it_until_it_expires(database: Database, clock: ManualClock) -> None:
    first = database.write_sync(take, "x", "one", 10)
    assert database.write_sync(take, "x", "two", 10) is None
    assert database.write_sync(take, "y", "two", 10) is not None
    clock.advance(10)
    second = database.write_sync(take, "x", "two", 10)
    assert second is not None
    assert database.write_sync(renew, first, 10) is None
    with pytest.raises(Conflict, match="taken over"):
        database.read_sync(check, first)
    database.read_sync(check, second)


def test_renewing_keeps_it(database: Database, clock: ManualClock) -> None:
    lease = database.write_sync(take, "x", "one", 10)
    for _ in range(5):
        clock.advance(8)
        lease = database.write_sync(renew, lease, 10)
        assert lease is not None
        assert database.write_sync(take, "x", "two", 10) is None


def test_giving_it_back_lets_the_next_one_in(database: Database) -> None:
    first = database.write_sync(take, "x", "one", 1000)
    database.write_sync(release, first)
    second = database.write_sync(take, "x", "two", 1000)
    assert second is not None
    database.write_sync(release, first)  # it is not the first one's any more
    assert database.write_sync(take, "x", "three", 1000) is None


def test_of_many_who_take_it_at_once_one_gets_it(database: Database) -> None:
    taken: list[Lease] = []

    def run(holder: str) -> None:
        lease = database.write_sync(take, "x", holder, 100)
        if lease is not None:
            taken.append(lease)

    threads = [threading.Thread(target=run, args=(f"h{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(taken) == 1


def test_a_dead_process_lets_go_at_once(database: Database) -> None:
    program = "from dais.kit.leases import holder_name; print(holder_name(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    holder = process.stdout.readline().strip()
    assert database.write_sync(take, "x", holder, 1000) is not None
    assert not is_gone(holder)
    assert database.write_sync(take, "x", holder_name(), 1000) is None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not collected yet
    assert is_gone(holder)
    process.wait(PATIENCE)
    process.stdin.close()
    process.stdout.close()
    assert is_gone(holder)
    assert database.write_sync(take, "x", holder_name(), 1000) is not None


@pytest.mark.parametrize("holder", ["", "one", "host/another-boot:1/1/1", "a/b/c/d/e"])
def test_what_is_not_known_to_be_dead_may_be_alive(holder: str) -> None:
    assert not is_gone(holder)


@pytest.mark.anyio
async def test_a_loop_works_when_hinted_and_goes_on_after_errors(database: Database) -> None:
    steps = 0
    third = asyncio.Event()

    async def step(lease: Lease) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise ZeroDivisionError
        if steps == 3:
            third.set()
        else:
            database.hints.raise_({"bell"})

    loop = LeasedLoop(database, "x", step, topic="bell", interval=1000)
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(PATIENCE):
        await third.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await database.write(take, "x", "another", 10) is not None  # given back


@pytest.mark.anyio
async def test_of_two_loops_one_works_and_the_other_takes_over(database: Database) -> None:
    working: asyncio.Queue[str] = asyncio.Queue()

    def make(name: str) -> asyncio.Task[None]:
        async def step(lease: Lease) -> None:
            await working.put(name)

        return asyncio.create_task(LeasedLoop(database, "x", step, topic="bell", interval=0.01, seconds=0.3).run())

    first, second = make("first"), make("second")
    try:
        async with asyncio.timeout(PATIENCE):
            leader = await working.get()
            for _ in range(20):
                assert await working.get() == leader
            tasks = {"first": first, "second": second}
            tasks.pop(leader).cancel()
            while await working.get() == leader:
                pass
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


@pytest.mark.anyio
async def test_a_step_whose_lease_is_lost_is_cancelled(database: Database, clock: ManualClock) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def step(lease: Lease) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(LeasedLoop(database, "x", step, seconds=0.1).run())
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        clock.advance(1000)
        while await database.write(take, "x", "another", 1000) is None:
            clock.advance(1000)
        await cancelled.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
