"""Apps of real jobs: started on first use, inside the job, and what they say when they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from dais.compute import Compute, Work
from dais.compute.apps.apps import Apps
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import NotFound, Unavailable
from dais.node.inside.keeper import KEPT
from dais.wire.spec import Port
from tests.support.engines import Harness, make_harness
from tests.support.reaching import KILL_APP
from tests.support.real_world import RealWorld, all_of, real_world

pytestmark = pytest.mark.anyio

SERVER = """
import http.server, re, sys
config = open(sys.argv[2]).read()
port = int(re.search(r"ServerApp.port = (\\d+)", config)[1])
print("started", config.count("token"), flush=True)
open("starts", "a").write("x")
{more}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"I am " + self.path.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
"""Stands in for JupyterLab, as a module of that name in the working directory."""


@pytest.fixture(params=["local-sandbox"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    return make_harness(request.param, tmp_path)


@pytest.fixture
async def world(harness: Harness, database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[RealWorld]:
    async with real_world(database, clock, tmp_path, harness) as world:
        yield world


@pytest.fixture
def compute(world: RealWorld) -> Compute:
    assert world.compute is not None
    return world.compute


async def sh(compute: Compute, work: Work, script: str) -> str:
    """Run a script in the job; what it printed."""
    stream = await compute.exec(work, ("/bin/sh", "-c", script), env={}, workdir=None, pty=None)
    out, err, code = await all_of(stream)
    assert code == 0, err
    return out.decode()


async def put(compute: Compute, work: Work, more: str = "") -> None:
    """Give the job a jupyterlab of ours."""
    stream = await compute.exec(work, ("/bin/sh", "-c", "cat > jupyterlab.py"), env={}, workdir=None, pty=None)
    await stream.send(SERVER.replace("{more}", more).encode())
    await stream.send_eof()
    assert (await all_of(stream))[2] == 0


async def fetch(compute: Compute, work: Work, port: int | None, path: str) -> bytes:
    """One request to a port of the job."""
    assert port is not None
    stream = await compute.dial(work, port)
    await stream.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = b""
    while part := await stream.receive():
        answer += part
    await stream.close()
    return answer.partition(b"\r\n\r\n")[2]


async def test_an_app_is_started_once_found_again_and_started_again_when_it_has_died(
    world: RealWorld, compute: Compute
) -> None:
    work = await world.running_job()
    await put(compute, work)
    first, second = await asyncio.gather(compute.apps.open(work, "jupyter"), compute.apps.open(work, "jupyterlab"))
    assert first == second
    assert (first.name, first.protocol, first.action, first.path) == ("jupyter", "http", "job:exec", "/lab")
    assert await fetch(compute, work, first.port, "/lab") == b"I am /lab"
    # Another server on the same job finds what the first one has started.
    assert await Apps(compute).open(work, "jupyter") == first
    assert await sh(compute, work, "cat starts") == "x"
    assert (await compute.apps.log(work, "jupyter")).startswith("started 1\n")
    states = {state.app.name: state.state for state in await compute.apps.states(work)}
    assert states["jupyter"] == "running"
    assert states["tensorboard"] == "ready"
    assert states["vscode"] == "missing"
    await sh(compute, work, KILL_APP)
    assert await compute.apps.open(work, "jupyter") == first
    assert await fetch(compute, work, first.port, "/") == b"I am /"
    assert await sh(compute, work, "cat starts") == "xx"


async def test_an_app_that_cannot_start_says_why_in_its_own_words(world: RealWorld, compute: Compute) -> None:
    work = await world.running_job()
    await put(compute, work, "sys.exit('no room for my files')")
    with pytest.raises(Unavailable, match="exit code 1; it said: started 1 / no room for my files") as refused:
        await compute.apps.open(work, "jupyter")
    assert refused.value.code == "app-failed"
    assert refused.value.fields["output"] == "started 1\nno room for my files\n"
    with pytest.raises(Unavailable, match=r"No module named '?tensorboard'?.*add it to its requirements"):
        await compute.apps.open(work, "tensorboard")
    with pytest.raises(Unavailable, match="vscode needs code-server"):
        await compute.apps.open(work, "vscode")
    ended = {state.app.name: state for state in await compute.apps.states(work)}["jupyter"]
    assert (ended.state, ended.exit_code, ended.detail) == ("ended", 1, "it ended with exit code 1")


async def test_an_app_that_floods_is_kept_short_and_answers(world: RealWorld, compute: Compute) -> None:
    work = await world.running_job()
    flood = "for n in range(200): print('y' * 100_000)\nprint('enough', flush=True)"
    await put(compute, work, flood)
    opened = await compute.apps.open(work, "jupyter")
    assert await fetch(compute, work, opened.port, "/x") == b"I am /x"
    log = await compute.apps.log(work, "jupyter")
    assert len(log) == KEPT
    assert "y\nenough\n" in log[-200:]
    kept = await sh(compute, work, "cat /tmp/.dais-apps/jupyter/log* | wc -c")
    assert 0 < int(kept) <= 4 * KEPT


async def test_an_app_that_listens_late_or_never_is_waited_for_again(world: RealWorld, compute: Compute) -> None:
    compute.settings = msgspec.structs.replace(compute.settings, app_start=1)
    work = await world.running_job()
    await put(compute, work, "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)")
    for _ in range(2):
        with pytest.raises(Unavailable, match="it runs, and has not answered on its port within 1 s; ask again"):
            await compute.apps.open(work, "jupyter")
    states = {state.app.name: (state.state, state.detail) for state in await compute.apps.states(work)}
    assert states["jupyter"] == ("ready", "it was started and does not answer yet")
    await sh(compute, work, "touch go")
    compute.settings = msgspec.structs.replace(compute.settings, app_start=30)
    opened = await compute.apps.open(work, "jupyter")
    assert await fetch(compute, work, opened.port, "/") == b"I am /"
    assert await sh(compute, work, "cat starts") == "x", "it was started once"


async def test_an_app_that_dies_before_it_listens_is_told_at_once(world: RealWorld, compute: Compute) -> None:
    work = await world.running_job()
    await put(compute, work, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(Unavailable, match="it ended with exit code 137; it said: started 1"):
        await compute.apps.open(work, "jupyter")


async def test_a_jobs_own_ports_are_plain_and_numbers_of_apps_are_not(world: RealWorld, compute: Compute) -> None:
    work = await world.running_job(ports=(Port(name="web", port=8080), Port(name="jupyter", port=8888)))
    opened = await compute.apps.open(work, "web")
    assert (opened.port, opened.action, opened.path) == (8080, "job:get", "/")
    assert compute.apps.find(work, "8080").name == "web"
    assert (await compute.apps.open(work, "9999")).action == "job:get"
    # What may give a shell is not reached by its number, nor by who names it so, with less.
    assert [compute.apps.find(work, name).action for name in ("jupyter", "8888", "2201", "sshd")] == ["job:exec"] * 4
    with pytest.raises(NotFound, match="did you mean 'jupyter'"):
        compute.apps.find(work, "jupiter")
    states = {state.app.name: state.state for state in await compute.apps.states(work)}
    assert (states["web"], states["jupyter"]) == ("silent", "silent")
