"""A command inside a running container, over a connection of its own to the supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from dais.engines.contract import STDERR, STDOUT, CommandNotFound, LaunchRefused, Terminal
from dais.engines.supervised.connector import Connector
from dais.engines.supervised.frames import pack, pack_typed
from dais.node import OLDEST
from dais.node.streams import read_body
from dais.node.wireframes import FrameError

_stdin, _eof, _resize, _signal = range(4)
_ready, _out, _err, _exit = range(4)

CHUNK = 64 << 10
"""Bytes of stdin in one frame."""
VANISHED = 128 + 9
"""The exit code when the supervisor went away in the midst: it has killed what ran."""


class _Ready(msgspec.Struct):
    ok: bool = False
    error: str = ""
    message: str = ""


class _Exit(msgspec.Struct):
    exit_code: int | None = None
    signal: int | None = None


async def start_exec(
    connector: Connector,
    attempt_id: str,
    argv: Sequence[str],
    *,
    env: dict[str, str],
    workdir: str | None,
    pty: Terminal | None,
) -> SupervisedExec:
    """Start a command. Raises LookupError, LaunchRefused, or OSError when the supervisor does not answer."""
    reader, writer = await connector.open()
    request = {
        "op": "exec",
        "protocol": OLDEST,
        "attempt_id": attempt_id,
        "argv": list(argv),
        "env": env,
        "workdir": workdir,
        "pty": pty,
    }
    try:
        writer.write(pack(request))
        await writer.drain()
        body = await read_body(reader)
        if body is None or body[:1] != bytes([_ready]):
            raise ConnectionError("the node supervisor ended the connection before the command began")
        answer = msgspec.json.decode(body[1:], type=_Ready)
    except BaseException:
        writer.close()
        raise
    if answer.ok:
        return SupervisedExec(reader, writer)
    writer.close()
    if answer.error in ("not-running", "unknown-attempt"):
        raise LookupError(answer.message or f"attempt {attempt_id} does not run")
    refusal = CommandNotFound if answer.error == "command-not-found" else LaunchRefused
    raise refusal(answer.message or answer.error)


class SupervisedExec:
    """The command's ends: stdin by `send`, output and exit code by `receive`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._code: int | None = None

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            await self._send(_stdin, data[start : start + CHUNK])

    async def send_eof(self) -> None:
        await self._send(_eof, b"")

    async def resize(self, rows: int, cols: int) -> None:
        await self._send(_resize, msgspec.json.encode({"rows": rows, "cols": cols}))

    async def signal(self, name: str) -> None:
        await self._send(_signal, name.encode("ascii"))

    async def receive(self) -> tuple[int, bytes] | int:
        while self._code is None:
            body = await read_body(self._reader)
            if body is None:
                self._code = VANISHED
                break
            kind, payload = body[0], body[1:]
            if kind in (_out, _err):
                return (STDOUT if kind == _out else STDERR), payload
            if kind == _exit:
                end = msgspec.json.decode(payload, type=_Exit)
                self._code = 128 + end.signal if end.signal is not None else end.exit_code or 0
            elif kind != _ready:
                raise FrameError(f"the node supervisor sent a frame of the unknown type {kind}")
        return self._code

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass

    async def _send(self, kind: int, payload: bytes) -> None:
        """What is sent to a command that has ended is dropped, as a pipe without a reader would."""
        if self._code is not None:
            return
        try:
            self._writer.write(pack_typed(kind, payload))
            await self._writer.drain()
        except OSError:
            pass
