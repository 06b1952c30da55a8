"""No-op jobs a second beside two task queues that run `true`: procrastinate on PostgreSQL, Celery on Redis."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port, wait_port
from bench.peers.processes import ROOT, process
from bench.server import WIDTH, dais, run_jobs
from tests.support.needs import postgres_programs
from tests.support.postgres import DURABLE, cluster


def run(bench: Bench) -> None:
    count = bench.pick(800, 100)
    with ExitStack() as held:
        server = held.enter_context(dais())
        run_jobs(server, 20)
        sides = {"dais": partial(run_jobs, server, count)}
        for name, peer in (("procrastinate", procrastinate), ("Celery", celery)):
            address = held.enter_context(peer(bench))
            if address:
                tasks(name, address, 20)
                sides[name] = partial(tasks, name, address, count)
        seen = bench.interleave(sides)
    peers = [name for name in seen if name != "dais"]
    if not peers:
        return
    best = max(peers, key=lambda name: statistics.median(seen[name]))
    for name in peers:
        bench.report(
            Row(
                figure=f"no-op jobs through the API, process isolation, {WIDTH} in flight",
                ours=seen["dais"],
                unit="jobs/s",
                peer=f"{name}, {WIDTH} at once, each task spawns `true`",
                theirs=seen[name],
                ratios=ratios(seen["dais"], seen[name]),
                aim=Aim(number="2", must=2, should=3.5) if name == best else None,
            )
        )


def tasks(peer: str, address: str, count: int) -> float:
    """Tasks a second, from the first enqueue to the last end."""
    command = [sys.executable, "-m", f"bench.peers.{peer.lower()}_app", str(count)]
    environment = os.environ | {"BENCH_QUEUE": address}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT, env=environment)
    assert done.returncode == 0, f"enqueueing ended with {done.returncode}: {done.stderr[-600:]}"
    return float(done.stdout)


@contextmanager
def procrastinate(bench: Bench) -> Iterator[str]:
    """A worker on a PostgreSQL of its own that syncs to disk; the address of its queue."""
    programs = postgres_programs()
    if programs is None:
        bench.absent("PostgreSQL", "install postgresql")
        yield ""
        return
    with ExitStack() as held:
        url = held.enter_context(held.enter_context(cluster(programs, DURABLE)).database())
        environment = os.environ | {"BENCH_QUEUE": url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "procrastinate", "--app", "bench.peers.procrastinate_app.app"]
        subprocess.run([*command, "schema", "--apply"], env=environment, cwd=ROOT, check=True, capture_output=True)
        worker = [*command, "worker", "--concurrency", str(WIDTH), "--queues", "bench"]
        held.enter_context(process(*worker, env=environment))
        yield url


@contextmanager
def celery(bench: Bench) -> Iterator[str]:
    """A worker on a Redis of its own, which keeps nothing on disk; the address of its queue."""
    program = shutil.which("redis-server")
    if program is None:
        bench.absent("Redis", "install redis-server")
        yield ""
        return
    port = free_port()
    with ExitStack() as held:
        directory = held.enter_context(TemporaryDirectory(prefix="dais-bench-"))
        where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", directory, "--save", ""]
        held.enter_context(process(program, *where, cwd=Path(directory)))
        wait_port(port)
        url = f"redis://127.0.0.1:{port}/0"
        worker = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_app", "worker", "--concurrency", str(WIDTH)]
        environment = os.environ | {"BENCH_QUEUE": url, "C_FORCE_ROOT": "1"}
        held.enter_context(process(*worker, "--loglevel", "WARNING", env=environment))
        yield url


if __name__ == "__main__":
    main(run)
