"""Whether lists stay quick: `dais job ls` and the page's first list with 100,000 finished jobs beside 100."""

from __future__ import annotations

import http.client
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from bench.cli_times import command
from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import request, send_all
from bench.server import dais, run_jobs
from dais.kit.ids import new_id
from tests.support.installation import Installation

FEW, MANY = 100, 100_000


def run(bench: Bench) -> None:
    bench.rounds = max(bench.rounds, bench.pick(9, 2))
    with ExitStack() as held:
        sides: dict[str, Callable[[], float]] = {}
        for count in (FEW, bench.pick(MANY, 5_000)):
            server = held.enter_context(dais())
            fill(server, count)
            page = Page(server)
            size = "few" if count == FEW else "many"
            sides[f"job ls {size}"] = partial(command, server, "job", "ls", "--state", "all")
            sides[f"page {size}"] = page.milliseconds
            sides[f"api {size}"] = partial(api, server)
        seen = bench.interleave(sides)
    for figure, what in (("job ls", "`dais job ls --state all`"), ("page", "the page's list"), ("api", "GET /v1/jobs")):
        bench.report(
            Row(
                figure=f"{what}, {bench.pick(MANY, 5_000):,} finished jobs",
                ours=seen[f"{figure} many"],
                unit="ms",
                peer=f"the same with {FEW} jobs",
                theirs=seen[f"{figure} few"],
                ratios=ratios(seen[f"{figure} many"], seen[f"{figure} few"]),
                aim=Aim(number="", must=2, should=1.2, at_most=True),
            )
        )


def api(server: Installation) -> float:
    """Milliseconds for the first page of the API's list."""
    begun = time.monotonic()
    send_all(server.port, [request("GET", "/v1/jobs", token=server.token)])
    return (time.monotonic() - begun) * 1000


class Page:
    """The page of jobs, asked for as a browser that is signed in does."""

    def __init__(self, server: Installation) -> None:
        self._port = server.port
        link = server.dais("open", "--print").stdout.decode().strip()
        path = "/" + link.split("/", 3)[3]
        place = f"localhost:{self._port}"
        form = {"Host": place, "Origin": f"http://{place}", "Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("POST", path, b"", form)
        answer = connection.getresponse()
        said = answer.read()
        cookie = answer.getheader("set-cookie")
        assert cookie is not None, f"signing in answered {answer.status}: {said[:300]!r}"
        self._cookie = cookie.partition(";")[0]
        connection.close()

    def milliseconds(self) -> float:
        """How long the first list takes."""
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("GET", "/jobs?state=all", headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 200, f"the page answered {answer.status}"
        assert body.count(b"/jobs/") > 20, "the page lists no jobs"
        return (time.monotonic() - begun) * 1000


def fill(server: Installation, count: int) -> None:
    """Let a job run, and copy its rows until there are so many jobs."""
    run_jobs(server, 1)
    server.stop()
    database = sqlite3.connect(server.data / "dais.db")
    try:
        for table, rows in _copies(database, count - 1):
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        database.execute("ANALYZE")
        database.commit()
    finally:
        database.close()
    server.start()


def _copies(database: sqlite3.Connection, count: int) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Rows of jobs and their runs and history like those that are there, with ids of their own."""
    database.row_factory = sqlite3.Row
    (job,) = database.execute("SELECT * FROM jobs").fetchall()
    (run,) = database.execute("SELECT * FROM runs").fetchall()
    history = database.execute("SELECT * FROM job_history").fetchall()
    ids = [new_id() for _ in range(count)]
    yield (
        "jobs",
        [tuple({**dict(job), "number": job["number"] + 1 + n, "id": one}.values()) for n, one in enumerate(ids)],
    )
    yield "runs", [tuple({**dict(run), "id": new_id(), "job_id": one}.values()) for one in ids]
    lines = [{**dict(line), "job_id": one, "id": new_id()} for one in ids for line in history]
    yield "job_history", [tuple(line.values()) for line in lines]


if __name__ == "__main__":
    main(run)
