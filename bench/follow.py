"""Following logs: what 100 followers get a second beside a bare chunked fan-out, and how late one line arrives."""

from __future__ import annotations

import os
import re
import select
import socket
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, number, ratios
from bench.load import request, send_all
from bench.peers.processes import raw_asgi
from bench.server import dais
from tests.support.installation import Installation

FOLLOWERS = 100
LAST = b"that was the last line"
PATIENCE = 120.0

_flood = f"""
import sys
for start in range(0, int(sys.argv[1]), 1000):
    sys.stdout.write("".join(f"line {{n:07d}} of a log that is followed\\n" for n in range(start, start + 1000)))
print("{LAST.decode()}")
"""
_drip = f"""
import os, sys, time
for _ in range(int(sys.argv[1])):
    time.sleep(0.001)
    os.write(1, b"at %d\\n" % time.time_ns())
print("{LAST.decode()}")
"""
_stamp = re.compile(rb"at (\d{19})")


def run(bench: Bench) -> None:
    fan_out(bench)
    delay(bench)


def fan_out(bench: Bench) -> None:
    """Line copies a second, from the first line to when the last follower has the last one."""
    lines = bench.pick(50_000, 5_000)
    program = (sys.executable, "-c", _flood, str(lines))
    with TemporaryDirectory(prefix="dais-bench-") as name, dais() as server, raw_asgi("fanout", *program) as bare:

        def of_dais() -> float:
            start, path = _waiting_job(server, Path(name), program)
            return _copies(server.port, path, server.token, lines, start)

        def of_bare() -> float:
            return _copies(bare, "/", "", lines, lambda: send_all(bare, [request("POST", "/", body=b"{}")]))

        seen = bench.interleave({"dais": of_dais, "bare": of_bare})
    bench.report(
        Row(
            figure=f"log of {lines:,} lines to {FOLLOWERS} followers",
            ours=[value / 1e6 for value in seen["dais"]],
            unit="M line copies/s",
            peer="bare chunked fan-out",
            theirs=[value / 1e6 for value in seen["bare"]],
            ratios=ratios(seen["dais"], seen["bare"]),
            aim=Aim(number="14", must=0.50, should=0.70),
        )
    )


def delay(bench: Bench) -> None:
    """From the print of a line to its arrival at the one follower, at about 1,000 lines a second."""
    lines = bench.pick(2_000, 300)
    program = (sys.executable, "-c", _drip, str(lines))
    found: dict[str, list[tuple[float, float]]] = {"dais": [], "bare": []}
    with TemporaryDirectory(prefix="dais-bench-") as name, dais() as server, raw_asgi("fanout", *program) as bare:

        def of_dais() -> float:
            start, path = _waiting_job(server, Path(name), program)
            found["dais"].append(_delays(server.port, path, server.token, lines, start))
            return found["dais"][-1][0]

        def of_bare() -> float:
            start = partial(send_all, bare, [request("POST", "/", body=b"{}")])
            found["bare"].append(_delays(bare, "/", "", lines, start))
            return found["bare"][-1][0]

        bench.interleave({"dais": of_dais, "bare": of_bare})
    for index, name in enumerate(("p50", "p99")):
        bench.report(
            Row(
                figure=f"log delay, {name}, one follower, 1,000 lines/s",
                ours=[pair[index] for pair in found["dais"]],
                unit="ms",
                peer="bare chunked fan-out",
                theirs=[pair[index] for pair in found["bare"]],
            )
        )


def _waiting_job(server: Installation, directory: Path, program: tuple[str, ...]) -> tuple[Callable[[], object], str]:
    """A running job that waits to be told to begin: what tells it, and the path of its log's stream."""
    gate = directory / f"gate{time.monotonic_ns()}"
    os.mkfifo(gate)
    job = server.submit("/bin/sh", "-c", f'read -r _ < {gate}; exec "$@"', "sh", *program)
    server.wait_running(job)

    def start() -> None:
        with gate.open("w") as file:
            file.write("go\n")

    return start, f"/v1/jobs/{job.id}/logs/stream"


def _follow(port: int, path: str, token: str, count: int) -> list[socket.socket]:
    """Followers whose answer has begun."""
    followers = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.sendall(request("GET", path, token=token))
        followers.append(sock)
    for sock in followers:
        head = b""
        while b": \n\n" not in head:
            part = sock.recv(4096)
            assert part, f"a follower was refused: {head[:300]!r}"
            head += part
    return followers


def _copies(port: int, path: str, token: str, lines: int, start: Callable[[], object]) -> float:
    followers = {sock.fileno(): sock for sock in _follow(port, path, token, FOLLOWERS)}
    epoll = select.epoll()
    for fd in followers:
        epoll.register(fd, select.EPOLLIN)
    tails = dict.fromkeys(followers, b"")
    waiting = set(followers)
    buffer = memoryview(bytearray(1 << 18))
    start()
    begun = time.monotonic()
    try:
        while waiting:
            ready = epoll.poll(PATIENCE)
            assert ready, f"{len(waiting)} followers got nothing for {PATIENCE:g} s"
            for fd, _ in ready:
                size = followers[fd].recv_into(buffer)
                assert size, "a follower was cut"
                tail = tails[fd] + bytes(buffer[max(0, size - 2000) : size])
                tails[fd] = tail[-200:]
                if LAST in tail:
                    waiting.discard(fd)
                    epoll.unregister(fd)
        return lines * FOLLOWERS / (time.monotonic() - begun)
    finally:
        epoll.close()
        for sock in followers.values():
            sock.close()


def _delays(port: int, path: str, token: str, lines: int, start: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    (sock,) = _follow(port, path, token, 1)
    late: list[float] = []
    rest = b""
    start()
    with sock:
        while LAST not in rest:
            part = sock.recv(1 << 16)
            now = time.time_ns()
            assert part, "the follower was cut"
            rest += part
            for found in _stamp.finditer(rest):
                late.append((now - int(found[1])) / 1e6)
                end = found.end()
            if late:
                rest = rest[end:]
                end = 0
    assert len(late) == lines, f"{len(late)} of {lines} lines arrived"
    late.sort()
    print(f"  worst {number(late[-1])} ms of {len(late)} lines", file=sys.stderr)
    return statistics.median(late), late[int(len(late) * 0.99)]


if __name__ == "__main__":
    main(run)
