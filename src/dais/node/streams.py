"""Frames and TLS over asyncio streams, for whoever speaks to a supervisor from another process or machine.

The supervisor itself has none of this: it knows its Unix socket alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import struct

from dais.node.launcher import connect
from dais.node.wireframes import MAX_FRAME, FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHUNK = 256 << 10
"""Bytes that are read at once."""
PART = 1 << 20
"""The most bytes in one frame of a dialled connection; fewer at once are faster."""
ANSWER_SECONDS = 20.0
"""What a supervisor may take to answer; it gives up before."""
GREET_SECONDS = 10.0
"""What TLS may take, and then the first frame."""
MOST_UNGREETED = 128
"""Connections that may be in the midst of TLS at once; one more takes the place of the oldest."""
SHUTDOWN_SECONDS = 2.0
"""What saying goodbye may take."""

_LENGTH = struct.Struct(">I")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


async def read_body(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> bytes | None:
    """The next frame's body; None at the end of the connection. Raises FrameError for one larger than `limit`."""
    head = await _exactly(reader, 4)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise FrameError(f"a frame of {length} bytes is larger than the {limit} that are allowed")
    return await _exactly(reader, length)


async def _exactly(reader: asyncio.StreamReader, count: int) -> bytes | None:
    try:
        return await reader.readexactly(count)
    except (asyncio.IncompleteReadError, OSError):  # however it was lost
        return None


def words(error: OSError) -> str:
    """What went wrong; a time limit says nothing by itself."""
    return str(error) or type(error).__name__


def valid_name(name: str) -> str:
    """A name that a certificate may bear: small letters, digits and dashes. Raises ValueError."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} cannot be the name of a certificate: at most 63 of a-z, 0-9 and dashes inside")
    return name


def tls_context(*, listens: bool, authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.3 with our certificate, for peers that have one of the same authority (all are PEM texts).

    The name in the peer's certificate is looked at by `peer_name`. Raises ssl.SSLError for what is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # addresses are not what certificates are about
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority)
    if listens:
        context.num_tickets = 0  # a connection is never resumed
    # Only files can be loaded; this one is in memory.
    held = os.memfd_create("dais", os.MFD_CLOEXEC)
    try:
        os.write(held, f"{certificate}\n{key}".encode())
        context.load_cert_chain(f"/proc/self/fd/{held}")
    finally:
        os.close(held)
    return context


def peer_name(writer: asyncio.StreamWriter) -> str:
    """The one name in the certificate of the peer, which TLS has verified. Raises ConnectionError."""
    certificate = writer.get_extra_info("peercert") or {}
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if len(names) != 1:
        raise ConnectionError(f"a certificate with the names {names} is none of ours")
    return str(names[0])


def keep_watch(sock: socket.socket, seconds: float) -> None:
    """Let the kernel notice within about so many seconds that the other side is gone, also when nothing is said."""
    pause = max(1, round(seconds / 4))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, pause)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, pause)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def connect_tls(
    host: str, port: int, context: ssl.SSLContext, name: str, watch: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to whoever proves to be `name`. Raises OSError, also when it is somebody else."""
    async with asyncio.timeout(GREET_SECONDS):
        reader, writer = await asyncio.open_connection(
            host,
            port,
            limit=2 * CHUNK,
            ssl=context,
            server_hostname=name,
            ssl_handshake_timeout=GREET_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )
    try:
        if (told := peer_name(writer)) != name:
            raise ConnectionError(f"{host}:{port} is {told}, not {name}")
        keep_watch(writer.get_extra_info("socket"), watch)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


