"""What running jobs report: over their sockets and by their files, and what they cannot do with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from dais.compute import get_report
from dais.compute.jobs.tables import runs
from dais.compute.reports import desk as desks
from dais.compute.reports.commands import take_reports
from dais.compute.reports.desk import Desk
from dais.identity import create_token, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import NotFound
from dais.kit.ids import new_id
from dais.wire import reports as wire
from dais.wire.reports import FILE, SOCKET, JobReport, Report
from tests.support.tables import rows
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


class Bench:
    """Two running jobs, and the desk that they report to."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.desk = Desk(world.db, directory / "sockets", lambda run_id: str(self.work(run_id)))
        self.jobs: list[str] = []
        self.runs: list[str] = []

    def work(self, run_id: str) -> Path:
        return self.directory / "work" / run_id

    async def add(self) -> None:
        job_id = await self.world.submit("sleep-forever")

        async def runs_now() -> bool:
            return (await self.world.job(job_id)).state == "RUNNING"

        await self.world.until_true(runs_now, "it runs")
        run_id = (await self.world.job(job_id)).runs[-1].id
        self.work(run_id).mkdir(parents=True)
        self.desk.place([run_id])
        self.jobs.append(job_id)
        self.runs.append(run_id)

    async def report(self, job: int = 0) -> JobReport:
        found: JobReport = await self.world.db.read(get_report, self.world.actor, self.jobs[job])
        return found

    async def ask(self, *lines: Any, job: int = 0) -> list[dict[str, Any]]:
        """Send lines on one connection; the answers, as far as there are any."""
        return await asyncio.to_thread(_ask, self.desk_path(job), lines)

    def desk_path(self, job: int = 0) -> Path:
        return self.directory / "sockets" / self.runs[job]


def _ask(directory: Path, lines: tuple[Any, ...]) -> list[dict[str, Any]]:
    connection = connect(directory)
    answers: list[dict[str, Any]] = []
    with connection, connection.makefile("rb") as reader, contextlib.suppress(ConnectionError):
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            connection.sendall(data)
            answer = reader.readline()
            if not answer:
                break
            answers.append(json.loads(answer))
    return answers


