"""Ports of this machine that lead to ports inside a job: `client.jobs.port_forward`."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dais.sdk.errors import Conflict, DaisError, TooMany, Unavailable
from dais.sdk.target import Target
from dais.sdk.tunnelling import connect, new_tunnel, port_path
from dais.wire.answers import JobDetail
from dais.wire.websocket import GOING_AWAY

if TYPE_CHECKING:
    from dais.sdk.client import AsyncClient, Client

AWAY_SECONDS = 60.0
"""For how long a new connection waits while Dais is away or the job has not started."""
LISTEN_SECONDS = 5.0
"""For how long it waits until something in the job listens."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
MOST_CONNECTIONS = 512
"""Connections of one forward at a time; more wait in the listening socket's queue."""
BACKLOG = 128


class AsyncPortForward:
    """Listens until the job has ended or it is closed; use it as a context manager. `port` is the one it listens on.

    Each connection is one of its own through Dais, made as the client's user. `note` is told, in a sentence, what a
    person would want to know: a connection that could not be made, Dais being away.
    """

    def __init__(
        self,
        client: AsyncClient,
        ref: str,
        local: int,
        remote: int | str,
        *,
        address: str = "127.0.0.1",
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.address = address
        self.port = local
        self.remote = remote
        self.job: JobDetail | None = None
        self._client = client
        self._ref = ref
        self._note = note or (lambda words: None)
        self._accepting: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[JobDetail] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._noted: tuple[str, float] = ("", 0.0)

    async def wait(self) -> JobDetail:
        """The job as it ended. Raises Unreachable when Dais is away for too long, and what keeps the user from it."""
        assert self._watching is not None, "use it as a context manager"
        return await asyncio.shield(self._watching)

    async def close(self) -> None:
        """Listen no more, and end the connections."""
        tasks = [*self._tasks, *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn, and there may be none after this

    async def __aenter__(self) -> Self:
        """Raises NotFound, Forbidden, Conflict when the job has ended; OSError when the port is not free."""
        self.job = await self._client.jobs.get(self._ref)
        if not self.job.alive:
            raise Conflict(f"job {self.job.id} has ended: it is {self.job.state}", code="not-running")
        listening = await asyncio.to_thread(_listen, self.address, self.port)
        self.port = listening[0].getsockname()[1]
        self._accepting = [self._task(self._accept(sock)) for sock in listening]
        self._watching = asyncio.create_task(self._watch(self.job.id))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _watch(self, job_id: str) -> JobDetail:
        try:
            self.job = await self._client.jobs.wait(job_id)
        finally:
            for task in self._accepting:
                task.cancel()
        return self.job

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                await self._slots.acquire()
                try:
                    local, _ = await loop.sock_accept(listening)
                except OSError as error:  # too many files are open, say
                    self._slots.release()
                    self._say(f"a connection cannot be taken: {error}")
                    await asyncio.sleep(LONGEST_PAUSE)
                else:
                    self._task(self._carry(local))

    async def _carry(self, local: socket.socket) -> None:
        """One connection, from its beginning to its end. Nothing is read from it before there is a way on."""
        assert self.job is not None
        target: Target = self._client.target
        tunnel = new_tunnel(target)
        path = port_path(self.job.id, self.remote, self._client.account)
        loop = asyncio.get_running_loop()
        transport: asyncio.Transport | None = None
        try:
            local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, rest = await self._connected(lambda: connect(target, path, tunnel))
            tunnel.speak(transport)
            end, _ = await loop.connect_accepted_socket(lambda: tunnel.plain, local)
            tunnel.begin(end, rest)
            await asyncio.shield(tunnel.over)  # cancelled itself it would count as over
        except DaisError as error:
            self._say(error.message)
        except asyncio.CancelledError:
            tunnel.close(GOING_AWAY, "")
            if transport is not None:
                transport.abort()  # the loop may end now: nobody waits until the other side has said goodbye
            raise
        finally:
            tunnel.close(GOING_AWAY, "")
            local.close()
            self._slots.release()

    async def _connected(self, attempt: Callable[[], Any]) -> tuple[asyncio.Transport, bytes]:
        """Try until it works, or it has become clear that it does not. Raises DaisError."""
        begun, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                made: tuple[asyncio.Transport, bytes] = await attempt()
                return made
            except (Unavailable, TooMany, Conflict) as error:
                patience = _patience(error)
                if time.monotonic() + pause > begun + patience:
                    raise
                if isinstance(error, Unavailable):
                    self._say(f"{error.message}; trying again for {patience:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _say(self, words: str) -> None:
        """The same is not said twice in a few seconds: a browser opens six connections."""
        now = time.monotonic()
        if self._noted[0] != words or now > self._noted[1] + LISTEN_SECONDS:
            self._noted = (words, now)
            self._note(words)


def _patience(error: DaisError) -> float:
    """For how long it is worth trying again."""
    if error.code == "nothing-listens":
        return LISTEN_SECONDS
    if error.code == "not-running":
        return 0.0 if error.fields.get("state") in ("SUCCEEDED", "FAILED", "CANCELLED") else AWAY_SECONDS
    return AWAY_SECONDS if isinstance(error, Unavailable | TooMany) else 0.0


_refusals = {
    errno.EADDRINUSE: "another program has it; choose another, or 0 for a free one",
    errno.EACCES: "this user may not; choose one above 1023, or 0 for a free one",
}


def _listen(address: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address that a name stands for. Raises OSError."""
    made: list[socket.socket] = []
    try:
        for family, _, _, _, place in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, socket.SOCK_STREAM)
            made.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((place[0], port or (made[0].getsockname()[1] if len(made) > 1 else 0), *place[2:]))
            sock.listen(BACKLOG)
            sock.setblocking(False)
    except BaseException as error:
        for sock in made:
            sock.close()
        if isinstance(error, OSError) and error.errno in _refusals:
            raise OSError(error.errno, f"cannot listen on {address} port {port}: {_refusals[error.errno]}") from error
        raise
    return made


@dataclass
class _Outcome:
    job: JobDetail | None = None
    error: BaseException | None = None


class PortForward:
    """As AsyncPortForward, blocking: the work is done in a thread of its own."""

    def __init__(self, client: Client, make: Callable[[AsyncClient], AsyncPortForward]) -> None:
        self._client = client
        self._make = make
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._outcome = _Outcome()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="dais-port-forward", daemon=True)
        self._forward: AsyncPortForward | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._forward is not None
        return self._forward.port

    @property
    def address(self) -> str:
        assert self._forward is not None
        return self._forward.address

    def wait(self, timeout: float | None = None) -> JobDetail:
        """The job as it ended. Raises TimeoutError, and as `AsyncPortForward.wait`."""
        if not self._ended.wait(timeout):
            raise TimeoutError(f"the job has not ended within {timeout} s")
        if self._outcome.error is not None:
            raise self._outcome.error
        assert self._outcome.job is not None
        return self._outcome.job

    def close(self) -> None:
        """Listen no more, and end the connections."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._forward is None and self._outcome.error is not None:
            self._thread.join()
            raise self._outcome.error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._outcome.error = error
        finally:
            self._ended.set()
            self._ready.set()

    async def _run(self) -> None:
        from dais.sdk.client import AsyncClient

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        own = self._client
        async with (
            AsyncClient(
                own.access.url, own.access.token, account=own.account, patience=own.patience, on_wait=own.on_wait
            ) as client,
            self._make(client) as forward,
        ):
            self._forward = forward
            self._ready.set()
            stopping, ending = asyncio.ensure_future(self._stop.wait()), asyncio.ensure_future(forward.wait())
            await asyncio.wait((stopping, ending), return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if ending.done():
                self._outcome.job = ending.result()
            else:
                ending.cancel()
                self._outcome.error = RuntimeError("the forward was closed before the job had ended")
