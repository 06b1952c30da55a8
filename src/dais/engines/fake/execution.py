"""A fake command inside a fake container."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from dais.engines.contract import STDERR, STDOUT
from dais.engines.fake.container import Container
from dais.engines.fake.script import Step


class FakeExec:
    """Runs the steps of `script`; `cat` and `sleep-forever` wait for stdin, a signal or the container's end."""

    def __init__(self, container: Container, steps: Sequence[Step], env: dict[str, str]) -> None:
        self._env = {**container.spec.env, **env}
        self._steps = list(steps)
        self._output: asyncio.Queue[tuple[int, bytes] | int] = asyncio.Queue()
        self._code: int | None = None
        container.when_over.append(lambda: self.end(128 + signal.SIGKILL))
        self._proceed()

    async def send(self, data: bytes) -> None:
        if self._code is None and self._waits_in("cat"):
            self._output.put_nowait((STDOUT, data))

    async def send_eof(self) -> None:
        if self._code is None and self._waits_in("cat"):
            self._steps.pop(0)
            self._proceed()

    async def resize(self, rows: int, cols: int) -> None:
        pass

    async def signal(self, name: str) -> None:
        self.end(128 + signal.Signals[f"SIG{name}"])

    async def receive(self) -> tuple[int, bytes] | int:
        if self._code is not None and self._output.empty():
            return self._code
        return await self._output.get()

    async def close(self) -> None:
        self.end(128 + signal.SIGKILL)

    def end(self, code: int) -> None:
        """It ends with this code, if it has not ended."""
        if self._code is None:
            self._code = code
            self._steps.clear()
            self._output.put_nowait(code)

    def _waits_in(self, verb: str) -> bool:
        return bool(self._steps) and self._steps[0].verb == verb

    def _proceed(self) -> None:
        while self._steps and not self._waits_in("cat") and not self._waits_in("sleep-forever"):
            step = self._steps.pop(0)
            match step.verb:
                case "print":
                    self._output.put_nowait((STDOUT, step.argument.encode() + b"\n"))
                case "error":
                    self._output.put_nowait((STDERR, step.argument.encode() + b"\n"))
                case "hex":
                    self._output.put_nowait((STDOUT, bytes.fromhex(step.argument)))
                case "env":
                    self._output.put_nowait((STDOUT, self._env.get(step.argument, "").encode() + b"\n"))
                case "signal":
                    self.end(128 + int(step.argument))
                case "oom":
                    self.end(128 + signal.SIGKILL)
                case "true" | "false":
                    self.end(int(step.verb == "false"))
                case "exit":
                    self.end(int(step.argument))
