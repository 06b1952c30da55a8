"""Connections to ports of jobs, over WebSockets, as any client may make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dais.identity import NewToken, create_token
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


async def running_job(site: Site) -> str:
    job = await site.world.submit("sleep", "1000")
    await site.world.state(job, "RUNNING")
    container = site.world.machine.container((await site.world.job(job)).runs[-1].id)
    assert container is not None
    container.ports.add(8080)
    return job


async def opened(site: Site, job: str, port: int | str = 8080, token: str = "") -> ClientConnection:
    address = f"{site.url.replace('http', 'ws')}/v1/jobs/{job}/ports/{port}"
    headers = {"authorization": f"Bearer {token or await site.token()}"}
    return await connect(address, additional_headers=headers, compression=None)


async def test_bytes_go_both_ways_and_each_direction_ends_by_itself(site: Site) -> None:
    job = await running_job(site)
    async with asyncio.timeout(PATIENCE):
        socket = await opened(site, job)
        await socket.send(b"hello ")
        assert await socket.recv() == b"hello "
        await socket.send([b"in ", b"pieces"])
        got = b""
        while got != b"in pieces":
            got += await socket.recv(decode=False)
        await socket.send("end")
        assert await socket.recv() == "end"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "")


async def test_a_port_of_an_app_in_which_commands_run_takes_the_right_to_run_them(site: Site) -> None:
    job = await running_job(site)
    container = site.world.machine.container((await site.world.job(job)).runs[-1].id)
    assert container is not None
    container.ports.add(2200)
    sees: NewToken = await site.world.db.write(create_token, site.world.actor, narrowed=["job:get@*"])
    async with asyncio.timeout(PATIENCE):
        plain = await opened(site, job, token=sees.secret)
        await plain.send(b"hello")
        assert await plain.recv() == b"hello"
        await plain.close()
        with pytest.raises(InvalidStatus) as refused:
            await opened(site, job, 2200, token=sees.secret)
        assert refused.value.response.status_code == 403
        await (await opened(site, job, 2200)).close()
