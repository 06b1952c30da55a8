"""Kernels and steps of batch runs: processes of the runner, with their output."""

from __future__ import annotations

import codecs
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial

from dais.node.inside.code_connect import place
from dais.node.inside.code_lines import Lines, Loop, read_ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


BUILT_IN = "python"
"""The kernel that is always there."""
TURNS = 64
"""Pieces of output that are read at once, so that a flood leaves room for others."""


class Pipe:
    """What a process prints on one stream, decoded as it comes."""

    def __init__(self, loop: Loop, fd: int, on_text: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._on_text = on_text
        self._on_end = on_end
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.open = True
        os.set_blocking(fd, False)
        loop.watch(fd, selectors.EVENT_READ, lambda _events: self.read())

    def read(self, turns: int = 4) -> None:
        while self.open and turns:
            turns -= 1
            data = read_ready(self._fd)
            if data is None:
                return
            if not data:
                self.close()
                self._on_end()
                return
            self._on_text(self._decode(data))

    def close(self) -> None:
        if self.open:
            self.open = False
            self._loop.forget(self._fd)
            os.close(self._fd)


class Child:
    """A process in a session of its own, and what it prints."""

    def __init__(
        self, loop: Loop, argv: Sequence[str], env: dict[str, str], cwd: str, keep: Sequence[int], stdin: Any
    ) -> None:
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=keep,
            start_new_session=True,
            preexec_fn=partial(_begin, os.getpid()),
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.on_text: Callable[[str, str], None] = lambda _stream, _text: None
        self.pipes = [
            Pipe(loop, os.dup(self.process.stdout.fileno()), lambda text: self.on_text("stdout", text), self._ended),
            Pipe(loop, os.dup(self.process.stderr.fileno()), lambda text: self.on_text("stderr", text), self._ended),
        ]
        self.process.stdout.close()
        self.process.stderr.close()

    def _ended(self) -> None:
        pass

    def drain(self) -> None:
        """Take what has been printed already."""
        for pipe in self.pipes:
            pipe.read(TURNS)

    def signal(self, number: int) -> None:
        """To the process and what it has started, as a terminal would."""
        for send in (os.killpg, os.kill):
            try:
                send(self.process.pid, number)
                return
            except OSError:
                continue

    def code(self) -> int | None:
        """How it ended: 128 + n for signal n; None while it runs."""
        status = self.process.poll()
        return None if status is None else 128 - status if status < 0 else status

    def close(self) -> None:
        self.signal(signal.SIGKILL)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for pipe in self.pipes:
            pipe.close()


def _found_prctl() -> Any:
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, AttributeError, OSError):  # a Python without it
        return None


_prctl = _found_prctl()


def end_with_parent(number: int) -> None:
    """Let the kernel send this process a signal when its parent has gone; without ctypes it is not told."""
    if _prctl is not None:
        _prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG


def _begin(runner: int) -> None:
    """In a new process: it ends with the runner, and where memory runs out it goes before it, which tells of it."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() != runner:
        os._exit(1)
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:
            score = int(file.read())
            file.seek(0)
            file.write(str(min(1000, max(score, 0) + 500)))
    except OSError:
        pass


class Kernel:
    """A process that runs cells, and the messages to and from it: Jupyter's, one a line."""

    def __init__(
        self,
        loop: Loop,
        name: str,
        fallback: Sequence[str],
        text: str,
        cwd: str,
        on_message: Callable[[Kernel, dict[str, Any]], None],
        on_end: Callable[[Kernel], None],
    ) -> None:
        self.name = name
        self.ready = False
        self.said = ""
        """What it printed before it was ready."""
        ours, theirs = socket.socketpair()
        program = "dais.node.inside.code_python" if name == BUILT_IN else "dais.node.inside.code_jupyter"
        python = users_python()
        argv = [*([python] if python else fallback), "-c", text, program, str(theirs.fileno()), name, place()]
        env = {**os.environ, "TERM": "xterm", "PYTHONUNBUFFERED": "1"}
        env.setdefault("MPLBACKEND", "module://dais_inline" if name == BUILT_IN else env.get("MPLBACKEND", ""))
        if not env["MPLBACKEND"]:
            del env["MPLBACKEND"]
        try:
            self.child = Child(loop, argv, env, cwd, [theirs.fileno()], subprocess.DEVNULL)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        fd = ours.detach()
        self.lines = Lines(loop, (fd, fd), lambda message: on_message(self, message), lambda: on_end(self))

    def send(self, kind: str, parent: str, content: dict[str, Any]) -> None:
        self.lines.send({"msg_type": kind, "parent": parent, "content": content})

    def close(self) -> int:
        """End it; its exit code."""
        self.child.drain()
        code = self.child.code()
        if code is None:
            self.child.signal(signal.SIGTERM if self.name != BUILT_IN else signal.SIGKILL)
            try:
                self.child.process.wait(2)
            except subprocess.TimeoutExpired:
                pass
        self.child.close()
        self.lines.close()
        return self.child.code() or 0


def users_python() -> str | None:
    """The Python that the job itself would use: of its environment, of its image."""
    return shutil.which("python3") or shutil.which("python")


def installed_kernels() -> list[dict[str, str]]:
    """The kernels that are installed where the job's Python looks for them, beside the built-in one."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {BUILT_IN: {"name": BUILT_IN, "language": "python", "title": f"Python (built in, {version} or the job's)"}}
    for directory in _kernel_directories():
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names[:100]:
            try:
                with open(f"{directory}/{name}/kernel.json", encoding="utf-8") as file:
                    spec = json.loads(file.read(1 << 20))
                title, language = str(spec["display_name"])[:200], str(spec["language"])[:100]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found.setdefault(name[:100], {"name": name[:100], "language": language, "title": title})
    return list(found.values())


def _kernel_directories() -> list[str]:
    home = os.path.expanduser("~")
    given = os.environ.get("JUPYTER_PATH", "").split(":")
    python = users_python()
    prefixes = [os.environ.get("VIRTUAL_ENV", ""), os.path.dirname(os.path.dirname(python)) if python else ""]
    shared = [*(f"{prefix}/share/jupyter" for prefix in prefixes if prefix), "/usr/local/share/jupyter"]
    places = [*given, f"{home}/.local/share/jupyter", *shared, "/usr/share/jupyter"]
    return [f"{place}/kernels" for place in places if place]
