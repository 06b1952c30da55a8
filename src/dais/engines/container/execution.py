"""A command inside a running container, through the daemon's exec."""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import secrets
import signal as signals
from collections.abc import Sequence

from dais.engines.container.daemon import Daemon, Said
from dais.engines.container.hijack import Hijacked
from dais.engines.container.kit import command
from dais.engines.container.memory import Memory
from dais.engines.container.store import Kept
from dais.engines.contract import STDOUT, CommandNotFound, LaunchRefused, Terminal

BEGIN_SECONDS = 60.0
VANISHED = 128 + 9
"""The exit code where nobody knows it: the container ended with it."""
MARK = "DAIS_EXEC"
SERVER = secrets.token_hex(8)
"""The mark of what this process begins; what bears another one lost its server."""
_line_limit = 1 << 16


async def start_exec(
    daemon: Daemon,
    memory: Memory,
    kept: Kept,
    argv: Sequence[str],
    *,
    env: dict[str, str],
    workdir: str | None,
    pty: Terminal | None,
) -> ContainerExec:
    """Start a command. Raises LookupError, CommandNotFound, LaunchRefused, OSError."""
    launch = await asyncio.to_thread(memory.launched, kept.attempt_id)
    if not argv or any("\0" in word for word in argv):
        raise LaunchRefused("the command is empty, or has a NUL in it")
    added = {**env, **({"TERM": pty.term} if pty is not None and "TERM" not in env else {}), MARK: SERVER}
    request = {
        "argv": [os.fsencode(word) for word in argv],
        "env": {**launch["env"], **{os.fsencode(k): os.fsencode(v) for k, v in added.items()}},
        "workdir": os.fsencode(workdir) if workdir else launch["workdir"],
        "pty": (pty.rows, pty.cols) if pty is not None else None,
    }
    name = f"exec-{secrets.token_hex(8)}"
    try:
        await asyncio.to_thread(memory.put, kept.attempt_id, name, marshal.dumps(request, 2), kept.user)
        async with asyncio.timeout(BEGIN_SECONDS):
            return await _begin(daemon, kept, name, pty is not None)
    except FileNotFoundError as error:
        raise LookupError(f"attempt {kept.attempt_id} does not run any more") from error
    finally:
        await asyncio.to_thread(memory.take_away, kept.attempt_id, name)


async def end_strays(daemon: Daemon, kept: Kept) -> None:
    """End the commands in a container whose server has gone, as those of other engines end with their connection."""
    with contextlib.suppress(LookupError, LaunchRefused, Said):  # it has ended meanwhile
        exec_id = await _create(daemon, kept, command("sweep", SERVER), tty=False, stdin=False)
        await daemon.post(f"exec/{exec_id}/start", {"Detach": True, "Tty": False})


async def _begin(daemon: Daemon, kept: Kept, name: str, tty: bool) -> ContainerExec:
    exec_id = await _create(daemon, kept, command("run", name), tty=tty, stdin=True)
    try:
        stream = await daemon.hijack(f"exec/{exec_id}/start", {"Detach": False, "Tty": tty})
    except Said as error:
        raise _gone_or_refused(error, kept) from error
    stream.tty = tty
    try:
        pid, rest = await _first_line(stream, kept)
    except BaseException:
        await stream.close()
        raise
    return ContainerExec(daemon, kept, exec_id, stream, pid, rest)


async def _create(daemon: Daemon, kept: Kept, argv: list[str], *, tty: bool, stdin: bool) -> str:
    body = {
        "AttachStdin": stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": tty,
        "Cmd": argv,
        "User": "{}:{}".format(*kept.user),
        "WorkingDir": "/",
        "Privileged": False,
    }
    try:
        answer = await daemon.post(f"containers/{kept.container}/exec", body)
    except Said as error:
        raise _gone_or_refused(error, kept) from error
    return str(answer["Id"])


def _gone_or_refused(error: Said, kept: Kept) -> Exception:
    if error.status in (404, 409):
        return LookupError(f"attempt {kept.attempt_id} does not run any more")
    return LaunchRefused(f"the command cannot be started: {error}")


async def _first_line(stream: Hijacked, kept: Kept) -> tuple[int, bytes]:
    """The process id that the command begins with, and what has come after that. Raises what it says instead."""
    seen = b""
    while b"\n" not in seen and len(seen) < _line_limit:
        item = await stream.receive()
        if item is None:
            if seen:
                break
            raise LookupError(f"attempt {kept.attempt_id} does not run any more")
        seen += item[1]
    line, _, rest = seen.partition(b"\n")
    line = line.rstrip(b"\r")
    if line.startswith(b"+") and line[1:].isdigit():
        return int(line[1:]), rest
    reason, _, words = line.removeprefix(b"-").decode("utf-8", "replace").partition("\0")
    if reason == "command-not-found":
        raise CommandNotFound(words)
    raise LaunchRefused(words or seen.decode("utf-8", "replace")[:2000])


class ContainerExec:
    """The command's ends: stdin by `send`, output and exit code by `receive`."""

    def __init__(self, daemon: Daemon, kept: Kept, exec_id: str, stream: Hijacked, pid: int, rest: bytes) -> None:
        self._daemon = daemon
        self._kept = kept
        self._id = exec_id
        self._stream = stream
        self._pid = pid
        self._rest = rest
        self._code: int | None = None

    async def send(self, data: bytes) -> None:
        if self._code is None:
            with contextlib.suppress(OSError, RuntimeError):  # what has ended reads nothing, as a pipe without a reader
                await self._stream.send(data)

    async def send_eof(self) -> None:
        if self._code is None:
            with contextlib.suppress(OSError, RuntimeError):
                if self._stream.tty:
                    await self._stream.send(b"\x04")
                else:
                    await self._stream.send_eof()

    async def resize(self, rows: int, cols: int) -> None:
        with contextlib.suppress(Said):
            await self._daemon.post(f"exec/{self._id}/resize", h=str(rows), w=str(cols))

    async def signal(self, name: str) -> None:
        number = signals.Signals[f"SIG{name}"]
        with contextlib.suppress(LookupError, Said):
            argv = command("tell", str(self._pid), str(int(number)))
            exec_id = await _create(self._daemon, self._kept, argv, tty=False, stdin=False)
            await self._daemon.post(f"exec/{exec_id}/start", {"Detach": True, "Tty": False})

    async def receive(self) -> tuple[int, bytes] | int:
        if self._rest:
            rest, self._rest = self._rest, b""
            return STDOUT, rest
        if self._code is None:
            try:
                item = await self._stream.receive()
            except OSError:
                item = None
            if item is not None:
                return item
            self._code = await self._exit_code()
        return self._code

    async def close(self) -> None:
        if self._code is None:
            with contextlib.suppress(OSError, LaunchRefused):
                await self.signal("KILL")
        await self._stream.close()

    async def _exit_code(self) -> int:
        """The daemon may know it a moment after the output has ended."""
        for _ in range(100):
            try:
                facts = await self._daemon.get(f"exec/{self._id}/json")
            except (Said, OSError):
                return VANISHED
            if not facts.get("Running"):
                code = facts.get("ExitCode")
                return VANISHED if code is None else int(code)
            await asyncio.sleep(0.05)
        return VANISHED
