"""The bridge: what lets a server on another machine reach this supervisor, over mutual TLS 1.3.

A process of its own beside the supervisor, so that whatever is done to it over the network blocks nothing. It gets its
facts on descriptor 3: certificate and key, which it keeps in memory, and what to try. Either side may be the one that
can open connections, so both are tried at once:

- it listens, and writes where into a file that the server can read; the server connects, and is told `ready`;
- it connects to the server and makes an `offer`; for each connection that the server wants it is told to `open` one,
  with a token that is good for once, and connects again.

From then on a connection is one to the supervisor's socket. TLS cannot end one direction alone, so what was dialled is
carried in frames (`streams`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys

from dais.node import kernel
from dais.node.launcher import connect
from dais.node.places import own_addresses
from dais.node.streams import (
    CHUNK,
    GREET_SECONDS,
    SHUTDOWN_SECONDS,
    Acceptor,
    ask_for_socket,
    connect_tls,
    read_body,
    send_parts,
    take_parts,
    tls_context,
    words,
)
from dais.node.wireframes import pack, pack_body, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

FACTS_FD = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to reach the server."""
BACKLOG = 256


def main() -> None:
    """Serve until the supervisor ends, and then say what it has still said."""
    supervisor = int(sys.argv[1])
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # a job of the same user must not read the key from this memory
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        return
    os.set_inheritable(FACTS_FD, False)
    with open(FACTS_FD, "rb") as file:
        facts = json.load(file)
    asyncio.run(Bridge(facts).run())


class Bridge:
    """`facts`: see `bridging`."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._node_dir = facts["node_dir"]
        self._server = facts["server_name"]
        self._ports: list[int] | None = facts.get("ports")
        self._address_file = facts.get("address_file")
        self._dial = facts.get("dial") or []
        self._watch = float(facts.get("watch") or 60.0)
        proof = {name: facts[name] for name in ("authority", "certificate", "key")}
        self._as_client = tls_context(listens=False, **proof)
        self._as_server = tls_context(listens=True, **proof)
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: dict[str, str] = {}
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM; then what is being carried has a moment to arrive."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._ending.set)
        acceptor = Acceptor(self._as_server, self._serve, lambda why: self._say("refused", why), self._watch)
        if self._ports is not None:
            self._listen(acceptor, self._ports)
        offering = asyncio.create_task(self._offer()) if self._dial else None
        await self._ending.wait()
        if offering is not None:
            offering.cancel()
        # The supervisor's sockets are closed: each relay ends once all that was in them is sent.
        carrying = [task for task in (*self._tasks, *acceptor.serving()) if not task.done()]
        if carrying:
            await asyncio.wait(carrying, timeout=SHUTDOWN_SECONDS)
        await acceptor.close()

    def _say(self, topic: str, words: str) -> None:
        """To the supervisor's log; the same words are not said again and again."""
        if self._said.get(topic) != words:
            self._said[topic] = words
            print(f"bridge: {topic}: {words}"[:1000], file=sys.stderr, flush=True)  # noqa: T201

    # The server connects.

    def _listen(self, acceptor: Acceptor, ports: list[int]) -> None:
        try:
            listener = _listener(ports[0], ports[1])
        except OSError as error:
            self._say("listening", f"no port of {ports} can be listened on: {error}")
            return
        acceptor.listen(listener)
        if self._address_file is not None:
            port = listener.getsockname()[1]
            try:
                _write_address(self._address_file, [[host, port] for host in own_addresses(self._dial)])
            except OSError as error:
                self._say("listening", f"{self._address_file} cannot be written: {error}")

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if name != self._server:
            raise ConnectionError(f"{name} is not the server")
        writer.write(pack({"op": "ready"}))
        await self._carry(reader, writer)

    # The node connects.

    async def _offer(self) -> None:
        """Keep an offer at the first of the server's addresses that answers."""
        pause = FIRST_PAUSE
        while True:
            for address in self._dial:
                try:
                    reader, writer = await self._to_server(address)
                except OSError as error:
                    self._say(f"{address}", f"the server cannot be reached: {words(error)}")
                    continue
                pause = FIRST_PAUSE
                await self._hold(address, reader, writer)
                break
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _hold(self, address: list[Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(pack({"op": "offer"}))
            await writer.drain()
            while (body := await read_body(reader, 1 << 16)) is not None:
                self._heed(address, parse(body))
            self._say(f"{address}", "the server closed the connection")
        except OSError as error:
            self._say(f"{address}", f"the connection was lost: {words(error)}")
        finally:
            writer.transport.abort()

    def _heed(self, address: list[Any], message: dict[str, Any]) -> None:
        if message.get("op") == "open":
            task = asyncio.create_task(self._open(address, str(message.get("token"))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, address: list[Any], token: str) -> None:
        try:
            reader, writer = await self._to_server(address)
            try:
                writer.write(pack({"op": "opened", "token": token}))
                await self._carry(reader, writer)
            except BaseException:
                writer.transport.abort()
                raise
        except OSError as error:
            self._say("opening", f"{words(error)}")

    async def _to_server(self, address: list[Any]) -> Streams:
        host, port = address
        return await connect_tls(host, port, self._as_client, self._server, self._watch)

    # Either way.

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the server's, from its first frame to its end."""
        await writer.drain()
        async with asyncio.timeout(GREET_SECONDS):
            first = await read_body(reader)
        if first is None:
            writer.close()
            return
        if parse(first).get("op") == "dial":
            await self._carry_dialled(pack_body(first), reader, writer)
            return
        inner_reader, inner_writer = await asyncio.open_unix_connection(sock=_nonblocking(connect(self._node_dir)))
        try:
            inner_writer.write(pack_body(first))
            await _first_of(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()
        await _say_goodbye(writer)

    async def _carry_dialled(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer, dialled = await ask_for_socket(self._node_dir, request)
        writer.write(pack_body(answer))
        if dialled is not None:
            inner_reader, inner_writer = await asyncio.open_connection(sock=dialled, limit=2 * CHUNK)
            try:
                await _both(send_parts(inner_reader, writer), take_parts(reader, inner_writer))
            except BaseException:
                inner_writer.transport.abort()
                raise
            inner_writer.close()
        await _say_goodbye(writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def _first_of(*work: Awaitable[None]) -> None:
    """Until one of them ends: a control or exec connection has no half end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if (error := task.exception()) is not None and not isinstance(error, OSError):
            raise error


async def _both(*work: Awaitable[None]) -> None:
    """Until both have ended; one that fails ends the other. Raises its error."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _say_goodbye(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(SHUTDOWN_SECONDS):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()


def _nonblocking(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock


def _listener(first: int, last: int) -> socket.socket:
    """A socket that listens on the lowest free port of a range (0 to 0: on one that the kernel chooses)."""
    problem: OSError | None = None
    for port in range(first, last + 1):
        for family, every in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
            try:
                both = family == socket.AF_INET6
                return socket.create_server((every, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
            except (OSError, ValueError) as error:
                problem = error if isinstance(error, OSError) else problem
    raise problem or OSError("it is empty")


def _write_address(path: str, addresses: list[list[Any]]) -> None:
    """Whole or not at all, also for a reader on another machine."""
    fresh = f"{path}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, json.dumps({"addresses": addresses}).encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(fresh, path)
