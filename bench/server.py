"""Dais under measurement: an installation of its own for each bench, and the jobs that are put through it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.load import request, send_all
from dais.kit.clock import from_rfc3339
from tests.support.installation import Installation, installation

WIDTH = 8
"""How many jobs are in flight at once, here and in every peer."""
PATIENCE = 300.0


@contextmanager
def dais(*, isolation: str = "process", database_url: str = "", **settings: str) -> Iterator[Installation]:
    """A server with a data directory of its own; everything is gone afterwards."""
    chosen = {"DAIS_LOCAL_ISOLATION": isolation, "DAIS_COMPUTE_MAX_ACTIVE_JOBS": "1000000"}
    # What is measured is the server, not what it lets one user do.
    chosen |= {"DAIS_LIMITS_REQUESTS_PER_MINUTE": "0", "DAIS_LIMITS_SUBMITS_PER_MINUTE": "0", **settings}
    with installation(database_url=database_url, settings=chosen) as made:
        yield made


def spec(*command: str, width: int = WIDTH) -> bytes:
    """A job of which `width` fit on this machine at once, as it is submitted."""
    cpu = (os.cpu_count() or 1) / width
    return json.dumps({"command": command or ("/bin/true",), "resources": {"cpu": cpu, "mem": 64 << 20}}).encode()


def submits(server: Installation, bodies: Sequence[bytes]) -> list[bytes]:
    """Requests that submit."""
    token = server.token
    return [request("POST", "/v1/jobs", token=token, body=body) for body in bodies]


def run_jobs(server: Installation, count: int, *command: str) -> float:
    """Submit jobs and wait until the last has ended; jobs a second from the first submit to the last end."""
    requests = submits(server, [spec(*command)] * count)
    begun = time.monotonic()
    send_all(server.port, requests)
    while _alive(server):
        assert time.monotonic() - begun < PATIENCE, f"{count} jobs did not end within {PATIENCE:g} s"
        time.sleep(0.02)
    spent = time.monotonic() - begun
    assert not _some(server, "FAILED"), f"a job failed: {_some(server, 'FAILED')}"
    return count / spent


def _alive(server: Installation) -> list[object]:
    return _some(server, "alive")


def _some(server: Installation, state: str) -> list[object]:
    (body,) = send_all(server.port, [request("GET", f"/v1/jobs?state={state}&limit=1", token=server.token)])
    found: list[object] = json.loads(body)["items"]
    return found


def latencies(server: Installation, count: int, *command: str) -> list[float]:
    """Seconds from each submit's beginning until its process ran, one job after the other, by the same clock."""
    found = []
    for _ in range(count):
        begun = time.time()
        (body,) = send_all(server.port, submits(server, [spec(*command)]), connections=1)
        job = json.loads(body)["id"]
        while True:
            (body,) = send_all(server.port, [request("GET", f"/v1/jobs/{job}", token=server.token)])
            now = json.loads(body)
            if not now["alive"]:
                break
            time.sleep(0.002)
        found.append(from_rfc3339(now["started_at"]) / 1e6 - begun)
    return found
