"""WebSockets to an app of a job that are open and say nothing: what each costs the server in memory."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from bench.harness import Aim, Bench, Row, main
from bench.server import dais
from tests.support.installation import Installation

PORT = 7000
APP = """
import asyncio, base64, hashlib, sys
async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    key = head.lower().partition(b"sec-websocket-key:")[2]
    key = head[len(head) - len(key):].partition(b"\\r\\n")[0].strip()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    await reader.read()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    print("up", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def run(bench: Bench) -> None:
    count = bench.pick(500, 50)
    taken = bench.repeat(lambda: _taken(count))
    bench.report(
        Row(
            figure=f"memory of the server for each of {count} idle WebSockets through the proxy",
            ours=taken,
            unit="KB",
            aim=Aim(number="", must=100, at_most=True),
        )
    )


def _taken(count: int) -> float:
    """Kilobytes for each while all are open, in a server that has had few: another one's memory would be used again."""
    with dais(isolation="sandbox", DAIS_PROXY_APP_CONNECTIONS="1024") as server:
        job = server.submit("python3", "-c", APP, str(PORT), cpu=1, mem="256Mi")
        server.wait_output(job, b"up")
        host = urlsplit(server.client().jobs.address(job.id, PORT).url).netloc
        _open(server, host, 20).close()  # what is imported and cached with the first ones is not theirs
        before = server.memory()
        with _open(server, host, count):
            return (server.memory() - before) / count / 1000


def _open(server: Installation, host: str, count: int) -> ExitStack:
    """So many WebSockets, each accepted by the app."""
    lines = [
        "GET / HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {server.token}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    request = "\r\n".join([*lines, "", ""]).encode()
    with ExitStack() as opened:
        for _ in range(count):
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            sock.sendall(request)
            answer = sock.recv(4096)
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(f"no WebSocket was opened: {answer[:400]!r}")
        return opened.pop_all()


if __name__ == "__main__":
    main(run)
