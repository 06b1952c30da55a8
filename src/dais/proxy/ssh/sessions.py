"""Shells, commands and subsystems: something that runs in the job, and a channel to it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from typing import TYPE_CHECKING

import asyncssh

from dais.compute import ActivityKind, Work, program, run_program
from dais.engines.contract import STDERR, ExecStream, Terminal
from dais.kit.errors import DaisError
from dais.proxy.ssh.commands import explanation, shell_argv
from dais.proxy.ssh.pouring import Inbox, Tap

if TYPE_CHECKING:
    from dais.proxy.ssh.connection import Connection

log = logging.getLogger(__name__)

SIGNALS = frozenset(
    {"ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"}
)
"""Those of RFC 4254."""
REFUSED = 255
"""What a command ends with that could not be begun: OpenSSH's own code for that."""
LARGEST_WINDOW = 1000
NOTE_SECONDS = 5.0

_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class JobSession(asyncssh.SSHServerSession[bytes]):
    """One channel, from its requests to the exit code. A client that goes away takes the command with it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tap = Tap()
        self._task: asyncio.Task[None] | None = None
        self._pty: Terminal | None = None
        self._wanted: tuple[str, str] = ("shell", "")
        self._stream: ExecStream | None = None
        self._steering: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue(64)

    # -- what the client asks for ------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan
        self._connection.sessions.add(self)
        self._inbox = Inbox(chan.pause_reading, chan.resume_reading)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:
        rows, cols = _sane(term_size[1], 24), _sane(term_size[0], 80)
        known = term_type.isascii() and term_type.isprintable() and 0 < len(term_type) <= 64
        self._pty = Terminal(rows=rows, cols=cols, term=term_type if known else "xterm")
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._wanted = ("exec", command)
        return "\0" not in command

    def subsystem_requested(self, subsystem: str) -> bool:
        self._wanted = ("subsystem", subsystem)
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._inbox.put(data)

    def eof_received(self) -> bool:
        self._inbox.end()
        return True  # the command may have more to say

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._steer("resize", _sane(height, 24), _sane(width, 80))

    def signal_received(self, signal: str) -> None:
        if signal in SIGNALS:
            self._steer(signal)

    def break_received(self, msec: int) -> bool:
        self._steer("INT")
        return True

    def pause_writing(self) -> None:
        self._tap.close()

    def resume_writing(self) -> None:
        self._tap.open()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.sessions.discard(self)
        if self._task is not None:
            self._task.cancel()

    def _steer(self, what: str, rows: int = 0, cols: int = 0) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # whoever sends so many does not need each of them
            self._steering.put_nowait((what, rows, cols))

    # -- what runs ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Begin what was asked for, carry its bytes, and tell how it ended."""
        code = REFUSED
        try:
            work = await self._connection.visit.enter()
            self._stream = await self._begin(work)
            code = await self._converse(work, self._stream)
        except DaisError as error:
            self.say(error.message)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a channel of SSH ended by a mistake of Dais")
            self.say("this went wrong inside Dais; its log says how")
        finally:
            if self._stream is not None:
                await self._stream.close()
            self._chan.exit(code)

    async def _begin(self, work: Work) -> ExecStream:
        compute = self._connection.visit.compute
        what, words = self._wanted
        env = self._environment() | await self._connection.agent_variables(work)
        if what == "subsystem":
            return await run_program(compute, work, program(words), env=env)
        argv = shell_argv(words if what == "exec" else None)
        return await compute.exec(work, argv, env=env, workdir=None, pty=self._pty)

    async def _converse(self, work: Work, stream: ExecStream) -> int:
        kind: ActivityKind = "terminal" if self._pty is not None else "exec"
        loop = asyncio.get_running_loop()
        helpers = [loop.create_task(self._inward(work, stream, kind)), loop.create_task(self._steered(stream))]
        try:
            with self._connection.visit.compute.activity.open(work.run_id, kind):
                code = await self._outward(stream)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        if note := explanation(self._wanted[1], code):
            self.say(note)
        return code

    async def _inward(self, work: Work, stream: ExecStream, kind: ActivityKind) -> None:
        loop = asyncio.get_running_loop()
        noted = 0.0
        activity = self._connection.visit.compute.activity
        while data := await self._inbox.take():
            await stream.send(data)
            if (now := loop.time()) > noted + NOTE_SECONDS:
                noted = now
                activity.note(work.run_id, kind)
        await stream.send_eof()

    async def _steered(self, stream: ExecStream) -> None:
        while True:
            what, rows, cols = await self._steering.get()
            if what == "resize":
                await stream.resize(rows, cols)
            else:
                await stream.signal(what)

    async def _outward(self, stream: ExecStream) -> int:
        while True:
            item = await stream.receive()
            if isinstance(item, int):
                return item
            kind, data = item
            await self._tap.wait()
            self._chan.write(data, asyncssh.EXTENDED_DATA_STDERR if kind == STDERR else None)

    def _environment(self) -> dict[str, str]:
        """What the client sent along, less what is Dais's own to say."""
        sent = self._chan.get_environment()
        kept = {
            name: value
            for name, value in sent.items()
            if _name.fullmatch(name) and not name.startswith(("DAIS_", "EAI_")) and "\0" not in value
        }
        return kept | self._connection.variables

    def say(self, message: str) -> None:
        """A line for the person, on stderr; a terminal wants it on a line of its own."""
        end = b"\r\n" if self._pty is not None else b"\n"
        with contextlib.suppress(OSError):
            self._chan.write(b"dais: " + message.encode() + end, asyncssh.EXTENDED_DATA_STDERR)


def _sane(size: int, otherwise: int) -> int:
    return size if 0 < size <= LARGEST_WINDOW else otherwise
