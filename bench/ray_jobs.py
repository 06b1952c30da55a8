"""From submit to finish of one trivial job, beside Ray Jobs on a Ray of one node. Takes some minutes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port, request, send_all
from bench.server import dais, spec, submits
from tests.support.installation import Installation

PATIENCE = 180.0


def run(bench: Bench) -> None:
    if importlib.util.find_spec("ray") is None:
        bench.absent("Ray", "install requirements/bench.txt (make bench does)")
        return
    from ray.job_submission import JobSubmissionClient

    with ray_head() as address, dais() as server:
        client = JobSubmissionClient(address)

        def of_ray() -> float:
            begun = time.monotonic()
            job = client.submit_job(entrypoint=f"{sys.executable} -c \"print('done')\"")
            while not (status := client.get_job_status(job)).is_terminal():
                assert time.monotonic() - begun < PATIENCE, "the Ray job does not end"
                time.sleep(0.05)
            assert status == "SUCCEEDED", client.get_job_logs(job)
            return time.monotonic() - begun

        seen = bench.interleave({"dais": lambda: finish(server), "ray": of_ray})
    bench.report(
        Row(
            figure="a trivial Python job, submit to finish",
            ours=seen["dais"],
            unit="s",
            peer="Ray Jobs",
            theirs=seen["ray"],
            ratios=ratios(seen["ray"], seen["dais"]),
            aim=Aim(number="6", must=150, should=300),
        )
    )


def finish(server: Installation) -> float:
    """Seconds until a job has succeeded."""
    begun = time.monotonic()
    (body,) = send_all(server.port, submits(server, [spec("python3", "-c", "print('done')")]))
    job = json.loads(body)["id"]
    while True:
        (body,) = send_all(server.port, [request("GET", f"/v1/jobs/{job}", token=server.token)])
        now = json.loads(body)
        if not now["alive"]:
            assert now["state"] == "SUCCEEDED", now
            return time.monotonic() - begun
        time.sleep(0.002)


@contextmanager
def ray_head() -> Iterator[str]:
    """A Ray head with its dashboard on loopback; the address of its Jobs API. It and all its processes end after."""
    ray = str(Path(sys.executable).with_name("ray"))
    with TemporaryDirectory(prefix="ray", dir="/tmp") as directory:
        port, dashboard = free_port(), free_port()
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": directory}
        words = [ray, "start", "--head", "--block", "--node-ip-address", "127.0.0.1", "--port", str(port)]
        words += ["--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), "--num-cpus", "2"]
        words += ["--temp-dir", directory, "--disable-usage-stats", "--include-dashboard", "true"]
        null = subprocess.DEVNULL
        head = subprocess.Popen(words, env=environment, stdin=null, stdout=null, stderr=null, start_new_session=True)
        try:
            _wait_answer(dashboard)
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            head.terminate()
            try:
                head.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, 9)
                head.wait()


def _wait_answer(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            send_all(port, [request("GET", "/api/version")])
            return
        except (OSError, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    main(run)
