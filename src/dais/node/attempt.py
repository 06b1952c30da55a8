"""One attempt's life: queued, running, draining (the main process has ended, the rest is being ended), ended."""

from __future__ import annotations

import os
import resource
import time

from dais.node import logs, processes
from dais.node.launch import LaunchFailed
from dais.node.lean import loads
from dais.node.leases import kill_user
from dais.node.loop import READ, close
from dais.node.output import Output
from dais.node.records import now
from dais.node.words import memory_words, why_never_ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dais.node.egress import Egress
    from dais.node.keeper import Keeper
    from dais.node.launch import Launched
    from dais.node.loop import Timer
    from dais.node.spec import LaunchSpec


QUEUED, RUNNING, DRAINING, ENDED = "queued", "running", "draining", "ended"
TREE_SECONDS, DRAIN_SECONDS, REMOVE_SECONDS = 20.0, 2.0, 1.0
DOUBTS = 5
"""How often to look again for an orphan whose owner cannot be told: in the midst of its exec it has no environment."""
FATAL_SIGNALS = frozenset({4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 24, 25, 31})
"""Signals that end programs: ILL TRAP ABRT BUS FPE KILL SEGV PIPE ALRM TERM XCPU XFSZ SYS. Not INT: who exits with 130
says so itself, for nobody interrupts a program in a sandbox."""
_TREE, _OUTPUT, _GROUP = range(3)
_FIRST_RETRY, _LAST_RETRY = 0.001, 0.1


