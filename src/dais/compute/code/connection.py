"""A connection to the code runner of one job: many questions at once over one command inside it."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import ExitStack
from typing import Any, TypeVar

import msgspec

from dais.compute.activity import Activity
from dais.engines.contract import STDOUT, ExecStream
from dais.kit.errors import Conflict, DaisError, Invalid, NotFound, TooMany, Unavailable
from dais.wire.code import GOES_ON

T = TypeVar("T")

MAX_LINE = 32 << 20
"""Bytes of one answer of a runner."""
MOST_QUESTIONS = 256
_families: dict[str, type[DaisError]] = {
    "no-such-run": NotFound,
    "no-such-kernel": NotFound,
    "not-found": NotFound,
    "run-exists": Conflict,
    "not-waiting": Conflict,
    "superseded": Conflict,
    "too-many-runs": TooMany,
}


class _Head(msgspec.Struct):
    """What a runner sends: an answer by its number, or an event."""

    id: int | None = None
    ok: msgspec.Raw = msgspec.Raw()
    error: str | None = None
    message: str = ""
    event: str | None = None


class Lost(Exception):
    """The connection ended before the answer came."""


class RunnerConnection:
    """Reads what the runner says, which is the job's word: it is checked, and bounded.

    While the runner says that it is busy, a kernel is at work for `activity`.
    """

    def __init__(self, stream: ExecStream, run_id: str, activity: Activity) -> None:
        self._stream = stream
        self._run_id = run_id
        self._activity = activity
        self._working = ExitStack()
        self._busy = False
        self._questions: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._last = 0
        self._sending = asyncio.Lock()
        self.problem = ""
        self._reader = asyncio.create_task(self._read(), name=f"code runner {run_id}")
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        return not self._reader.done()

    @property
    def is_idle(self) -> bool:
        """Whether nobody needs it now."""
        return not self._questions and not self._busy

    async def ask(self, answer: type[T], op: str, seconds: float, **fields: Any) -> T:
        """The runner's answer to one question. Raises Lost, the typed error of a refusal, Unavailable."""
        if len(self._questions) >= MOST_QUESTIONS:
            raise TooMany(
                f"{MOST_QUESTIONS} calls wait for this job's code runner already; try again",
                code="too-many-calls",
                retry_after=1.0,
            )
        if not self.open:
            raise Lost
        self._last += 1
        number = self._last
        question: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._questions[number] = question
        try:
            async with asyncio.timeout(seconds):
                async with self._sending:
                    await self._stream.send(msgspec.json.encode({"id": number, "op": op, **fields}) + b"\n")
                raw = await question
        except TimeoutError as error:
            raise Unavailable(
                f"the code runner of the job did not answer within {seconds:g} s; is its memory or CPU used up?",
                code="runner-silent",
            ) from error
        except OSError as error:
            raise Lost from error
        finally:
            self._questions.pop(number, None)
        try:
            return msgspec.json.decode(raw, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _nonsense(str(error)) from error

    def let_go(self) -> None:
        """Answer who waits now: the server stops, and what they asked for has been passed on."""
        for question in self._questions.values():
            if not question.done():
                question.set_exception(_goes_on())

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        buffer = bytearray()
        try:
            while True:
                item = await self._stream.receive()
                if isinstance(item, int):
                    self.problem = self.problem or f"it ended with exit code {item}"
                    return
                kind, data = item
                if kind != STDOUT:
                    self.problem = (self.problem + data[:2000].decode("utf-8", "replace"))[:2000]
                    continue
                searched = len(buffer)
                buffer += data
                while (end := buffer.find(b"\n", searched)) >= 0:
                    line = bytes(buffer[:end])
                    del buffer[: end + 1]
                    searched = 0
                    self._hear(line)
                if len(buffer) > MAX_LINE:
                    self.problem = f"it sent more than {MAX_LINE:,} bytes as one answer"
                    return
        except OSError as error:
            self.problem = str(error)
        finally:
            self._working.close()
            for question in self._questions.values():
                if not question.done():
                    question.set_exception(Lost())
            if not self.began.done():
                self.began.set_result(None)
            with contextlib.suppress(OSError):
                await self._stream.close()

    def _hear(self, line: bytes) -> None:
        if not self.began.done():
            self.began.set_result(None)
        if not line:
            return
        try:
            head = msgspec.json.decode(line, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # a job's nonsense; who asked will wait in vain
        if head.event is not None:
            self._tell(head.event == "busy")
        question = self._questions.get(head.id) if head.id is not None else None
        if question is None or question.done():
            return
        if head.error is not None:
            family = _families.get(head.error, Invalid)
            question.set_exception(family(head.message[:2000] or head.error, code=_code(head.error)))
        elif head.ok:
            question.set_result(head.ok)

    def _tell(self, busy: bool) -> None:
        if busy and not self._busy:
            self._working.enter_context(self._activity.open(self._run_id, "kernel"))
        elif not busy:
            self._working.close()
        self._busy = busy


def _code(word: str) -> str:
    """A refusal's code: what the job says may be anything."""
    return word if len(word) <= 40 and word.replace("-", "").isalnum() and word.isascii() else "refused"


def _goes_on() -> Unavailable:
    return Unavailable(
        "the server is stopping; the run goes on in the job, which keeps its answers: ask for them with mode continue",
        code=GOES_ON,
    )


def _nonsense(words: str) -> Unavailable:
    return Unavailable(
        f"what the code runner of this job answers makes no sense ({words[:200]}); restart the job",
        code="bad-runner",
    )