def connect(directory: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    opened = os.open(directory, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{opened}/socket")
    finally:
        os.close(opened)
    return connection


@pytest.fixture
async def bench(world: World, tmp_path: Path) -> AsyncIterator[Bench]:
    await world.start()
    made = Bench(world, tmp_path / "bench")
    made.desk.begin()
    looking = asyncio.create_task(made.desk.run())
    await made.add()
    await made.add()
    yield made
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    made.desk.close()
    await world.stop()


async def until(bench: Bench, holds: Callable[[JobReport], bool], job: int = 0) -> JobReport:
    async with asyncio.timeout(60):
        while not holds(found := await bench.report(job)):  # noqa: ASYNC110 (what it waits for is in the database)
            await asyncio.sleep(0.05)
    return found


def latest(found: JobReport) -> dict[str, float]:
    return {one.name: one.last for one in found.series}


async def test_a_job_reports_over_its_socket(bench: Bench) -> None:
    answers = await bench.ask(
        {"accuracy": 0.5, "step": 1, "model": "cnn", "done": False, "progress": 0.25, "message": "one"},
        {"accuracy": 0.75, "step": 2},
        {"loss": 3},
        {"loss": 2},
    )
    assert answers == [{"ok": True}] * 4
    found = await bench.report()
    assert (found.progress, found.message, found.refused) == (0.25, "one", 0)
    accuracy, loss = found.series
    assert (accuracy.name, accuracy.steps, accuracy.values, accuracy.last) == ("accuracy", [1, 2], [0.5, 0.75], 0.75)
    assert (loss.steps, loss.values, loss.least, loss.most) == ([0, 1], [3.0, 2.0], 2.0, 3.0)
    assert (await bench.report(1)).series == []


async def test_a_step_that_is_told_again_is_mended(bench: Bench) -> None:
    await bench.ask({"a": 1, "step": 5}, {"a": 2, "step": 5}, {"a": 7})
    (series,) = (await bench.report()).series
    assert (series.steps, series.values) == ([5, 6], [2.0, 7.0])


async def test_a_job_reports_by_its_file_and_all_of_it_is_taken_once(bench: Bench) -> None:
    file = bench.work(bench.runs[0]) / FILE
    file.write_text('{"a": 1, "step": 0}\n{"a": 2, "step": 1}\n{"a": 3')
    found = await until(bench, lambda report: bool(report.series))
    assert latest(found) == {"a": 2.0}
    with file.open("a") as more:
        more.write(', "step": 2}\n\n{"a": 4, "step": 3}')
    await until(bench, lambda report: latest(report) == {"a": 3.0})
    await bench.desk.finish([bench.runs[0]])
    found = await bench.report()
    assert (found.series[0].values, found.refused) == ([1.0, 2.0, 3.0, 4.0], 0)
    await bench.desk.finish([bench.runs[0]])
    assert (await bench.report()).series[0].count == 4


async def test_the_socket_of_a_run_that_has_ended_serves_another_and_nobody_who_held_on_to_it(bench: Bench) -> None:
    left, inode = connect(bench.desk_path()), (bench.desk_path() / SOCKET).stat().st_ino
    assert await bench.ask({"a": 1}) == [{"ok": True}]
    await bench.desk.finish([bench.runs[0]])
    late = connect(bench.desk_path())  # nobody listens for this run any more; the socket is still there
    late.sendall(b'{"a": 2}\n')
    await bench.add()
    assert (bench.desk_path(2) / SOCKET).stat().st_ino == inode
    assert await bench.ask({"a": 3}, job=2) == [{"ok": True}]
    for connection in (left, late):
        with connection, contextlib.suppress(ConnectionError):
            assert await asyncio.to_thread(connection.recv, 100) == b""
    assert latest(await bench.report(0)) == {"a": 1.0}
    assert latest(await bench.report(2)) == {"a": 3.0}
    assert not bench.desk_path().exists()


async def test_a_socket_that_a_job_took_away_is_not_used_again(bench: Bench) -> None:
    (bench.desk_path() / SOCKET).unlink()
    await bench.desk.finish([bench.runs[0]])
    await bench.add()
    assert await bench.ask({"a": 3}, job=2) == [{"ok": True}]


async def test_where_the_desk_closes_no_socket_is_left(bench: Bench) -> None:
    await bench.desk.finish(bench.runs)
    assert list((bench.directory / "sockets").iterdir())
    bench.desk.close()
    assert not list((bench.directory / "sockets").iterdir())


async def test_a_new_server_listens_where_the_old_one_did(bench: Bench) -> None:
    await bench.ask({"a": 1})
    directory, inode = bench.desk_path(), bench.desk_path().stat().st_ino
    second = Desk(bench.world.db, bench.directory / "sockets", lambda run_id: str(bench.work(run_id)))
    second.begin()
    looking = asyncio.create_task(second.run())
    await second.keep(bench.runs, bench.runs, listen=True)
    assert directory.stat().st_ino == inode
    assert await bench.ask({"a": 2}) == [{"ok": True}]
    await second.keep(bench.runs[1:], bench.runs[1:], listen=True)
    assert [one.name for one in directory.parent.iterdir()] == bench.runs[1:]
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    second.close()
    # A thread that stages a run may come later than the end.
    late = new_id()
    await asyncio.to_thread(second.place, [late])
    assert second.place_of(late) is None


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[1, 2]\n",
        b'"text"\n',
        b'{"a": NaN}\n',
        b'{"a": Infinity}\n',
        b'{"a": 1e999}\n',
        b'{"a": null}\n',
        b'{"a": {"b": 1}}\n',
        b'{"a\\u0000b": 1}\n',
        b'{"a\\nb": 1}\n',
        b'{"a\\u001b[31m": 1}\n',
        b'{"__size__": 1}\n',
        b'{"": 1}\n',
        b'{"model": "a\\u0007"}\n',
        b'{"a": 1, "step": -1}\n',
        b'{"a": 1, "step": 1.5}\n',
        b'{"a": 1, "step": 99999999999999999999}\n',
        b'{"progress": 2}\n',
        b'{"tags": ["a\\tb"]}\n',
        b'{"tags": "one"}\n',
        b'{"message": "a\\nb"}\n',
        b'{"a": 1' + b"0" * 400 + b"}\n",
        json.dumps({"n" * 65: 1}).encode() + b"\n",
        json.dumps({f"n{number}": 1 for number in range(101)}).encode() + b"\n",
        b"\xff\xfe\n",
        b'{"a": ' + b"[" * 5000 + b"\n",
    ],
)
async def test_what_is_wrong_is_refused_with_words_and_counted(bench: Bench, line: bytes) -> None:
    refused, fine = await bench.ask(line, {"good": 1})
    assert refused["ok"] is False
    assert refused["error"]
    assert fine == {"ok": True}
    found = await bench.report()
    assert (latest(found), found.refused) == ({"good": 1.0}, 1)
    assert found.problem
    assert found.problem.isprintable()


async def test_a_line_without_an_end_is_cut_off(bench: Bench) -> None:
    (answer,) = await bench.ask(b"x" * 100_000)
    assert "more than" in answer["error"]
    assert await bench.ask({"a": 1}) == [{"ok": True}]


