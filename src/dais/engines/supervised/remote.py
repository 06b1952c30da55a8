"""Supervisors on other machines: the server's side of the bridge (`dais.node.remote`), over mutual TLS 1.3.

Each supervisor has a certificate with a name of its own, the attempt's or the allocation's. Connections are made by
whichever side can: the server connects to where the node says that it listens, or the node has offered to connect to
this server's listener and is asked for a connection with a token that is good for once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from dais.engines.contract import ByteStream
from dais.engines.supervised.authority import Authority
from dais.engines.supervised.connector import Streams
from dais.engines.supervised.frames import pack
from dais.engines.supervised.plain import read_plain
from dais.engines.supervised.streams import PartStream
from dais.node.places import own_addresses
from dais.node.streams import (
    GREET_SECONDS,
    Acceptor,
    connect_tls,
    read_body,
    tls_context,
    valid_name,
    words,
)
from dais.node.wireframes import FrameError

_MOST_ADDRESSES = 64 << 10
_log = logging.getLogger(__name__)

SERVER_NAME = "dais-server"
"""What the server's certificate says; no node has it."""
SERVER_SECONDS = 3650 * 86400.0
REACH_SECONDS = 15.0
"""What reaching a node may take, by all ways together."""
AGAIN_SECONDS = 0.25
"""Between attempts to connect to a node that may listen soon."""
HEAD_START = 0.3
"""Seconds that the way that worked last has before the other is tried as well."""
BACKLOG = 512


Way = Callable[[], Awaitable[Streams]]


class _Said(msgspec.Struct):
    """A frame from a bridge."""

    op: str
    token: str = ""


class _Addresses(msgspec.Struct):
    addresses: list[tuple[str, int]] = []


class RemoteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How nodes and the server may find each other.

    `listen` is where the server takes connections of nodes (None: nowhere), `public` what nodes are told to connect to
    (None: `listen`; where that is every address, each that this machine has). `ports` are those that a node may listen
    on, the first and the last (0, 0: any; None: it does not listen). `watch` is in seconds: after so many a silent
    connection is known to be cut.
    """

    listen: tuple[str, int] | None = None
    public: tuple[str, int] | None = None
    ports: tuple[int, int] | None = (0, 0)
    watch: float = 60.0


class Remote:
    """The server's side of every remote supervisor. `open` it before anything else; more than once is fine."""

    def __init__(self, authority: Authority, options: RemoteOptions | None = None) -> None:
        self._authority = authority
        self._options = options or RemoteOptions()
        self._acceptor: Acceptor | None = None
        self._offers: dict[str, asyncio.StreamWriter] = {}
        self._expected: dict[str, asyncio.Event] = {}
        self._awaited: dict[str, tuple[str, asyncio.Future[Streams]]] = {}
        self._public: list[tuple[str, int]] = []

    async def open(self) -> None:
        """Listen, where that is wanted. Raises OSError."""
        if self._acceptor is not None:
            return
        certificate, proof = self._authority.certificate, self._authority.issue(SERVER_NAME, SERVER_SECONDS)
        given = {"authority": certificate, "certificate": proof.certificate, "key": proof.key}
        self.as_client = tls_context(listens=False, **given)
        acceptor = Acceptor(tls_context(listens=True, **given), self._serve, _note_refused, self._options.watch)
        if self._options.listen is not None:
            host, port = self._options.listen
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
            acceptor.listen(listener)
            port = listener.getsockname()[1]
            every = [(own, port) for own in own_addresses([])] if _is_every(host) else []
            self._public = [self._options.public] if self._options.public else every or [(host, port)]
        self._acceptor = acceptor

    async def close(self) -> None:
        """Let go of every node; what runs there goes on."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            await acceptor.close()

    @property
    def watch(self) -> float:
        return self._options.watch

    def invite(self, name: str, seconds: float, address_file: Path | None = None) -> bytes:
        """What a supervisor is given with `--remote`, so that it can be reached under `name` for so many seconds.

        It holds a key: hand it over by standard input, or by a file that only the supervisor's user may read and that
        no container has mounted; the supervisor removes it. Raises ValueError for what cannot be a name.
        """
        if name == SERVER_NAME:
            raise ValueError(f"{name!r} is the server's own name")
        proof = self._authority.issue(valid_name(name), seconds)
        return msgspec.json.encode(
            {
                "authority": self._authority.certificate,
                "certificate": proof.certificate,
                "key": proof.key,
                "server_name": SERVER_NAME,
                "ports": self._options.ports if address_file is not None else None,
                "address_file": None if address_file is None else str(address_file.absolute()),
                "dial": self._public,
                "watch": self._options.watch,
            }
        )

    def expect(self, name: str) -> None:
        """From now on this node is let in."""
        self._expected.setdefault(name, asyncio.Event())

    def forget(self, name: str) -> None:
        """It is let in no more, whatever its certificate says; what it holds open is closed."""
        expected = self._expected.pop(name, None)
        if expected is not None:
            expected.set()  # whoever waits for an offer of it gives up
        offer = self._offers.pop(name, None)
        if offer is not None:
            offer.transport.abort()

    async def ask(self, name: str) -> Streams:
        """A connection that the node makes to this server. Waits for its offer; cancel it to give up."""
        while (offer := self._offers.get(name)) is None:
            if name not in self._expected:
                raise ConnectionError(f"{name} is not expected any more")
            await self._expected[name].wait()
        token = secrets.token_urlsafe(32)
        answer: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self._awaited[token] = (name, answer)
        try:
            offer.write(pack({"op": "open", "token": token}))
            await offer.drain()
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():
                answer.result()[1].transport.abort()
            raise
        finally:
            self._awaited.pop(token, None)

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection that a node has made: an offer, or what it was asked for."""
        if name not in self._expected:
            raise ConnectionError("it is not expected (any more)")
        async with asyncio.timeout(GREET_SECONDS):
            said = _parse(await read_body(reader, 1 << 16))
        if said.op == "opened":
            asked, answer = self._awaited.pop(said.token, (None, None))
            if answer is None or asked != name or answer.done():
                raise ConnectionError("it opened what nobody has asked it for")
            answer.set_result((reader, writer))
        elif said.op == "offer":
            await self._hold(name, reader, writer)
        else:
            raise FrameError(f"a connection begins with offer or opened, not with {said.op[:50]!r}")

    async def _hold(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        before, self._offers[name] = self._offers.get(name), writer
        if before is not None:
            before.transport.abort()
        expected = self._expected[name]
        expected.set()
        try:
            while await read_body(reader, 1 << 16) is not None:
                pass  # what a newer bridge has to say
        finally:
            writer.transport.abort()
            if self._offers.get(name) is writer:
                del self._offers[name]
                if name in self._expected:
                    expected.clear()
            for asked, answer in self._awaited.values():
                if asked == name and not answer.done():
                    answer.set_exception(ConnectionResetError("the node's offer was lost"))


class RemoteConnector:
    """A way to the supervisor of one name. Its node is let in from `__init__` to `close`."""

    def __init__(self, remote: Remote, name: str, address_file: Path | None = None) -> None:
        self._remote = remote
        self._name = name
        self._address_file = address_file
        self._ways: list[Way] = [self._connect, self._ask]
        self._problems: dict[Way, str] = {}
        remote.expect(name)

    def close(self) -> None:
        """The node is not let in any more. What was opened stays open, for whoever has it to close."""
        self._remote.forget(self._name)

    async def reach(self) -> Streams:
        return await self.open()

    async def open(self) -> Streams:
        """Both ways at once, the one that worked last a little before the other; the first that is there is taken."""
        self._problems.clear()
        try:
            async with asyncio.timeout(REACH_SECONDS), _racing(self._ways) as racing:
                async for way, outcome in racing:
                    if isinstance(outcome, tuple):
                        self._ways.sort(key=lambda other: other is not way)
                        return outcome
                    self._problems[way] = words(outcome)
        except TimeoutError:
            pass
        problems = "; ".join(self._problems.values())
        raise ConnectionError(f"no connection within {REACH_SECONDS:g} s: {problems or 'it has offered none'}")

    async def dial(self, request: bytes) -> tuple[bytes, ByteStream | None]:
        reader, writer = await self.open()
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(REACH_SECONDS):
                answer = await read_body(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if answer is None:
            raise ConnectionResetError("the node supervisor ended the connection without an answer")
        return answer, PartStream(reader, writer)

    def explain(self, problem: str) -> str:
        return f"the node supervisor {self._name} cannot be reached ({problem})"

    async def _connect(self) -> Streams:
        """To where the node says that it listens, now or soon, at all of its addresses at once."""
        if self._address_file is None:
            raise ConnectionError("it does not listen")
        while True:
            try:
                told = await asyncio.to_thread(_read_addresses, self._address_file)
                ways = [_Address(self._remote, self._name, host, port) for host, port in told]
                problems = []
                async with _racing(ways, pause=0.1) as racing:
                    async for _, outcome in racing:
                        if isinstance(outcome, tuple):
                            return outcome
                        problems.append(words(outcome))
                self._problems[self._connect] = ", ".join(problems)
            except OSError as error:
                self._problems[self._connect] = words(error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _ask(self) -> Streams:
        """By the node's offer; one that was lost is waited for again."""
        while True:
            try:
                return await self._remote.ask(self._name)
            except ConnectionResetError as error:
                self._problems[self._ask] = words(error)


class _Address:
    """One of a node's addresses."""

    def __init__(self, remote: Remote, name: str, host: str, port: int) -> None:
        self._remote = remote
        self._name = name
        self._host = host
        self._port = port

    async def __call__(self) -> Streams:
        remote = self._remote
        reader, writer = await connect_tls(self._host, self._port, remote.as_client, self._name, remote.watch)
        try:
            async with asyncio.timeout(GREET_SECONDS):
                # Only now it is certain that the node has accepted our certificate, too.
                said = _parse(await read_body(reader, 1 << 16))
            if said.op != "ready":
                raise FrameError(f"the node said {said.op[:50]!r} instead of ready")
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer


@contextlib.asynccontextmanager
async def _racing(
    ways: Sequence[Way], pause: float = HEAD_START
) -> AsyncIterator[AsyncIterator[tuple[Way, Streams | OSError]]]:
    """Try ways at once, each a little after the one before it; outcomes as they come.

    Whatever else is opened is closed at the end.
    """
    outcomes: asyncio.Queue[tuple[Way, Streams | OSError]] = asyncio.Queue()

    async def one(way: Way, delay: float) -> None:
        try:
            await asyncio.sleep(delay)
            found: Streams | OSError = await way()
        except OSError as error:
            found = error
        outcomes.put_nowait((way, found))

    async def as_they_come() -> AsyncIterator[tuple[Way, Streams | OSError]]:
        for _ in range(len(tasks)):
            yield await outcomes.get()

    tasks = [asyncio.create_task(one(way, pause * index)) for index, way in enumerate(ways)]
    try:
        yield as_they_come()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while not outcomes.empty():
            _, unwanted = outcomes.get_nowait()
            if isinstance(unwanted, tuple):
                unwanted[1].transport.abort()


def _is_every(host: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


def _parse(body: bytes | None) -> _Said:
    if body is None:
        raise ConnectionResetError("the connection ended before a word was said")
    try:
        return msgspec.json.decode(body, type=_Said)
    except msgspec.DecodeError as error:
        raise FrameError(f"what was said is not understood: {error}") from error


def _read_addresses(path: Path) -> list[tuple[str, int]]:
    """Raises OSError."""
    said = read_plain(path, _MOST_ADDRESSES)
    if not said:
        raise ConnectionError(f"the node has not written {path} yet")
    try:
        return msgspec.json.decode(said, type=_Addresses).addresses
    except msgspec.DecodeError as error:
        raise ConnectionError(f"{path} is not understood: {error}") from error


def _note_refused(why: str) -> None:
    _log.info("the listener for nodes refused %s", why)
