"""Running code inside jobs: who asks is given a connection to the job's runner, which is started on first use."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from dais.compute.code.connection import Lost, RunnerConnection
from dais.compute.inside import bundle, python_in
from dais.compute.interactive.own_key import new_key_files
from dais.compute.jobs.types import Work
from dais.kit.errors import Invalid, TooMany, Unavailable
from dais.kit.ids import new_id
from dais.wire.code import (
    FILE_LIMIT,
    FILES_LIMIT,
    CodeFiles,
    CodeRequest,
    CodeResult,
    CodeSession,
    Completions,
    StoredFile,
    UploadedFile,
)

if TYPE_CHECKING:
    from dais.compute.runtime import Compute

T = TypeVar("T")

MOST_CONNECTIONS = 256
"""Jobs whose runners this process is connected to at once."""
IDLE_SECONDS = 60.0
"""How long a connection that nobody needs is kept for the next call."""
BEGIN_SECONDS = 30.0
ANSWER_SECONDS = 30.0
MOST_WAIT = 30.0
PROGRAMS = (
    "code_connect", "code_runner", "code_lines", "code_runs", "code_work", "code_processes", "code_batch", "code_files",
    "code_python", "code_jupyter",
)  # fmt: skip


class _File(msgspec.Struct):
    size: int
    data: str


class CodeDesk:
    """Verbs on running jobs, for who has passed `running_work` with `job:exec`. All raise Conflict `not-running`,
    Unavailable (`no-python`, `runner-lost`, …), and what the runner refuses as the typed error of its code.

    The runner is in the job and outlives this process: runs go on while the server restarts.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._connections: dict[str, RunnerConnection] = {}
        self._used: dict[str, float] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._leaving = False

    async def execute(self, work: Work, request: CodeRequest) -> CodeResult:
        """Begin a run, or go on with one; answers after `wait` seconds (at most 30) at the latest."""
        _check(request)
        wait = 0.0 if self._leaving else min(MOST_WAIT, max(0.0, request.wait))
        steps = request.options
        return await self._ask(
            work,
            CodeResult,
            "execute",
            seconds=wait + ANSWER_SECONDS,
            run_id=request.run_id or new_id(),
            mode=request.mode,
            code=request.code,
            kernel=request.kernel,
            steps={} if steps is None else {k: v for k, v in msgspec.structs.asdict(steps).items() if v},
            seq=request.seq,
            timeout=request.timeout,
            wait=wait,
            follow=request.follow,
        )

    async def give(self, work: Work, run_id: str, text: str) -> None:
        """A line of input for a run, while somebody else waits for its answer. Raises Conflict `not-waiting`."""
        await self._ask(work, dict[str, Any], "give", run_id=run_id, code=text)

    async def session(self, work: Work) -> CodeSession:
        """The job's session."""
        return await self._ask(work, CodeSession, "status")

    async def complete(self, work: Work, code: str, cursor: int, kernel: str) -> Completions:
        """How the word before the cursor (in characters) may go on; nothing while a run is at work."""
        return await self._ask(work, Completions, "complete", code=code, cursor=cursor, kernel=kernel)

    async def interrupt(self, work: Work) -> bool:
        """Interrupt what runs now; whether something did."""
        answer = await self._ask(work, dict[str, bool], "interrupt")
        return answer.get("interrupted", False)

    async def restart(self, work: Work, kernel: str) -> None:
        """Start a kernel anew; runs that wait for it end."""
        await self._ask(work, dict[str, Any], "restart", kernel=kernel)

    async def upload(self, work: Work, files: Sequence[UploadedFile]) -> list[StoredFile]:
        """Put small files into the working directory; what is there is replaced. Raises Invalid."""
        if not 1 <= len(files) <= FILES_LIMIT:
            raise Invalid(
                f"an upload takes 1 to {FILES_LIMIT} files, not {len(files)}; for more, `dais job cp`",
                code="too-many-files",
            )
        for file in files:
            size = _decoded_size(file)
            if size > FILE_LIMIT:
                raise Invalid(
                    f"{file.path} has {size:,} bytes, and an upload takes {FILE_LIMIT:,} for each file; for larger "
                    "ones, `dais job cp`",
                    code="too-large",
                    path=file.path,
                )
        return [await self._ask(work, StoredFile, "put", path=file.path, data=file.data) for file in files]

    async def download(self, work: Work, path: str) -> AsyncGenerator[bytes]:
        """A file of the working directory, piece by piece. Raises NotFound, Invalid before the first."""
        offset = 0
        while True:
            file = await self._ask(work, _File, "get", path=path, offset=offset)
            data = base64.b64decode(file.data)
            offset += len(data)
            yield data
            if not data or offset >= file.size:
                return

    async def files(self, work: Work, path: str) -> CodeFiles:
        """A directory. Raises NotFound, Invalid."""
        return await self._ask(work, CodeFiles, "ls", path=path or ".")

    async def remove(self, work: Work, path: str, recursive: bool) -> None:
        """Remove a file, or a directory. Raises NotFound, Invalid."""
        await self._ask(work, dict[str, Any], "rm", path=path, recursive=recursive)

    async def adopted(self, work: Work) -> None:
        """The sandbox has become somebody's: its Python is told the variables of its new job, and its home is given the
        key pair that the home of any interactive job has.
        """
        variables = await self._compute.variables(work)
        pair = await asyncio.to_thread(new_key_files, work.job_id)
        files = [{"path": one.target, "data": base64.b64encode(one.content).decode(), "mode": one.mode} for one in pair]
        await self._ask(work, dict[str, Any], "adopt", variables=variables, files=files)

    async def warm(self, work: Work) -> None:
        """Start the runner and its built-in kernel, before anybody needs them."""
        await self._ask(work, dict[str, Any], "warm")

    def let_go(self) -> None:
        """Let nobody wait for a run any more: the server is to stop, and runs go on without it."""
        self._leaving = True
        for connection in self._connections.values():
            connection.let_go()

    async def close(self) -> None:
        """Leave the runners alone."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        connections, self._connections = list(self._connections.values()), {}
        await asyncio.gather(*(connection.close() for connection in connections))

    async def _ask(self, work: Work, answer: type[T], op: str, *, seconds: float = ANSWER_SECONDS, **fields: Any) -> T:
        self._compute.running(work)
        for last in (False, True):
            connection = await self._connection(work)
            try:
                return await connection.ask(answer, op, seconds, **fields)
            except Lost as error:
                # The same run is begun once, and its answers can be asked for again: so may everything here.
                if last:
                    raise _lost(work, connection.problem) from error
            finally:
                self._used[work.run_id] = time.monotonic()
        raise AssertionError("unreachable")

    async def _connection(self, work: Work) -> RunnerConnection:
        found = self._connections.get(work.run_id)
        if found is not None and found.open:
            return found
        lock = self._opening.setdefault(work.run_id, asyncio.Lock())
        try:
            async with lock:
                found = self._connections.get(work.run_id)
                if found is None or not found.open:
                    found = await self._open(work)
                    self._connections[work.run_id] = found
                return found
        finally:
            if not lock.locked():
                self._opening.pop(work.run_id, None)

    async def _open(self, work: Work) -> RunnerConnection:
        if len(self._connections) >= MOST_CONNECTIONS:
            raise TooMany(
                f"code runs in {MOST_CONNECTIONS} jobs at once, which is the limit of this server; try again in a "
                "minute",
                code="too-many-sessions",
                retry_after=IDLE_SECONDS,
            )
        python = await python_in(self._compute, work)
        words = msgspec.json.encode(python).decode()
        text = await asyncio.to_thread(bundle, *PROGRAMS)
        argv = (*python, "-I", "-S", "-B", "-c", text, "connect", words)
        stream = await self._compute.exec(work, argv, env={}, workdir=None, pty=None)
        connection = RunnerConnection(stream, work.run_id, self._compute.activity)
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await asyncio.shield(connection.began)
        except TimeoutError as error:
            await connection.close()
            raise _lost(work, f"it did not begin within {BEGIN_SECONDS:g} s") from error
        if not connection.open:
            raise _lost(work, connection.problem)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="idle code runners")
        return connection

    async def _sweep(self) -> None:
        """Let go of connections that nobody needs."""
        while True:
            await asyncio.sleep(IDLE_SECONDS / 4)
            late = time.monotonic() - IDLE_SECONDS
            for run_id, connection in list(self._connections.items()):
                if not connection.open or (connection.is_idle and self._used.get(run_id, 0.0) < late):
                    del self._connections[run_id]
                    self._used.pop(run_id, None)
                    with contextlib.suppress(OSError):
                        await connection.close()


def _check(request: CodeRequest) -> None:
    if request.run_id is not None and not (
        0 < len(request.run_id) <= 128 and request.run_id.isascii() and request.run_id.isprintable()
    ):
        raise Invalid("a run's id has 1 to 128 printable ASCII characters", code="bad-run-id")
    if request.mode in ("continue", "input") and request.run_id is None:
        raise Invalid(f"mode {request.mode} needs the run_id of the run", code="bad-run-id")
    if request.mode == "batch":
        steps = request.options
        if request.code:
            raise Invalid("a batch run has its commands in `options`, and an empty `code`", code="bad-batch")
        if steps is None or not (steps.clean or steps.build or steps.exec):
            raise Invalid("a batch run needs `options` with clean, build or exec", code="bad-batch")
    elif request.mode == "query" and request.options is not None:
        raise Invalid("`options` are for mode batch", code="bad-batch")
    for name, value in (("timeout", request.timeout), ("wait", request.wait)):
        if not 0 <= value <= 10_000_000:  # NaN is neither
            raise Invalid(f"{name} is {value}; give seconds, from 0", code="bad-seconds")


def _decoded_size(file: UploadedFile) -> int:
    try:
        return len(base64.b64decode(file.data, validate=True))
    except ValueError as error:
        raise Invalid(f"the content of {file.path} is not base64", code="bad-file") from error


def _lost(work: Work, problem: str) -> Unavailable:
    return Unavailable(
        f"the code runner of job {work.job_id} cannot be reached: {problem.strip() or 'its connection ended'}",
        code="runner-lost",
    )