class Acceptor:
    """Takes connections, makes TLS of them, and hands on those with a certificate of our authority.

    `serve` gets the certificate's name and the streams, and closes them. What is no TLS, has no such certificate or
    dawdles is closed and told to `on_refused`, and keeps nobody else waiting.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        serve: Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        on_refused: Callable[[str], None],
        watch: float,
    ) -> None:
        self._context = context
        self._serve = serve
        self._on_refused = on_refused
        self._watch = watch
        self._listeners: list[socket.socket] = []
        self._greeting: dict[asyncio.Task[None], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: set[asyncio.Task[None]] = set()

    def listen(self, listener: socket.socket) -> None:
        """Accept on a listening socket, which is ours to close from now on."""
        listener.setblocking(False)
        self._listeners.append(listener)
        self._accepting.add(self._start(self._accept(listener)))

    async def close(self) -> None:
        """Accept no more, and cancel what is being served."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()

    def serving(self) -> list[asyncio.Task[None]]:
        """What is being greeted or served, without the accepting itself."""
        return [task for task in self._tasks if task not in self._accepting]

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors left; whoever has some gives them back
                self._on_refused(f"a connection cannot be accepted: {error}")
                await asyncio.sleep(0.1)
                continue
            if len(self._greeting) >= MOST_UNGREETED:
                next(iter(self._greeting)).cancel()
            task = self._start(self._one(accepted, str(address[0])))
            self._greeting[task] = None
            task.add_done_callback(lambda task: self._greeting.pop(task, None))

    async def _one(self, accepted: socket.socket, address: str) -> None:
        try:
            name, reader, writer = await self._greet(accepted)
        except (OSError, TimeoutError) as error:
            self._on_refused(f"{address}: {words(error)}")
            return
        finally:
            self._greeting.pop(asyncio.current_task(), None)  # type: ignore[arg-type]
        try:
            await self._serve(name, reader, writer)
        except (OSError, TimeoutError) as error:
            writer.transport.abort()
            self._on_refused(f"{address} ({name}): {words(error)}")
        except BaseException:
            writer.transport.abort()
            raise

    async def _greet(self, accepted: socket.socket) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            keep_watch(accepted, self._watch)
            reader = asyncio.StreamReader(limit=2 * CHUNK)
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=GREET_SECONDS,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except BaseException:
            accepted.close()
            raise
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            return peer_name(writer), reader, writer
        except ConnectionError:
            transport.abort()
            raise


async def send_parts(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """What comes, in frames, and an empty one at its end: TLS itself cannot end one direction alone."""
    while data := await source.read(CHUNK):
        target.write(part(data))
        await target.drain()
    target.write(part(b""))
    await target.drain()


async def take_parts(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """The other way round. Raises ConnectionError when what comes ends without its end."""
    while data := await read_part(source):
        target.write(data)
        await target.drain()
    target.write_eof()


def part(data: bytes | memoryview) -> bytes:
    """Bytes of a dialled connection over TLS."""
    return _LENGTH.pack(len(data)) + data


async def read_part(reader: asyncio.StreamReader) -> bytes:
    """The next bytes of a dialled connection over TLS, empty at its end. Raises ConnectionError when it was cut."""
    body = await read_body(reader, PART)
    if body is None:
        raise ConnectionResetError("the connection was cut before its end")
    return body


async def ask_for_socket(node_dir: str, request: bytes) -> tuple[bytes, socket.socket | None]:
    """Send a supervisor one frame, and receive its answer's body with the socket that came with it, if one did.

    Raises OSError, TimeoutError.
    """
    asked = connect(node_dir)
    loop = asyncio.get_running_loop()
    got: list[int] = []
    answer = bytearray()
    try:
        asked.setblocking(False)
        async with asyncio.timeout(ANSWER_SECONDS):
            await loop.sock_sendall(asked, request)
            while len(answer) < 4 or len(answer) < 4 + _LENGTH.unpack_from(answer)[0]:
                await _readable(asked)
                data, fds, _, _ = socket.recv_fds(asked, 1 << 16, 1)
                got += fds
                if not data:
                    raise ConnectionResetError("the node supervisor ended the connection without an answer")
                answer += data
        body = bytes(answer[4:])
        if not got:
            return body, None
        return body, socket.socket(fileno=got.pop())
    finally:
        asked.close()
        for fd in got:
            os.close(fd)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock.fileno(), _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
