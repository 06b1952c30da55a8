"""One fake container: its script, its behaviour, what it printed and how it ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from dais.engines.contract import STDERR, STDOUT, SYSTEM, Frame, LaunchSpec, Phase, Status
from dais.engines.fake.behaviours import NODE_LOST, Behaviour, Ending
from dais.engines.fake.clock import SECOND
from dais.engines.fake.script import Step, UnknownCommand, parse

CHUNK = 64 << 10
"""Bytes in one log frame at most."""


class Container:
    """Moves by `proceed(now)` only; every instant is µs since the epoch."""

    def __init__(self, spec: LaunchSpec, behaviour: Behaviour, node: str, now: int) -> None:
        self.spec = spec
        self.frames: list[Frame] = []
        self.status = Status(attempt_id=spec.attempt_id, phase=Phase.QUEUED, node=node)
        self.when_over: list[Callable[[], None]] = []
        """Called once it has ended."""
        self.ports: set[int] = set()
        """On which something listens."""
        self._behaviour = behaviour
        self._steps: deque[Step] = deque()
        self._changes: list[Status] = []
        self._goes_on_at: int | None = None
        self._stop_reason: str | None = None
        self._kill_at: int | None = None
        self._traps_term = not behaviour.heeds_term
        after = behaviour.start_after
        self._starts_at = None if after is None else now + int(after * SECOND)

    @property
    def over(self) -> bool:
        return self.status.phase in (Phase.ENDED, Phase.LOST)

    def due(self) -> int | None:
        """When something happens to it next, if nothing else intervenes."""
        if self.over:
            return None
        if self.status.phase is Phase.QUEUED:
            return self._starts_at
        instants = [instant for instant, _ in self._endings()]
        if self._goes_on_at is not None:
            instants.append(self._goes_on_at)
        return min(instants, default=None)

    def proceed(self, now: int) -> list[Status]:
        """Let everything happen that is due by now. Returns what changed since the last call, in order."""
        while (due := self.due()) is not None and due <= now:
            self._happen(due)
        changes, self._changes = self._changes, []
        return changes

    def stop(self, now: int, grace: float, reason: str) -> None:
        """TERM, and KILL after the grace if TERM is ignored."""
        if self.over:
            return
        self._stop_reason = self._stop_reason or reason
        if self.status.phase is Phase.QUEUED:
            self.end(Ending(reason="stopped"), now)
        elif not self._traps_term:
            self.end(Ending(reason="stopped", signal=15), now)
        else:
            kill_at = now + int(grace * SECOND)
            self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)

    def end(self, ending: Ending, now: int) -> None:
        """It ends now, so."""
        lost = ending.reason == NODE_LOST.reason
        self._change(
            phase=Phase.LOST if lost else Phase.ENDED,
            reason=ending.reason,
            stop_reason=self._stop_reason,
            exit_code=ending.exit_code,
            signal=ending.signal,
            detail=ending.detail,
            ended_at=now,
        )
        for call in self.when_over:
            call()

    def write(self, stream: int, data: bytes, now: int) -> None:
        """Append output, up to the limit of the log; then once a mark."""
        status = self.status
        if status.log_truncated:
            return
        room = self.spec.limits.log - status.log_bytes
        kept = data[:room]
        for start in range(0, len(kept), CHUNK):
            self.frames.append(Frame(now * 1000, stream, kept[start : start + CHUNK]))
        truncated = len(data) > room
        if truncated:
            mark = f"output beyond {self.spec.limits.log} bytes was discarded\n"
            self.frames.append(Frame(now * 1000, SYSTEM, mark.encode()))
        self.status = msgspec.structs.replace(status, log_bytes=status.log_bytes + len(kept), log_truncated=truncated)

    def _change(self, **fields: Any) -> None:
        self.status = msgspec.structs.replace(self.status, **fields)
        self._changes.append(self.status)

    def _endings(self) -> list[tuple[int, Ending]]:
        """What will end it, and when, whatever its script says."""
        assert self.status.started_at is not None
        endings: list[tuple[int, Ending]] = []
        if self._kill_at is not None:
            endings.append((self._kill_at, Ending(reason="stopped", signal=9)))
        if self.spec.limits.time is not None:
            limit = int(self.spec.limits.time * SECOND)
            endings.append((self.status.started_at + limit, Ending(reason="time-limit", signal=9)))
        own = self._behaviour.ends()
        if own is not None:
            endings.append((self.status.started_at + int(own[0] * SECOND), own[1]))
        return endings

    def _happen(self, at: int) -> None:
        """What is due at this instant; an ending from outside goes before the script."""
        if self.status.phase is Phase.QUEUED:
            self._start(at)
            return
        ending = next((ending for instant, ending in self._endings() if instant <= at), None)
        if ending is not None:
            self.end(ending, at)
            return
        self._goes_on_at = None
        while self._steps and not self.over:
            step = self._steps.popleft()
            if step.verb == "sleep-forever":
                return
            if step.verb == "sleep":
                self._goes_on_at = at + int(float(step.argument) * SECOND)
                return
            self._do(step, at)

    def _start(self, now: int) -> None:
        try:
            self._steps = deque(parse(self.spec.argv))
        except UnknownCommand as error:
            self.end(Ending(reason="command-not-found", exit_code=127, detail=str(error)), now)
            return
        except ValueError as error:
            self.end(Ending(reason="launch-failed", detail=str(error)), now)
            return
        self._goes_on_at = now
        self._change(phase=Phase.RUNNING, started_at=now, isolation=("fake",))

    def _do(self, step: Step, now: int) -> None:
        match step.verb:
            case "print":
                self.write(STDOUT, step.argument.encode(errors="surrogateescape") + b"\n", now)
            case "error":
                self.write(STDERR, step.argument.encode(errors="surrogateescape") + b"\n", now)
            case "hex":
                self.write(STDOUT, bytes.fromhex(step.argument), now)
            case "env":
                self.write(STDOUT, self.spec.env.get(step.argument, "").encode() + b"\n", now)
            case "trap-term":
                self._traps_term = True
            case "echo":
                self.ports.add(int(step.argument))
            case "oom":
                self.end(Ending(reason="out-of-memory", signal=9), now)
            case "signal":
                self.end(Ending(reason="signal", signal=int(step.argument)), now)
            case "true" | "false":
                self.end(Ending(reason="exit-code", exit_code=int(step.verb == "false")), now)
            case "exit":
                self.end(Ending(reason="exit-code", exit_code=int(step.argument)), now)