async def test_more_connections_than_a_run_may_have_are_closed(bench: Bench) -> None:
    held = [await asyncio.to_thread(connect, bench.desk_path()) for _ in range(desks.CONNECTIONS)]
    try:
        # Answered, so all of them have been accepted.
        for one in held:
            await asyncio.to_thread(one.sendall, b'{"a": 1}\n')
            assert await asyncio.to_thread(one.recv, 100)
        assert await bench.ask({"a": 2}) == []
        assert await bench.ask({"a": 3}, job=1) == [{"ok": True}]
    finally:
        for one in held:
            one.close()


async def test_a_flood_waits_and_holds_up_no_other_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    flood = asyncio.create_task(bench.ask(*({"a": number} for number in range(int(desks.BURST) + 20))))
    assert await bench.ask({"b": 1}, job=1) == [{"ok": True}]
    begun = asyncio.get_running_loop().time()
    answers = await flood
    assert len(answers) == desks.BURST + 20
    assert begun is not None
    (series,) = (await bench.report()).series
    assert series.count == desks.BURST + 20


async def test_names_and_values_of_a_run_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.ask({f"n{number:03}": 1 for number in range(100)})
    (answer,) = await bench.ask({"one-more": 1})
    assert "at most 100 metrics" in answer["error"]
    run = bench.runs[1]
    monkeypatch.setattr("dais.compute.reports.commands.MAX_POINTS", 3)
    await bench.world.db.write(take_reports, run, [Report(metrics={"a": float(number)}) for number in range(5)])
    found = await bench.report(1)
    assert (found.series[0].count, found.series[0].last, found.refused) == (3, 4.0, 2)
    assert "report less often" in found.problem


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "binary", "long"])
async def test_whatever_is_in_the_place_of_the_file(bench: Bench, tmp_path: Path, kind: str) -> None:
    file, secret = bench.work(bench.runs[0]) / FILE, tmp_path / "secret"
    secret.write_text('{"secret": 42}\n')
    if kind == "link":
        file.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "binary":
        file.write_bytes(os.urandom(50_000) + b"\n")
    else:
        file.write_bytes(b'{"a": "' + b"x" * 600_000 + b'"}\n{"good": 1}\n')
    await bench.desk.finish([bench.runs[0]])
    found = await bench.report()
    assert latest(found) == ({"good": 1.0} if kind == "long" else {})
    assert (found.refused > 0) == (kind in ("binary", "long"))


async def test_a_run_that_is_gone_reports_to_nobody(bench: Bench) -> None:
    assert await bench.world.db.write(take_reports, "nothing", [Report(metrics={"a": 1.0})]) is None
    assert rows(bench.world.db, runs)


async def test_who_may_not_see_a_job_sees_no_metrics(bench: Bench) -> None:
    await bench.ask({"a": 1})
    db = bench.world.db
    made = await db.write(create_user, bench.world.actor, "eve")
    token = await db.write(create_token, bench.world.actor, user_id=made.id)
    from dais.identity import authenticate

    eve = (await db.read(authenticate, token.secret)).actor
    with pytest.raises(NotFound):
        await db.read(get_report, eve, bench.jobs[0])


async def test_values_are_picked_evenly(bench: Bench) -> None:
    reports = [Report(metrics={"a": float(number)}, step=number) for number in range(1_000)]
    await bench.world.db.write(take_reports, bench.runs[0], reports)
    for points in (1, 7, 100, 999, 1_000, 5_000):
        found = await bench.world.db.read(get_report, bench.world.actor, bench.jobs[0], points=points)
        steps = found.series[0].steps
        assert (steps[0], steps[-1], found.series[0].count) == (0, 999, 1_000)
        assert len(steps) <= points + 1


def test_reports_outside_a_job_and_of_what_is_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dais

    monkeypatch.delenv("DAIS_SOCKET", raising=False)
    monkeypatch.delenv("DAIS_REPORT", raising=False)
    assert dais.report(accuracy=0.5) is False
    monkeypatch.setenv("DAIS_SOCKET", str(tmp_path / "nothing" / "socket"))
    monkeypatch.setenv("DAIS_REPORT", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="loss is nan"):
        assert dais.report(accuracy=0.5, loss=float("nan"), step=1)
    assert json.loads((tmp_path / "file").read_text()) == {"accuracy": 0.5, "step": 1}
    with pytest.raises(ValueError, match="no name"):
        dais.report(**{"a\nb": 1})  # type: ignore[arg-type]
    assert wire.parse_report((tmp_path / "file").read_bytes().strip()).step == 1
