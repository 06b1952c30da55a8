"""Connections to ports inside a sandbox: what one costs, and what goes through it, here and over the bridge's TLS.

Beside them the same client on a program outside, which is what the sandbox has inside: it reads and drops, and says one
byte at the end. All in one asyncio process; so the figures are of what Dais adds, not of the fastest client there is.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port
from dais.app.authority import CertificateAuthority
from dais.engines.contract import ByteStream
from dais.engines.supervised.connector import Connector, LocalConnector
from dais.engines.supervised.dialling import start_dial
from dais.engines.supervised.remote import Remote, RemoteConnector, RemoteOptions
from dais.engines.supervised.streams import PlainStream
from dais.kit.vault import Vault
from dais.node import supervisor_command
from dais.node.streams import CHUNK
from tests.support.supervisor import TEST_UID, Control, until

MIB = 1 << 20
BLOCK = bytes(MIB)
SINK = """
import os, socket, sys, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
print("up", flush=True)
room = bytearray(1 << 18)
def drop(one):
    while one.recv_into(room):
        pass
    one.sendall(b"x")
    one.close()
while True:
    threading.Thread(target=drop, args=(server.accept()[0],)).start()
"""

Opening = Callable[[], Awaitable[ByteStream]]


def run(bench: Bench) -> None:
    with ExitStack() as held:
        place = Path(tempfile.mkdtemp(prefix="dais-bench-"))
        held.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o711)
        port = free_port()
        outside = held.enter_context(subprocess.Popen([sys.executable, "-c", SINK, str(port)], stdout=subprocess.PIPE))
        held.callback(outside.kill)
        assert outside.stdout is not None
        outside.stdout.readline()
        asyncio.run(_run(bench, place, port, held))


async def _run(bench: Bench, place: Path, port: int, held: ExitStack) -> None:
    remote = Remote(CertificateAuthority(place, Vault(place / "key")), RemoteOptions(listen=("127.0.0.1", 0)))
    await remote.open()
    over_tls = RemoteConnector(remote, "bench")
    node = place / "node"
    _sandbox(node, port, remote.invite("bench", 3600), held)
    here = LocalConnector(node, timeout=20, starter=lambda: None)

    async def plain() -> ByteStream:
        return PlainStream(*await asyncio.open_connection("127.0.0.1", port, limit=2 * CHUNK))

    def inside(connector: Connector) -> Opening:
        return lambda: start_dial(connector, "sink", port)

    sides = {"here": inside(here), "tls": inside(over_tls), "plain": plain}
    for opening in sides.values():
        await _set_up(opening, 3)  # what comes first is slower
    count, size = bench.pick(200, 20), bench.pick(2048, 128)
    times = await _interleave(bench, {name: partial(_set_up, opening, count) for name, opening in sides.items()})
    rates = await _interleave(bench, {name: partial(_carry, opening, size) for name, opening in sides.items()})
    over_tls.close()
    await remote.close()
    peer = "TCP to the same program outside, same client"
    bench.report(
        *(
            Row(figure=f"set-up of a connection into a sandbox, {what}", ours=times[side], unit="ms", peer=peer,
                theirs=times["plain"], aim=Aim(number="", must=must, should=should, at_most=True))
            for side, what, must, should in (("here", "on this machine", 5.0, 1.4), ("tls", "over TLS", 20.0, 10.0))
        ),
        *(
            Row(figure=f"{size:,} MiB into a sandbox, {what}", ours=rates[side], unit="MiB/s", peer=peer,
                theirs=rates["plain"], ratios=ratios(rates[side], rates["plain"]), aim=aim)
            for side, what, aim in (
                ("here", "on this machine", Aim(number="", must=0.8, should=0.95)), ("tls", "over TLS", None)
            )
        ),
    )  # fmt: skip


async def _interleave(bench: Bench, sides: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(bench.rounds):
        for name in list(sides) if index % 2 == 0 else list(sides)[::-1]:
            seen[name].append(await sides[name]())
            print(f"  round {index + 1}/{bench.rounds}  {name}: {seen[name][-1]:.3g}", file=sys.stderr)
    return seen


async def _set_up(opening: Opening, count: int) -> float:
    """Milliseconds for one, one after the other."""
    begun = time.perf_counter()
    for _ in range(count):
        await (await opening()).close()
    return (time.perf_counter() - begun) / count * 1000


async def _carry(opening: Opening, size: int) -> float:
    """MiB a second, until the other side has read the last byte."""
    stream = await opening()
    begun = time.perf_counter()
    for _ in range(size):
        await stream.send(BLOCK)
    await stream.send_eof()
    assert await stream.receive() == b"x"
    took = time.perf_counter() - begun
    await stream.close()
    return size / took


def _sandbox(node: Path, port: int, invitation: bytes, held: ExitStack) -> None:
    """A supervisor with a bridge, and a sandbox in which the sink listens."""
    argv = [*supervisor_command(), "--dir", str(node), "--remote", "-"]
    supervisor = subprocess.Popen(argv, stdin=subprocess.PIPE)
    held.callback(supervisor.wait)
    held.callback(supervisor.terminate)
    assert supervisor.stdin is not None
    supervisor.stdin.write(invitation)
    supervisor.stdin.close()
    control = until(lambda: _try(node), "the supervisor listens")
    held.callback(control.close)
    spec = {
        "attempt_id": "sink",
        "argv": ["/usr/bin/python3", "-c", SINK, str(port)],
        "env": {},
        "isolation": "sandbox",
    }
    control.launch({**spec, "uid": TEST_UID, "gid": TEST_UID})
    control.record("sink", "started")
    log = node / "attempts" / "sink" / "log" / "00000000.seg"
    until(lambda: log.exists() and b"up" in log.read_bytes(), "it listens")


def _try(node: Path) -> Control | None:
    try:
        return Control(node)
    except OSError:
        return None


if __name__ == "__main__":
    main(run)
