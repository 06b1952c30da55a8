"""Commands inside running jobs, over a WebSocket: one codec, a blocking session and one on asyncio."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, urlsplit

from dais.sdk.errors import BadAnswer, Conflict, DaisError, Invalid, NotFound, Unreachable, from_response
from dais.sdk.target import CONNECT_TIMEOUT, Target, is_loopback
from dais.sdk.websocket import MAX_MESSAGE, Closed, open_websocket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection as AsyncConnection

    from dais.sdk.websocket import Socket

STDIN, EOF, RESIZE, SIGNAL = 0, 1, 2, 3
READY, STDOUT, STDERR, EXIT = 0, 1, 2, 3
CHUNK = 64 << 10

_refusals: dict[str, type[DaisError]] = {"not-running": Conflict, "no-such-job": NotFound}


class Terminal(NamedTuple):
    """Size and type of a pseudo-terminal for a command."""

    rows: int = 24
    cols: int = 80
    term: str = "xterm-256color"


class ExecResult(NamedTuple):
    """How a command in a job ended (128 + n for signal n), and what it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class _Codec:
    """What both sessions share: the first answer is checked, the exit code is kept."""

    exit_code: int | None = None

    def accept(self, message: str | bytes) -> None:
        """The server's first message. Raises the typed error of a refusal."""
        kind, payload = _split(message)
        if kind != READY:
            raise BadAnswer(f"the server began with message {kind}", code="bad-answer")
        answer = _read(payload)
        if not answer.get("ok"):
            code = str(answer.get("error", "refused"))
            message = str(answer.get("message", "the server refused to run the command"))
            raise _refusals.get(code, Invalid)(message, code=code)

    def take(self, message: str | bytes) -> tuple[int, bytes] | None:
        """(STDOUT or STDERR, bytes); None once the command has ended."""
        kind, payload = _split(message)
        if kind == EXIT:
            code = _read(payload).get("exit_code")
            if not isinstance(code, int):
                raise BadAnswer("the server did not say how the command ended", code="bad-answer")
            self.exit_code = code
            return None
        return kind, payload


class ExecSession(_Codec):
    """A command that runs inside a job. Iterate for (STDOUT or STDERR, bytes); then `exit_code` is set.

    Sending may happen in another thread than iterating. Closing it before the end ends the command.
    """

    def __init__(self, connection: Socket) -> None:
        self._connection = connection

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self.exit_code is None:
            try:
                item = self.take(self._connection.recv())
            except Closed as error:
                raise _broken() from error
            if item is not None:
                yield item

    def send(self, data: bytes) -> None:
        """Bytes for its standard input; waits while it does not read them. Nothing happens once it has ended."""
        for start in range(0, len(data), CHUNK):
            self._send(STDIN, data[start : start + CHUNK])

    def send_eof(self) -> None:
        self._send(EOF)

    def resize(self, rows: int, cols: int) -> None:
        self._send(RESIZE, _size(rows, cols))

    def signal(self, name: str) -> None:
        """A signal by its name without SIG, as INT or TERM."""
        self._send(SIGNAL, name.encode("ascii"))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, kind: int, payload: bytes = b"") -> None:
        try:
            self._connection.send(bytes((kind,)) + payload)
        except Closed:
            return  # it has ended; whoever iterates is told how


class AsyncExecSession(_Codec):
    """As ExecSession, on asyncio."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        from websockets.exceptions import ConnectionClosed

        while self.exit_code is None:
            try:
                item = self.take(await self._connection.recv())
            except ConnectionClosed as error:
                raise _broken() from error
            if item is not None:
                yield item

    async def send(self, data: bytes) -> None:
        """Bytes for its standard input; waits while it does not read them."""
        for start in range(0, len(data), CHUNK):
            await self._send(STDIN, data[start : start + CHUNK])

    async def send_eof(self) -> None:
        await self._send(EOF)

    async def resize(self, rows: int, cols: int) -> None:
        await self._send(RESIZE, _size(rows, cols))

    async def signal(self, name: str) -> None:
        """A signal by its name without SIG."""
        await self._send(SIGNAL, name.encode("ascii"))

    async def close(self) -> None:
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, kind: int, payload: bytes = b"") -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(bytes((kind,)) + payload)
        except ConnectionClosed:
            return


def open_exec(
    target: Target,
    ref: str,
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    workdir: str | None,
    pty: Terminal | None,
    account: str | None,
) -> ExecSession:
    """Connect and start the command. Raises NotFound, Conflict, Invalid, Unreachable."""
    first = _first_message(argv, env, workdir, pty)
    try:
        session = ExecSession(open_websocket(target, _path(ref, account)))
    except OSError as error:
        raise _unreachable(target, error) from error
    try:
        session._connection.send(first)
        session.accept(session._connection.recv())
    except Closed as error:
        raise _broken() from error
    except BaseException:
        session.close()
        raise
    return session


async def open_exec_async(
    target: Target,
    ref: str,
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    workdir: str | None,
    pty: Terminal | None,
    account: str | None,
) -> AsyncExecSession:
    """As `open_exec`."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake

    first = _first_message(argv, env, workdir, pty)
    try:
        session = AsyncExecSession(await connect(**_options(target, _path(ref, account))))
    except (InvalidHandshake, OSError) as error:
        raise _refused(target, error) from error
    try:
        await session._connection.send(first)
        session.accept(await session._connection.recv())
    except ConnectionClosed as error:
        raise _broken() from error
    except BaseException:
        await session.close()
        raise
    return session


