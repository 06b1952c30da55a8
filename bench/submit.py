"""Durable submits a second at 1, 8 and 64 clients, beside the disk's own rate and raw ASGI with group commit."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import wrk
from bench.peers.processes import raw_asgi
from bench.server import dais, spec
from tests.support.installation import Installation

CLIENTS = (1, 8, 64)


def run(bench: Bench) -> None:
    seconds = bench.pick(3, 1)
    body = spec()
    with TemporaryDirectory(prefix="dais-bench-") as name, raw_asgi("insert", name) as bare, dais() as server:
        occupy(server)
        sides = {"fdatasync": partial(syncs, Path(name), seconds / 2)}
        for clients in CLIENTS:
            sides[f"dais {clients}"] = partial(post, server.port, "/v1/jobs", clients, seconds, body, server.token)
            sides[f"bare {clients}"] = partial(post, bare, "/", clients, seconds, body)
        seen = bench.interleave(sides)
    for clients in CLIENTS:
        ours = seen[f"dais {clients}"]
        bench.report(
            Row(
                figure=f"durable submit (job, history, event), {clients} client{'s' if clients > 1 else ''}",
                ours=ours,
                unit="submits/s",
                peer="raw ASGI with group commit",
                theirs=seen[f"bare {clients}"],
                ratios=ratios(ours, seen[f"bare {clients}"]),
                aim=Aim(number="8", must=0.40, should=0.55) if clients == 64 else None,
            )
        )
        bench.report(
            Row(
                figure=f"the same, {clients} client{'s' if clients > 1 else ''}",
                ours=ours,
                unit="submits/s",
                peer="the disk: 4 KiB written and fdatasync",
                theirs=seen["fdatasync"],
                theirs_unit="syncs/s",
                ratios=ratios(ours, seen["fdatasync"]),
            )
        )


def occupy(server: Installation) -> None:
    """Let one job hold the whole machine: what is submitted only waits, so that submitting alone is measured."""
    job = server.submit("/bin/sleep", "100000", cpu=os.cpu_count() or 1, mem="64Mi")
    server.wait_running(job)


def post(port: int, path: str, clients: int, seconds: int, body: bytes, token: str = "") -> float:
    """Answered POSTs a second."""
    return wrk(port, path, connections=clients, seconds=seconds, body=body, token=token).per_second


def syncs(directory: Path, seconds: float) -> float:
    """How often a second the disk takes 4 KiB for good."""
    fd = os.open(directory / "sync", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    page, count = bytes(4096), 0
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < seconds:
            os.pwrite(fd, page, (count % 1024) * 4096)
            os.fdatasync(fd)
            count += 1
    finally:
        os.close(fd)
    return count / (time.monotonic() - begun)


if __name__ == "__main__":
    main(run)
