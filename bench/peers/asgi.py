"""Raw ASGI beside Dais, on the same server with the same settings: `python -m bench.peers.asgi APP PORT [ARGUMENT…]`.

`hello` answers a small JSON document. `insert` writes a row of a job and a row of an event for each request, by one
thread that commits all that wait together (group commit), durable before the answer. `fanout` sends what a program
prints to every follower, in chunks. What an API costs above these is what Dais adds.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from dais.api.server import Server, listen

CHUNK = 64 << 10
_json = [(b"content-type", b"application/json")]


async def _answer(send: Any, body: bytes) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*_json, (b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The least that an answer can be."""
    await _answer(send, b'{"ok":true}')


class Insert:
    """Durable inserts with group commit, and nothing else: no token, no checks, no answer but the id."""

    def __init__(self, directory: Path) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._path = directory / "bare.db"
        threading.Thread(target=self._write, daemon=True).start()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._queue.put((body, loop, done))
        await _answer(send, b'{"id":"%s"}' % (await done).encode())

    def _write(self) -> None:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, spec TEXT, state TEXT, at INTEGER)")
        database.execute("CREATE TABLE events (id TEXT PRIMARY KEY, job TEXT, kind TEXT, at INTEGER)")
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty() and len(batch) < 256:
                batch.append(self._queue.get())
            database.execute("BEGIN IMMEDIATE")
            ids = []
            for body, _, _ in batch:
                job, now = str(uuid.uuid4()), time.time_ns() // 1000
                database.execute("INSERT INTO jobs VALUES (?, ?, 'PENDING', ?)", (job, body.decode(), now))
                database.execute("INSERT INTO events VALUES (?, ?, 'job.state', ?)", (str(uuid.uuid4()), job, now))
                ids.append(job)
            database.execute("COMMIT")
            batch[0][1].call_soon_threadsafe(_tell, batch, ids)


def _tell(batch: list[Any], ids: list[str]) -> None:
    for (_, _, done), job in zip(batch, ids, strict=True):
        if not done.cancelled():
            done.set_result(job)


class Fanout:
    """What a program prints, to every follower: read in chunks, each encoded once as one event. A POST starts it."""

    def __init__(self, *argv: str) -> None:
        self._argv = argv
        self._followers: set[asyncio.Queue[bytes]] = set()
        self._pump: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            self._pump = asyncio.create_task(self._run())
            await _answer(send, b"{}")
            return
        mine: asyncio.Queue[bytes] = asyncio.Queue()
        self._followers.add(mine)
        try:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
            while True:
                await send({"type": "http.response.body", "body": await mine.get(), "more_body": True})
        finally:
            self._followers.discard(mine)

    async def _run(self) -> None:
        program = await asyncio.create_subprocess_exec(*self._argv, stdout=asyncio.subprocess.PIPE)
        assert program.stdout is not None
        while chunk := await program.stdout.read(CHUNK):
            event = b'data: {"data":' + msgspec.json.encode(chunk.decode()) + b"}\n\n"
            for follower in self._followers:
                follower.put_nowait(event)
        await program.wait()


async def _serve(app: Any, port: int) -> None:
    await Server(app, stop_seconds=1, on_ready=lambda: None).run_until(listen("127.0.0.1", port), asyncio.Event())


if __name__ == "__main__":
    name, port = sys.argv[1], int(sys.argv[2])
    rest = sys.argv[3:]
    app: Any = hello if name == "hello" else Insert(Path(rest[0])) if name == "insert" else Fanout(*rest)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(app, port))