class Attempt:
    """A container from its launch to its `ended` record."""

    def __init__(self, keeper: Keeper, spec: LaunchSpec) -> None:
        self._keeper = keeper
        self.spec = spec
        self.id = spec.attempt_id
        self.state = QUEUED
        self.launched: Launched | None = None
        self.init = 0
        self._init_gone = False
        self._egress: Egress | None = None
        self._writer = logs.LogWriter(logs.log_directory(keeper.node_dir, self.id), spec.limits.log)
        self._output: Output | None = None
        self._status = b""
        self._report: dict[str, Any] = {}
        self._wait_status: int | None = None
        self._own_cpu = 0.0
        self._own_peak: int | None = None
        self._out_of_memory = False
        self._refusal: str | None = None
        self._figures: dict[str, Any] = {"memory_peak": None, "cpu_seconds": None}
        self._cause: str | None = None
        self._stop_reason: str | None = None
        self._grace: Timer | None = None
        self._clock: Timer | None = None
        self._stage = _TREE
        self._left: list[int] = []
        self._doubts = DOUBTS
        self._deadline = 0.0
        self._retry = _FIRST_RETRY
        self._wakeup: Timer | None = None

    # Beginning.

    def start(self) -> None:
        """Spawn the container; one that cannot be started ends at once."""
        spec, machine = self.spec, self._keeper.machine
        try:
            if spec.network == "internet" and self._egress is None:
                self._egress = self._keeper.way_out(spec, self._on_way)
                return
            in_use = spec.uid is not None and self._keeper.uid_in_use(spec.uid)
            way = None if self._egress is None else self._egress.namespaces
            launched = machine.launch(spec, uid_in_use=in_use, way=way)
        except LaunchFailed as error:
            self.fail(error.reason, str(error))
            return
        self.launched = launched
        self.state = RUNNING
        self._keeper.adopt(launched.pid, self)
        self._output = Output(self._keeper.loop, self._writer, launched.outputs, self.advance)
        if launched.status_fd >= 0:
            self._keeper.loop.watch(launched.status_fd, READ, lambda _events: self._read_status())
        else:
            self._started(launched.pid)
        if spec.limits.time is not None:
            self._clock = self._keeper.loop.later(spec.limits.time, self._on_time_limit)

    def _on_way(self, problem: str | None) -> None:
        """The way to the internet is there, or cannot be made."""
        if self.state == QUEUED and problem is None:
            self.start()
        elif self.state == QUEUED:
            self.fail("launch-failed", str(problem))

    def fail(self, reason: str, detail: str) -> None:
        """End an attempt of which nothing was started."""
        outcome = {"reason": reason, "exit_code": None, "signal": None, "detail": detail}
        if self._egress is not None and self._egress.alive:
            self.state = DRAINING
            self._egress.close(lambda: self._end(outcome))
        else:
            self._end(outcome)

    def _started(self, pid: int) -> None:
        launched = self.launched
        assert launched is not None
        self._keeper.emit(
            {
                "attempt_id": self.id,
                "kind": "started",
                "at": now(),
                "pid": pid,
                "uid": launched.uid,
                "isolation": launched.isolation,
                "missing": launched.missing,
            }
        )

    def _read_status(self) -> None:
        """What bwrap tells: its init's pid, then how the program ended (nothing, if it never ran)."""
        launched = self.launched
        assert launched is not None
        while launched.status_fd >= 0:
            try:
                part = os.read(launched.status_fd, 4096)
            except BlockingIOError:
                break
            if not part:
                self._keeper.loop.unwatch(launched.status_fd)
                os.close(launched.status_fd)
                launched.status_fd = -1
            self._status = (self._status + part)[-65536:]
        *lines, self._status = self._status.split(b"\n")
        for line in lines:
            try:
                told = loads(line)
            except ValueError:
                continue
            self._report.update(told)
            if "child-pid" in told and not self.init:
                self.init = told["child-pid"]
                self._keeper.adopt(self.init, self)
                self._admit(launched)

    def _admit(self, launched: Launched) -> None:
        try:
            launched.admit(self.init)
        except OSError as error:
            self._refusal = f"the control group cannot be entered: {error}"
            self.kill()
        else:
            self._started(self.init)

    # Stopping.

    def stop(self, grace: float | None, reason: str) -> None:
        """TERM now, KILL after `grace` seconds (None: what the spec says). Ended attempts are left alone."""
        if self.state == QUEUED:
            self._cause, self._stop_reason = "stopped", reason
            self.fail("stopped", "stopped before it was started")
        elif self.state == RUNNING:
            if self._cause is None:
                self._cause, self._stop_reason = "stopped", reason
            self._terminate(self.spec.limits.grace if grace is None else grace)

    def _on_time_limit(self) -> None:
        if self.state == RUNNING and self._cause is None:
            self._cause = "time-limit"
            self._terminate(self.spec.limits.grace)

    def _terminate(self, grace: float) -> None:
        if self._grace is not None:
            self._grace.cancel()
        if grace <= 0:
            self.kill()
            return
        self._grace = self._keeper.loop.later(grace, self.kill)
        self._send_term()

    def _send_term(self) -> None:
        if self.state != RUNNING:
            return
        members = self.members()
        for pid in members:
            processes.send(pid, 15)
        if not members:
            # A sandbox that is just being built: nothing in it could be told yet.
            self._keeper.loop.later(0.02, self._send_term)

    def members(self) -> list[int]:
        """The container's own processes: not bwrap, and not the helpers of execs."""
        launched = self.launched
        if launched is None or self.state == ENDED or self._init_gone:
            return []
        if launched.group is not None:
            found = launched.group.pids()
        elif launched.sandboxed:
            found = processes.descendants([self.init]) if self.init else []
        else:
            found = processes.descendants([launched.pid, *self._keeper.strays(self)])
        apart = self._keeper.helpers(self)
        if launched.sandboxed:
            if not (self.init and processes.children(self.init)):
                return []
            apart |= {launched.pid, self.init}
        return [pid for pid in found if pid not in apart]

    def kill(self) -> None:
        """KILL everything of the container."""
        launched = self.launched
        if launched is None or self.state == ENDED:
            return
        if self.init and not self._init_gone:
            processes.send(self.init, 9)
        if self._wait_status is None:
            processes.send(launched.pid, 9)
        if launched.group is not None:
            launched.group.kill()
        # Orphans; also bwrap's init, if bwrap died before it could tell of it.
        for pid in processes.descendants(self._keeper.strays(self)):
            processes.send(pid, 9)

    # Ending: first the whole tree, then what the pipes still hold, then the control group.

    def on_reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> None:
        """A process of this attempt was reaped: the main one, or bwrap's init."""
        launched = self.launched
        assert launched is not None
        # Of a sandbox bwrap's init has waited for the program, and the figures are its.
        self._own_cpu += usage.ru_utime + usage.ru_stime
        # Below our own peak the figure is only what a child inherits from us at its birth.
        if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self._own_peak = max(self._own_peak or 0, usage.ru_maxrss * 1024)
        if pid == self.init:
            self._init_gone = True
        if pid == launched.pid and self._wait_status is None:
            self._wait_status = status
            self._read_status()
            self.state = DRAINING
            for timer in (self._clock, self._grace):
                if timer is not None:
                    timer.cancel()
            self._keeper.end_execs(self)
            close(self._egress)
            self._deadline = time.monotonic() + TREE_SECONDS
        self.advance()

    def advance(self) -> None:
        """Take the next steps of the ending that are possible now; asks to be called again where one must wait."""
        if self.state != DRAINING:
            return
        if self._wakeup is not None:
            self._wakeup.cancel()
        if self._stage == _TREE:
            self._left = self._find_left()
            if self._left and time.monotonic() < self._deadline:
                self.kill()
                self._again()
                return
            if self._doubts and self._may_hide() and self._keeper.unattributed():
                self._doubts -= 1
                self._again()
                return
            self._next_stage(_OUTPUT, DRAIN_SECONDS)
        if self._stage == _OUTPUT:
            if self._output is not None and not self._output.closed:
                if time.monotonic() < self._deadline:
                    self._wakeup = self._keeper.loop.later(DRAIN_SECONDS, self.advance)
                    return
                self._output.close()
            self._figures = self._measure()
            self._next_stage(_GROUP, REMOVE_SECONDS)
        if not self._keeper.machine.free_group(self.launched) and time.monotonic() < self._deadline:
            self._again()
            return
        self._end(self._outcome())

    def hint(self) -> None:
        """Some process was reaped: maybe what this waits for."""
        if self._stage == _TREE:
            self.advance()

    def _next_stage(self, stage: int, seconds: float) -> None:
        self._stage = stage
        self._deadline = time.monotonic() + seconds
        self._retry = _FIRST_RETRY

    def _again(self) -> None:
        self._wakeup = self._keeper.loop.later(self._retry, self.advance)
        self._retry = min(2 * self._retry, _LAST_RETRY)

    def _find_left(self) -> list[int]:
        launched = self.launched
        assert launched is not None
        if self.init and not self._init_gone:
            # bwrap is dead: its init has come back to us, or bwrap had reaped it before.
            self._init_gone = processes.parent(self.init) != os.getpid()
        if self.init and not self._init_gone:
            return [self.init]
        if self._egress is not None and self._egress.alive:
            return [self._egress.pid]
        left = launched.group.pids() if launched.group is not None else []
        left = left or self._keeper.strays(self)
        if not left and launched.leased and launched.uid is not None:
            kill_user(launched.uid)
            left = processes.of_user(launched.uid)
        return left

    def _may_hide(self) -> bool:
        """Whether only the marks of processes tell what is this attempt's."""
        return self.launched is not None and not self.launched.sandboxed and self.launched.group is None

    def _measure(self) -> dict[str, Any]:
        group = self.launched.group if self.launched is not None else None
        peak = cpu = None
        if group is not None:
            peak, cpu = group.memory_peak(), group.cpu_seconds()
            self._out_of_memory = group.out_of_memory()
        elif self._keeper.machine.around is not None:
            self._out_of_memory = self._keeper.machine.around.out_of_memory()
        return {
            "memory_peak": self._own_peak if peak is None else peak,
            "cpu_seconds": round(self._own_cpu if cpu is None else cpu, 6),
        }

    def _outcome(self) -> dict[str, Any]:
        """Why it ended, and with what."""
        assert self._wait_status is not None
        code = os.waitstatus_to_exitcode(self._wait_status)
        exit_code: int | None = code if code >= 0 else None
        number: int | None = -code if code < 0 else None
        detail: str | None = None
        launched = self.launched
        if launched is not None and launched.sandboxed and number is None:
            if "exit-code" not in self._report or "missing" in self._report:
                reason, detail = why_never_ran(self.spec.argv[0], self._report, self._writer.directory)
                exit_code = None
            else:
                reason = "exit-code"
                told = int(self._report["exit-code"])
                exit_code = told
                if told - 128 in FATAL_SIGNALS:  # bwrap's way to tell a signal; a program's own 137 looks the same
                    exit_code, number = None, told - 128
        else:
            reason = "exit-code"
        if number is not None:
            reason = "signal"
        if self._out_of_memory and exit_code != 0:
            reason, detail = "out-of-memory", memory_words(self.spec.limits.memory)
        if self._cause is not None:  # also where its end came while it was let in
            reason, detail = self._cause, None
        elif self._refusal is not None:
            reason, detail = "launch-failed", self._refusal
        if self._left:
            detail = f"processes {self._left} could not be killed"
        return {"reason": reason, "exit_code": exit_code, "signal": number, "detail": detail}

    def _end(self, outcome: dict[str, Any]) -> None:
        self.state = ENDED
        close(self._egress)
        if self._output is not None:
            self._output.close()
        if self.launched is not None:
            self._keeper.loop.unwatch(self.launched.status_fd)
            for fd in (self.launched.status_fd, self.launched.go_fd):
                if fd >= 0:
                    os.close(fd)
        record = {"attempt_id": self.id, "kind": "ended", "at": now(), **outcome, **self._figures}
        record["log_bytes"] = self._writer.written
        record["log_truncated"] = self._writer.incomplete
        record["stop_reason"] = self._stop_reason
        self._keeper.emit(record)

    # Looking.

    def usage(self) -> dict[str, Any] | None:
        """What it uses now; None when it does not run."""
        launched = self.launched
        if launched is None or self.state != RUNNING:
            return None
        members = self.members()
        memory, cpu, count = processes.usage(members)
        group = launched.group
        peak = None
        if group is not None:
            memory = memory if (counted := group.memory()) is None else counted
            cpu = cpu if (spent := group.cpu_seconds()) is None else spent
            peak = group.memory_peak()
        return {"memory": memory, "memory_peak": peak, "cpu_seconds": round(cpu, 6), "pids": count}
