"""The session of a job: its kernels, and its runs one after the other."""

from __future__ import annotations

import signal
import subprocess
from collections import deque
from functools import partial

from dais.node.inside import code_batch
from dais.node.inside.code_files import Refused
from dais.node.inside.code_processes import BUILT_IN, Child, Kernel, installed_kernels
from dais.node.inside.code_runs import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from dais.node.inside.code_lines import Loop

MOST_WAITING = 100
MOST_ENDED = 100
ENDED_SECONDS = 600.0
"""How long a run that has ended can be asked for."""
INPUT_SECONDS = 3600.0
"""How long a run waits for input; then it is told that there is none."""
STOP_SECONDS = 5.0
"""How long what ran out of time may take to stop when it is interrupted."""
POLL = 0.05
KEPT_WORDS = 2000
"""Characters that are kept of what a kernel says while it starts."""


class Session:
    """`news` is called when something has happened to a run, `busy` when work begins and when there is none left."""

    def __init__(
        self,
        loop: Loop,
        python: Sequence[str],
        text: str,
        work: str,
        news: Callable[[Run], None],
        busy: Callable[[bool], None],
    ) -> None:
        self._loop = loop
        self._python = python
        self._text = text
        self._work = work
        self._news = news
        self._busy = busy
        self._kernels: dict[str, Kernel] = {}
        self._runs: dict[str, Run] = {}
        self._queue: deque[Run] = deque()
        self._step: Child | None = None
        self._completions: dict[str, Callable[[list[str]], None]] = {}
        self._input_timer: int | None = None
        self._asked = 0
        self.current: Run | None = None

    def status(self) -> dict[str, Any]:
        return {
            "current": self.current.id if self.current else None,
            "waiting": [run.id for run in self._queue],
            "started": sorted(self._kernels),
        }

    def find(self, run_id: str) -> Run:
        if run_id not in self._runs:
            raise Refused("no-such-run", f"there is no run {run_id!r} in this session (any more)")
        return self._runs[run_id]

    def begin(self, run_id: str, mode: str, kernel: str, code: str, steps: dict[str, str], timeout: float) -> Run:
        """Put a run into the queue. The same id twice is the same run, so that a question may be asked again."""
        known = self._runs.get(run_id)
        if known is not None:
            if (known.mode, known.code, known.steps) == (mode, code, steps):
                return known
            raise Refused("run-exists", f"there is another run {run_id!r} already; choose another id")
        if len(self._queue) >= MOST_WAITING:
            raise Refused("too-many-runs", f"{MOST_WAITING} runs wait already; wait for some of them to end")
        if mode == "query" and kernel not in self._kernels:
            _check_kernel(kernel)
        run = self._runs[run_id] = Run(run_id, mode, kernel, code, steps, timeout)
        self._queue.append(run)
        if self.current is None:
            self._busy(True)
            self._next()
        elif self.current.waiting is not None:
            self._tell_behind(run, self.current)
        return run

    def give(self, run: Run, text: str) -> None:
        """Input for a run that waits for it, or for the command of a batch run."""
        if run is not self.current:
            raise Refused("not-waiting", f"run {run.id} does not wait for input")
        if run.mode == "batch":
            if self._step is not None and self._step.process.stdin is not None:
                try:
                    self._step.process.stdin.write(f"{text}\n".encode("utf-8", "replace"))
                    self._step.process.stdin.flush()
                except (OSError, ValueError):
                    pass  # it reads no more
            return
        if run.waiting is None:
            raise Refused("not-waiting", f"run {run.id} does not wait for input")
        run.waiting = None
        self._loop.cancel(self._input_timer)
        self._kernels[run.kernel].send("input_reply", run.id, {"value": text})

    def interrupt(self) -> bool:
        """Interrupt what runs now. Returns whether something did."""
        run = self.current
        if run is None:
            return False
        run.waiting = None
        if run.mode == "batch":
            if self._step is not None:
                self._step.signal(signal.SIGINT)
        elif run.kernel == BUILT_IN:
            self._kernels[run.kernel].child.signal(signal.SIGINT)
        else:
            self._kernels[run.kernel].send("interrupt_request", run.id, {})
        return True

    def restart(self, name: str) -> None:
        """Start a kernel anew. Its run ends, and so do those that wait for it."""
        kernel = self._kernels.pop(name, None)
        waiting = [run for run in self._queue if run.mode == "query" and run.kernel == name]
        for run in waiting:
            self._queue.remove(run)
            run.now.log("warning", "the kernel was restarted before this ran")
            run.finish(128 + signal.SIGKILL)
            self._news(run)
        if kernel is not None:
            kernel.close()
            run_now = self.current
            if run_now is not None and run_now.mode == "query" and run_now.kernel == name:
                run_now.now.log("warning", "the kernel was restarted; its variables are gone")
                self._end(run_now, 128 + signal.SIGKILL)
        self.kernel(name)

    def complete(self, name: str, code: str, cursor: int, answer: Callable[[list[str]], None]) -> None:
        """Ask a kernel how a name may go on; one that is busy knows nothing."""
        if self.current is not None:
            answer([])
            return
        self._asked += 1
        number = f"complete-{self._asked}"
        self._completions[number] = answer
        self.kernel(name).send("complete_request", number, {"code": code, "cursor_pos": cursor})
        self._loop.later(3.0, lambda: self._completed(number, []))

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """A message to the built-in kernel, if it has been started."""
        if BUILT_IN in self._kernels:
            self._kernels[BUILT_IN].send(kind, "", content)

    def kernel(self, name: str) -> Kernel:
        """A kernel that has been started. Raises OSError."""
        kernel = self._kernels.get(name)
        if kernel is None:
            kernel = Kernel(self._loop, name, self._python, self._text, self._work, self._on_message, self._on_end)
            kernel.child.on_text = partial(self._printed_by, kernel)
            self._kernels[name] = kernel
        return kernel

    def sweep(self, now: float) -> None:
        """Forget runs that ended long ago."""
        ended = [run for run in self._runs.values() if run.over]
        for run in ended:
            if now - run.ended_at > ENDED_SECONDS or len(ended) > MOST_ENDED:
                for segment in run.segments:
                    segment.take()
                del self._runs[run.id]
                return

    def close(self) -> None:
        for kernel in list(self._kernels.values()):
            kernel.close()
        if self._step is not None:
            self._step.close()

    # Runs.

    def _next(self) -> None:
        while self.current is None and self._queue:
            run = self.current = self._queue.popleft()
            if run.timeout > 0:
                run.timer = self._loop.later(run.timeout, partial(self._too_late, run))
            try:
                if run.mode == "batch":
                    self._begin_step(run, 0)
                else:
                    content = {"code": run.code, "allow_stdin": True, "silent": False, "store_history": True}
                    self.kernel(run.kernel).send("execute_request", run.id, content)
            except OSError as error:
                run.now.log("error", f"this cannot be run: {error}")
                self._end(run, 126)
        if self.current is None:
            self._busy(False)

    def _end(self, run: Run, exit_code: int) -> None:
        self._loop.cancel(run.timer)
        self._loop.cancel(self._input_timer)
        run.finish(exit_code)
        self.current = None
        self._news(run)
        # From the loop: a thousand runs that fail at once must not be a thousand calls deep.
        self._loop.later(0.0, self._next) if self._queue else self._busy(False)

    def _too_late(self, run: Run) -> None:
        """Its time is up: it is interrupted, and ended if that does not help."""
        if run is self.current and not run.over:
            run.timed_out = True
            run.now.log("warning", f"it took longer than {run.timeout:g} s")
            self.interrupt()
            run.timer = self._loop.later(STOP_SECONDS, lambda: self._stop(run))

    def _stop(self, run: Run) -> None:
        if run is not self.current:
            return
        if run.mode == "batch" and self._step is not None:
            self._step.signal(signal.SIGKILL)
        else:
            self.restart(run.kernel)

    def _printed_by(self, kernel: Kernel, stream: str, text: str) -> None:
        """Past the streams of a kernel. Installed ones pass that on themselves, and print it, too; what they print
        before they are ready matters where they never become so."""
        if kernel.name == BUILT_IN:
            self._printed(stream, text)
        elif not kernel.ready:
            kernel.said = (kernel.said + text)[-KEPT_WORDS:]

    def _printed(self, stream: str, text: str) -> None:
        """What was written past the kernel's own streams: by programs that a cell started, by libraries."""
        if self.current is not None:
            self.current.now.text(stream, text)
            self._news(self.current)

    # Kernels.

    def _on_message(self, kernel: Kernel, message: dict[str, Any]) -> None:
        kind, content = message.get("msg_type"), message.get("content")
        if not isinstance(content, dict):
            return
        run = self.current
        if kind == "kernel_info_reply":
            kernel.ready = True
        if kind == "complete_reply":
            matches = content.get("matches")
            found = [str(match)[:500] for match in matches[:1000]] if isinstance(matches, list) else []
            self._completed(str(message.get("parent")), found)
        if run is None or message.get("parent") != run.id or run.mode != "query" or kernel.name != run.kernel:
            return
        if kind == "stream":
            run.now.text("stderr" if content.get("name") == "stderr" else "stdout", str(content.get("text", "")))
        elif kind in ("display_data", "execute_result"):
            run.show(content.get("data"))
        elif kind == "error":
            trace = content.get("traceback")
            lines = "\n".join(map(str, trace)) if isinstance(trace, list) else str(trace)
            run.now.text("stderr", f"{lines}\n")
            run.error = {"name": str(content.get("ename"))[:200], "value": str(content.get("evalue"))[:2000]}
        elif kind == "input_request":
            kernel.child.drain()
            run.now.text("stdout", str(content.get("prompt", "")))
            run.waiting = {"is_password": content.get("password") is True}
            self._input_timer = self._loop.later(INPUT_SECONDS, lambda: self._no_input(run))
            for behind in self._queue:
                self._tell_behind(behind, run)
        elif kind == "execute_reply":
            kernel.child.drain()
            code = content.get("exit_code")
            self._end(run, code if isinstance(code, int) and 0 <= code < 256 else 0)
            return
        self._news(run)

    def _tell_behind(self, run: Run, first: Run) -> None:
        """It comes after one that somebody has to do something about."""
        run.now.log("warning", f"run {first.id} comes first, and waits for input: give it some, or interrupt it")
        self._news(run)

    def _no_input(self, run: Run) -> None:
        if run is self.current and run.waiting is not None:
            run.now.log("warning", f"no input came within {INPUT_SECONDS:g} s")
            self.interrupt()

    def _completed(self, number: str, matches: list[str]) -> None:
        answer = self._completions.pop(number, None)
        if answer is not None:
            answer(matches)

    def _on_end(self, kernel: Kernel) -> None:
        """A kernel has gone by itself."""
        if self._kernels.get(kernel.name) is not kernel:
            return
        del self._kernels[kernel.name]
        try:
            kernel.child.process.wait(1)
        except subprocess.TimeoutExpired:
            pass
        code = kernel.close()
        run = self.current
        if run is not None and run.mode == "query" and run.kernel == kernel.name:
            how = f"by signal {code - 128}" if code > 128 else f"with exit code {code}"
            remedy = "; was it out of memory?" if code == 128 + signal.SIGKILL else ""
            run.now.log("error", f"the kernel ended {how}{remedy}; its variables are gone, the next run starts another")
            if not kernel.ready and kernel.said:
                run.now.text("stderr", kernel.said)
            run.error = {"name": "KernelDied", "value": how}
            self._end(run, code)

    # Steps.

    def _begin_step(self, run: Run, index: int) -> None:
        """Run the next step that there is. Raises OSError."""
        while index < len(code_batch.STEPS) and not run.steps.get(code_batch.STEPS[index][0]):
            index += 1
        if index == len(code_batch.STEPS):  # nothing is to be executed: how the last step ended is how the run did
            self._end(run, run.last_code)
            return
        name = code_batch.STEPS[index][0]
        argv = code_batch.command(name, run.steps[name])
        step = Child(self._loop, argv, code_batch.environment(), self._work, (), subprocess.PIPE)
        self._step = step
        step.on_text = self._printed
        self._watch_step(run, step, index, 0.002)

    def _watch_step(self, run: Run, step: Child, index: int, delay: float) -> None:
        code = step.code()
        if code is None:
            self._loop.later(delay, lambda: self._watch_step(run, step, index, min(POLL, delay * 1.5)))
            return
        step.drain()
        if step.process.stdin is not None:
            try:
                step.process.stdin.close()
            except OSError:
                pass
        step.close()
        self._step = None
        name, status = code_batch.STEPS[index]
        if run.timed_out or name == "exec":
            self._end(run, code)
        elif name == "build" and code != 0 and run.steps.get("exec"):
            run.finish_step(status, code)
            self._end(run, code_batch.BUILD_FAILED)
        else:
            run.finish_step(status, code)
            self._news(run)
            try:
                self._begin_step(run, index + 1)
            except OSError as error:
                run.now.log("error", f"this cannot be run: {error}")
                self._end(run, 126)


def _check_kernel(name: str) -> None:
    """Whether one of that name can be started. Raises Refused."""
    names = [found["name"] for found in installed_kernels()]
    if name not in names:
        raise Refused("no-such-kernel", f"there is no kernel {name!r} in this job; there are: {', '.join(names)}")
