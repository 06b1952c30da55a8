"""The container engine on real daemons: what is hidden from whom, links that jobs lay, and daemons that are killed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from dais.compute import get_report
from dais.compute.reports.desk import Desk
from dais.engines.container import ContainerEngine
from dais.engines.contract import Bind, File, Limits, Phase, Terminal
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support import containers
from tests.support.containers import USER, ContainerDaemon, ContainerHarness, Daemons
from tests.support.engines import Watcher, eventually, output, printed, read_log, watching
from tests.support.needs import needs_program
from tests.support.world import World, running

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KINDS = pytest.mark.parametrize("kind", ["docker", "podman"])
SECRET = "swordfish-that-nobody-sees"


@contextlib.asynccontextmanager
async def opened(daemon: ContainerDaemon, directory: Path) -> AsyncIterator[tuple[ContainerHarness, Watcher]]:
    """A harness with an open engine, and who follows it."""
    harness = ContainerHarness(daemon, directory)
    await harness.open()
    assert harness.engine is not None
    try:
        async with watching(harness.engine) as watcher:
            yield harness, watcher
    finally:
        await harness.engine.close()
        await harness.close()


def engine_of(harness: ContainerHarness) -> ContainerEngine:
    assert harness.engine is not None
    return harness.engine


@KINDS
async def test_secrets_reach_the_job_and_nobody_else(kind: str, daemons: Daemons, tmp_path: Path) -> None:
    daemon = daemons.get(kind)
    async with opened(daemon, tmp_path) as (harness, watcher):
        spec = harness.spec(
            ("env", "TOKEN"),
            ("cat", "/run/secrets/key"),
            ("ls", "-ln", "/run/secrets/key"),
            ("sleep-forever",),
            env={"TOKEN": SECRET, "PATH": "/bin"},
            files=(File(target="/run/secrets/key", content=SECRET.encode() + b"\n"),),
        )
        [handle] = await engine_of(harness).launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(engine_of(harness), handle, b"/run/secrets/key\n")
        text = output((await engine_of(harness).logs(handle, None)).frames).decode()
        assert text.splitlines()[:2] == [SECRET, SECRET]
        assert text.splitlines()[2].startswith("-r--------")
        assert f" {USER} " in text.splitlines()[2]
        assert SECRET not in str(daemon.inspect(handle["container"]))
        own = [path.read_bytes() for path in harness.directory.rglob("*") if path.is_file() and path.suffix != ".seg"]
        assert not any(SECRET.encode() in content for content in own)
        await engine_of(harness).stop(handle, grace=0, reason="user-request")
        await watcher.over(spec.attempt_id)
        assert _names(Path(f"/dev/shm/dais-{harness.installation}")) == []


@KINDS
async def test_containers_are_hardened_and_labelled(kind: str, daemons: Daemons, tmp_path: Path) -> None:
    daemon = daemons.get(kind)
    async with opened(daemon, tmp_path) as (harness, watcher):
        steps = (("touch", "/written"), ("touch", "/tmp/written"), ("id", "-u"), ("sleep-forever",))
        limits = Limits(memory=64 << 20, cpu=0.5, pids=50)
        spec = harness.spec(*steps, labels={"dais.job": "j1"}, limits=limits)
        [handle] = await engine_of(harness).launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(engine_of(harness), handle, f"{USER}\n".encode())
        words = (await engine_of(harness).logs(handle, None)).frames
        assert b"Read-only file system" in output(words, 2)
        assert output(words, 2).count(b"\n") == 1
        seen = daemon.inspect(handle["container"])
        config = seen["HostConfig"]
        assert config["Memory"] == config["MemorySwap"] == 64 << 20
        assert config["NetworkMode"] == "none"
        assert seen["Config"]["Labels"]["dais.job"] == "j1"
        assert seen["Config"]["User"] == f"{USER}:{USER}"
        status = _status(seen["State"]["Pid"])
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


async def test_root_and_the_machines_network_are_refused(daemons: Daemons, tmp_path: Path) -> None:
    async with opened(daemons.get("docker"), tmp_path) as (harness, watcher):
        wrong = {
            "do not run as root": harness.spec(("exit", "0"), uid=0, gid=0),
            "never have the machine's own network": harness.spec(("exit", "0"), network="host"),
            "no network to the internet": harness.spec(("exit", "0"), network="internet"),
            "needs an image": harness.spec(("exit", "0"), image=None),
            "there is no image": harness.spec(("exit", "0"), image="absent:1"),
        }
        await engine_of(harness).launch(list(wrong.values()))
        for words, spec in wrong.items():
            end = await watcher.over(spec.attempt_id)
            assert words in (end.detail or "")
            assert end.reason == ("image-not-found" if "no image" in words else "launch-failed")


@KINDS
async def test_a_link_in_the_place_of_a_folder_is_not_followed(kind: str, daemons: Daemons, tmp_path: Path) -> None:
    async with opened(daemons.get(kind), tmp_path) as (harness, watcher):
        folder, secret = tmp_path / "folder", tmp_path / "secret"
        for directory in (folder, secret):
            directory.mkdir()
        (secret / "key").write_text(SECRET)
        mount = Bind(source=str(folder / "sub"), target="/data", read_only=False, exact=True)
        (folder / "sub").symlink_to(secret)
        through_link = harness.spec(("cat", "/data/key"), ("exit", "0"), binds=(mount,))
        [handle] = await engine_of(harness).launch([through_link])
        end = await watcher.over(through_link.attempt_id)
        assert end.reason == "launch-failed"

        # Swapped after the server has looked: process 1 sees that something else was mounted.
        (folder / "sub").unlink()
        (folder / "sub").mkdir()
        swapped = harness.spec(("cat", "/data/key"), ("exit", "0"), binds=(mount,))
        starter = engine_of(harness)._lives.starter
        create = starter._create

        async def swap(attempt, document):  # type: ignore[no-untyped-def]
            (folder / "sub").rmdir()
            (folder / "sub").symlink_to(secret)
            return await create(attempt, document)

        starter._create = swap  # type: ignore[method-assign]
        [handle] = await engine_of(harness).launch([swapped])
        end = await watcher.over(swapped.attempt_id)
        assert end.reason == "launch-failed"
        assert SECRET.encode() not in output(await read_log(engine_of(harness), handle))


async def test_what_a_job_lays_in_its_own_directory_leads_nowhere(daemons: Daemons, tmp_path: Path) -> None:
    async with opened(daemons.get("docker"), tmp_path) as (harness, watcher):
        with socket.socket(socket.AF_UNIX) as of_the_host:
            place = tmp_path / "host.sock"
            of_the_host.bind(str(place))
            of_the_host.listen()
            own = "/opt/dais/run"
            spec = harness.spec(
                ("sh", "-c", f"cd {own} && rm dial && ln -s {place} dial"),
                ("sh", "-c", f"cd {own} && ln -s /etc/passwd 00000001.seg && mkfifo 00000002.seg"),
                ("sh", "-c", f"cd {own} && rm report && ln -s /etc/passwd report"),
                ("print", "laid"),
                ("sleep-forever",),
            )
            [handle] = await engine_of(harness).launch([spec])
            await watcher.running(spec.attempt_id)
            await printed(engine_of(harness), handle, b"laid\n")
            with pytest.raises(OSError, match=r"something else|symbolic links"):
                await engine_of(harness).dial(handle, 80)
            for cursor in ("1:0", "2:0"):
                try:
                    found = (await engine_of(harness).logs(handle, cursor)).frames
                except OSError:
                    found = []
                assert found == []
            await engine_of(harness).stop(handle, grace=0, reason="user-request")
            end = await watcher.over(spec.attempt_id)
            assert (end.reason, end.stop_reason) == ("stopped", "user-request")


@KINDS
async def test_output_without_a_newline_shows_and_a_terminal_is_one(
    kind: str, daemons: Daemons, tmp_path: Path
) -> None:
    async with opened(daemons.get(kind), tmp_path) as (harness, watcher):
        steps = (("stty", "size"), ("sh", "-c", "printf 'half a line'"), ("sleep-forever",))
        spec = harness.spec(*steps, pty=Terminal(rows=33, cols=99))
        [handle] = await engine_of(harness).launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(engine_of(harness), handle, b"half a line")
        assert output((await engine_of(harness).logs(handle, None)).frames).startswith(b"33 99\r\n")


@pytest.mark.parametrize("flags", [(), ("--live-restore",)], ids=["plain", "live-restore"])
async def test_a_daemon_that_is_killed_loses_and_doubles_nothing(
    flags: tuple[str, ...], daemons: Daemons, tmp_path: Path
) -> None:
    daemon = await asyncio.to_thread(daemons.make, "docker", *flags)
    async with opened(daemon, tmp_path) as (harness, watcher):
        engine = engine_of(harness)
        ends = harness.spec(("print", "begun"), ("sleep", "3"), ("print", "done"), ("exit", "7"))
        runs = harness.spec(("print", "begun"), ("sleep-forever",))
        handles = await engine.launch([ends, runs])
        for spec, handle in zip((ends, runs), handles, strict=True):
            await watcher.running(spec.attempt_id)
            await printed(engine, handle, b"begun\n")
        late = [harness.spec(("print", f"late {n}"), ("exit", str(n))) for n in range(8)]
        launched = await engine.launch(late)
        await asyncio.to_thread(daemon.kill)
        await eventually(lambda: _is(not engine.connected), "the engine notices")
        with pytest.raises(OSError, match=r"cannot be reached|nothing answers"):
            await engine.poll(handles)
        await asyncio.to_thread(daemon.start)
        for n, spec in enumerate(late):
            end = await watcher.over(spec.attempt_id)
            # What was being started when its daemon died may be lost; it never runs twice, and is never stuck.
            if end.phase is Phase.ENDED:
                assert (end.reason, end.exit_code) == ("exit-code", n), end
                assert output(await read_log(engine, launched[n])) == f"late {n}\n".encode()
            else:
                assert end.reason == "node-lost"
        end = await watcher.over(ends.attempt_id)
        if flags:
            assert (end.reason, end.exit_code) == ("exit-code", 7)
            assert output(await read_log(engine, handles[0])) == b"begun\ndone\n"
            assert (await engine.poll([handles[1]]))[0].phase is Phase.RUNNING
            await engine.stop(handles[1], grace=5, reason="user-request")
            assert (await watcher.over(runs.attempt_id)).reason == "stopped"
        else:  # such a daemon ends what ran when it starts
            lost = await watcher.over(runs.attempt_id)
            assert lost.phase in (Phase.LOST, Phase.ENDED)
        assert len(daemon.containers(harness.installation)) <= 10
    await asyncio.to_thread(daemon.stop)


async def _is(so: bool) -> bool:
    return so


@KINDS
async def test_a_server_that_dies_without_a_word_is_followed_by_another(
    kind: str, daemons: Daemons, tmp_path: Path
) -> None:
    daemon = daemons.get(kind)
    first = ContainerHarness(daemon, tmp_path)
    await first.open()
    specs = [first.spec(("print", f"number {n}"), ("sleep", "1"), ("exit", str(n))) for n in range(6)]
    dead = engine_of(first)
    handles = await dead.launch(specs)
    await asyncio.sleep(0.7)  # in the midst of starting them
    for task in [*dead._lives._tasks, *dead._lives.follower._tasks]:
        task.cancel()  # as far as a process can forget itself
    await dead._daemon.close()
    async with opened(daemon, tmp_path) as (harness, watcher):
        engine = engine_of(harness)
        known = {s.attempt_id for s in await engine.poll(handles) if s.detail != "never accepted"}
        await engine.launch(specs)
        assert len(known) >= 1
        for n, (spec, handle) in enumerate(zip(specs, handles, strict=True)):
            end = await watcher.over(spec.attempt_id)
            assert (end.reason, end.exit_code) == ("exit-code", n), end
            assert output(await read_log(engine, handle)) == f"number {n}\n".encode()
        await engine.forget(handles)

        async def gone() -> bool:
            return await asyncio.to_thread(daemon.containers, harness.installation) == []

        await eventually(gone, "no container is left")
        assert _names(harness.directory / "attempts") == []


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


@KINDS
async def test_a_job_reports_over_a_socket_that_only_it_sees(
    kind: str, daemons: Daemons, database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    """The socket of a run, mounted read-only, is reached by the container's own user, who is not the server's."""
    world = World(database, clock, tmp_path / "world")
    program = tmp_path / "tools/reporter"
    program.parent.mkdir()
    source = Path(containers.__file__).with_name("reporter.c")
    compiled = [str(needs_program("gcc")), "-static", "-O1", "-o", str(program), str(source)]
    await asyncio.to_thread(lambda: subprocess.run(compiled, check=True, timeout=60))
    async with running(world), opened(daemons.get(kind), tmp_path / "engine") as (harness, watcher):
        runs = [await _running_run(world) for _ in range(2)]
        desk = Desk(database, tmp_path / "sockets", lambda run_id: f"{tmp_path}/{run_id}")
        desk.begin()
        await asyncio.to_thread(desk.place, [run_id for _, run_id in runs])
        places = [desk.place_of(run_id) for _, run_id in runs]
        spec = harness.spec(("true",))
        words = ('exec 2>&1; /tools/reporter /reports/socket "$0" && ls /reports && touch /reports/x; ls -a /sockets',)
        spec = msgspec.structs.replace(
            spec,
            argv=("/bin/sh", "-c", *words, '{"accuracy": 0.75}'),
            env={"PATH": "/bin"},
            binds=(
                Bind(source=str(places[0]), target="/reports"),
                Bind(source=str(program.parent), target="/tools"),
            ),
        )
        [handle] = await engine_of(harness).launch([spec])
        await watcher.over(spec.attempt_id)
        text = output(await read_log(engine_of(harness), handle)).decode()
        assert text.splitlines()[:2] == ['{"ok":true}', "socket"], text
        assert "Read-only file system" in text
        assert "/sockets: No such file" in text
        reports = [await world.db.read(get_report, world.actor, job_id) for job_id, _ in runs]
        assert [[one.last for one in report.series] for report in reports] == [[0.75], []]
        await desk.finish(run_id for _, run_id in runs)
        desk.close()


async def _running_run(world: World) -> tuple[str, str]:
    """A job that runs, and its run."""
    job_id = await world.submit("sleep-forever")
    job = await world.state(job_id, "RUNNING")
    return job_id, job.runs[-1].id
