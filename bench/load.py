"""Load: a raw-socket client that sends an exact number of requests, and wrk for rates over a time.

The raw client spends about 30 µs on a request in one thread, a tenth of what the server does; wrk, in C, less. Neither
is what limits a figure.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PATIENCE = 120.0

_script = """
wrk.method = %(method)s
wrk.body = %(body)s
%(headers)s
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\nRATE {"requests": %%d, "seconds": %%f, "bad": %%d, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Rate:
    """What wrk saw: requests a second, and latencies in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float


def request(
    method: str, path: str, *, token: str = "", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """One HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def send_all(port: int, requests: Iterable[bytes], *, connections: int = 8) -> list[bytes]:
    """Send every request, on each connection one after the other; the answers' bodies. Raises on any but a 2xx."""
    waiting = iter(requests)
    epoll = select.epoll()
    held: dict[int, tuple[socket.socket, bytearray]] = {}
    bodies: list[bytes] = []
    try:
        for _ in range(connections):
            first = next(waiting, None)
            if first is None:
                break
            sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held[sock.fileno()] = (sock, bytearray())
            epoll.register(sock.fileno(), select.EPOLLIN)
            sock.sendall(first)
        busy = len(held)
        while busy:
            ready = epoll.poll(PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer within {PATIENCE:g} s")
            for fd, _ in ready:
                sock, buffer = held[fd]
                part = sock.recv(1 << 16)
                if not part:
                    raise ConnectionError("the server closed a connection")
                buffer += part
                body = _whole(buffer)
                if body is None:
                    continue
                bodies.append(body)
                buffer.clear()
                following = next(waiting, None)
                if following is None:
                    busy -= 1
                else:
                    sock.sendall(following)
    finally:
        epoll.close()
        for sock, _ in held.values():
            sock.close()
    return bodies


def _whole(buffer: bytearray) -> bytes | None:
    """The body of the one answer in the buffer, once it is whole."""
    head, found, body = bytes(buffer).partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 2"):
        raise AssertionError(f"the server answered {bytes(buffer)[:400]!r}")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return body if len(body) >= length else None


def wrk(
    port: int,
    path: str,
    *,
    connections: int,
    seconds: int,
    token: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Rate:
    """Requests a second of one kind, with wrk on one thread. Raises when any was not answered with success."""
    program = shutil.which("wrk")
    if program is None:
        raise FileNotFoundError("wrk is needed as the load generator (package wrk)")
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if body is not None:
        sent["Content-Type"] = "application/json"
    script = _script % {
        "method": '"POST"' if body is not None else '"GET"',
        "body": "nil" if body is None else json.dumps(body.decode()),
        "headers": "\n".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in sent.items()),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", file.name]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True, timeout=PATIENCE
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RATE "))
    told = json.loads(line.removeprefix("RATE "))
    if told["bad"]:
        raise AssertionError(f"{told['bad']} of {told['requests']} requests to {path} failed: {done.stdout}")
    return Rate(told["requests"] / told["seconds"], told["p50_ms"], told["p99_ms"])


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found: int = sock.getsockname()[1]
        return found


def wait_port(port: int, seconds: float = 30.0) -> None:
    """Return once somebody listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