def collect(session: ExecSession, stdin: bytes) -> ExecResult:
    """Feed the command and keep what it prints, side by side, so that neither waits for the other."""
    feeder = threading.Thread(target=_feed, args=(session, stdin), daemon=True)
    feeder.start()
    printed: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
    for kind, data in session:
        printed.setdefault(kind, bytearray()).extend(data)
    assert session.exit_code is not None
    return ExecResult(session.exit_code, bytes(printed[STDOUT]), bytes(printed[STDERR]))


async def collect_async(session: AsyncExecSession, stdin: bytes) -> ExecResult:
    """As `collect`."""
    import asyncio

    async def feed() -> None:
        await session.send(stdin)
        await session.send_eof()

    feeder = asyncio.ensure_future(feed())
    printed: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
    try:
        async for kind, data in session:
            printed.setdefault(kind, bytearray()).extend(data)
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
    assert session.exit_code is not None
    return ExecResult(session.exit_code, bytes(printed[STDOUT]), bytes(printed[STDERR]))


def _feed(session: ExecSession, stdin: bytes) -> None:
    session.send(stdin)
    session.send_eof()


def _first_message(
    argv: Sequence[str], env: Mapping[str, str] | None, workdir: str | None, pty: Terminal | None
) -> str:
    if not argv:
        raise Invalid("there is no command to run", code="bad-exec", hint="write it after `--`")
    given = {"argv": list(argv), "env": dict(env or {}), "workdir": workdir, "pty": pty and pty._asdict()}
    message = json.dumps({name: value for name, value in given.items() if value}, ensure_ascii=False)
    try:
        message.encode()
    except UnicodeEncodeError as error:
        raise Invalid("the command is not valid UTF-8", code="bad-exec") from error
    return message


def _read(payload: bytes) -> dict[str, Any]:
    """A message's document; msgspec would take longer to import than a command to run. Raises BadAnswer."""
    try:
        document = json.loads(payload)
    except ValueError as error:
        raise BadAnswer(f"the server sent no document: {error}", code="bad-answer") from error
    if not isinstance(document, dict):
        raise BadAnswer("the server sent another document than is agreed on", code="bad-answer")
    return document


def _split(message: str | bytes) -> tuple[int, bytes]:
    if isinstance(message, str) or not message:
        raise BadAnswer("the server sent a message without a type", code="bad-answer")
    return message[0], message[1:]


def _size(rows: int, cols: int) -> bytes:
    return json.dumps({"rows": rows, "cols": cols}).encode()


def _path(ref: str, account: str | None) -> str:
    query = f"?account={quote(account, safe='')}" if account else ""
    return f"/v1/jobs/{quote(ref, safe='')}/exec{query}"


def _options(target: Target, path: str) -> dict[str, Any]:
    """For the `websockets` library."""
    scheme, _, rest = target.url.partition("://")
    options: dict[str, Any] = {
        "uri": f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}",
        "additional_headers": target.credentials("GET", path),
        "max_size": MAX_MESSAGE,
        "compression": None,
        "open_timeout": CONNECT_TIMEOUT * 2,
        "ping_interval": None,  # whoever does not read cannot answer in time, and has not died
    }
    if is_loopback(urlsplit(target.url).hostname or ""):
        options["proxy"] = None
    return options


def _refused(target: Target, error: Exception) -> DaisError:
    from websockets.exceptions import InvalidStatus

    if isinstance(error, InvalidStatus):
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        return from_response(error.response.status_code, bytes(error.response.body or b""), headers)
    return _unreachable(target, error)


def _unreachable(target: Target, error: Exception) -> DaisError:
    return Unreachable(
        f"{target.url} is not reachable ({error})",
        sent=False,
        hint="is it up? start it with `dais up`, or check DAIS_URL",
    )


def _broken() -> DaisError:
    return Unreachable(
        "the connection broke before the command ended; how it ended is not known",
        sent=True,
        hint="the command was ended with the connection; run it again when the server is back",
    )
