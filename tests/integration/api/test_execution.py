"""Commands in jobs, over WebSockets, as any client may run them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dais.compute import Activity, running_work
from dais.engines.fake.execution import FakeExec
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.serving import PATIENCE
from tests.support.site import Site, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def begun(site: Site, **request: Any) -> tuple[ClientConnection, Activity, str]:
    """A command that copies its input, what is known to happen in its job, and the run."""
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    address = f"{site.url.replace('http', 'ws')}/v1/jobs/{job}/exec"
    headers = {"authorization": f"Bearer {await site.token()}"}
    socket = await connect(address, additional_headers=headers, compression=None)
    await socket.send(json.dumps({"argv": ["cat"], **request}))
    assert await socket.recv() == b'\0{"ok":true}'
    work = await site.world.db.read(running_work, site.world.actor, job, "job:exec")
    return socket, site.services.compute.activity, work.run_id


@pytest.mark.parametrize("kind", ["exec", "terminal"])
async def test_a_command_is_use_of_its_job_as_long_as_it_runs_and_with_what_is_typed(site: Site, kind: str) -> None:
    pty = {"pty": {"rows": 24, "cols": 80}} if kind == "terminal" else {}
    async with asyncio.timeout(PATIENCE):
        socket, activity, run = await begun(site, **pty)
        assert activity.opened(run) == {kind: 1}
        site.world.clock.advance(600)
        await socket.send(b"\0typed")
        assert await socket.recv() == b"\1typed"
        assert activity.last(run) == {kind: site.world.clock.now()}
        site.world.clock.advance(600)
        await socket.send(b"\1")
        assert await socket.recv() == b'\3{"exit_code":0}'
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    await site.world.until_true(lambda: gone(activity, run), "it is over")
    assert activity.last(run) == {kind: site.world.clock.now()}


async def gone(activity: Activity, run: str) -> bool:
    return not activity.opened(run)


async def test_a_client_that_goes_away_ends_it(site: Site) -> None:
    async with asyncio.timeout(PATIENCE):
        socket, activity, run = await begun(site)
        socket.transport.abort()
        await site.world.until_true(lambda: gone(activity, run), "it is over")


@pytest.mark.parametrize("message", [b"\2{}", b'\2{"rows": 0, "cols": 9}', b"\3NOSUCH"])
async def test_what_cannot_be_understood_is_told(site: Site, message: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        socket, _, _ = await begun(site)
        await socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "bad-exec"


async def test_input_that_nobody_reads_any_more_does_not_hide_how_it_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: FakeExec, data: bytes) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(FakeExec, "send", refuse)
    async with asyncio.timeout(PATIENCE):
        socket, _, _ = await begun(site)
        await socket.send(b"\0lost")
        await socket.send(b"\1")
        assert await socket.recv() == b'\3{"exit_code":0}'
