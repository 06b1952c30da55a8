"""A task that spawns `true`, for procrastinate on the PostgreSQL that BENCH_QUEUE names.

A worker is started by procrastinate's own command. Run with a COUNT this enqueues so many tasks, as a client does,
while the worker works; it waits until all have been done, and prints tasks a second from first enqueue to last end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import procrastinate

TOGETHER = 8
"""How many are enqueued at once."""

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_QUEUE"], max_size=TOGETHER))


@app.task(name="no_op", queue="bench")
async def no_op() -> None:
    process = await asyncio.create_subprocess_exec("/bin/true")
    await process.wait()


async def enqueue(count: int) -> float:
    async with app.open_async():
        await app.connector.execute_query_async("TRUNCATE procrastinate_jobs CASCADE")
        begun = time.monotonic()
        for start in range(0, count, TOGETHER):
            await asyncio.gather(*(no_op.defer_async() for _ in range(min(TOGETHER, count - start))))
        while await unfinished():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)
        return count / (time.monotonic() - begun)


async def unfinished() -> int:
    query = "SELECT count(*) AS number FROM procrastinate_jobs WHERE status <> 'succeeded'"
    found: int = (await app.connector.execute_query_one_async(query))["number"]
    return found


if __name__ == "__main__":
    print(asyncio.run(enqueue(int(sys.argv[1]))))
