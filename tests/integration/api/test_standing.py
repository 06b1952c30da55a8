"""Streams end soon after the token, the user or the right is gone; whoever else follows goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dais.identity import Policy, create_policy, create_token, create_user, disable_user, remove_policy, revoke_token
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.serving import PATIENCE
from tests.support.site import Site, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio

WAYS = ["token", "user", "right"]


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


class Reader:
    """A user who may do one thing with one job."""

    def __init__(self, site: Site, job: str, actions: str) -> None:
        self.db, self.root = site.world.db, site.world.actor
        urn = f"{self.root.organization_id}:account:{self.root.account_id}:job:{job}"
        self.user = self.db.write_sync(create_user, self.root, "eve")
        self.policy: Policy = self.db.write_sync(create_policy, self.root, "user", self.user.id, [f"{actions}@{urn}"])
        self.token = self.db.write_sync(create_token, self.root, user_id=self.user.id)
        self.headers = {"authorization": f"Bearer {self.token.secret}"}

    async def loses(self, what: str) -> None:
        verb: Any
        verb, gone = {
            "token": (revoke_token, self.token.id),
            "user": (disable_user, self.user.id),
            "right": (remove_policy, self.policy),
        }[what]
        await self.db.write(verb, self.root, gone)


@pytest.mark.parametrize("what", WAYS)
@pytest.mark.parametrize("stream", ["logs/stream", "events"])
async def test_a_stream_ends(site: Site, stream: str, what: str) -> None:
    job = await site.world.submit("sleep", "1000")
    await site.world.state(job, "RUNNING")
    reader = Reader(site, job, "job:get+job:logs")
    other = {"authorization": f"Bearer {site.world.db.write_sync(create_token, site.world.actor).secret}"}
    async with (
        httpx2.AsyncClient(base_url=site.url, timeout=PATIENCE) as client,
        client.stream("GET", f"/v1/jobs/{job}/{stream}", headers=reader.headers) as followed,
        client.stream("GET", f"/v1/jobs/{job}/{stream}", headers=other) as kept,
    ):
        assert followed.status_code == kept.status_code == 200
        await reader.loses(what)
        async with asyncio.timeout(PATIENCE):
            async for _ in followed.aiter_bytes():
                pass  # what came before; it ends by itself
        answer = await client.get(f"/v1/jobs/{job}/{stream}", headers=reader.headers)
        assert answer.status_code == (404 if what == "right" else 401)
        await site.prints(job, "still here\n")
        if stream == "logs/stream":
            async for text in kept.aiter_text():
                if "still here" in text:
                    break


async def read_on(socket: ClientConnection) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await socket.recv()


@pytest.mark.parametrize("what", WAYS)
async def test_a_command_inside_a_job_ends(site: Site, what: str) -> None:
    job = await site.world.submit("sleep", "1000")
    await site.world.state(job, "RUNNING")
    reader = Reader(site, job, "job:exec")
    address = f"{site.url.replace('http', 'ws')}/v1/jobs/{job}/exec"
    async with connect(address, additional_headers=reader.headers) as socket:
        await socket.send(json.dumps({"argv": ["cat"]}))
        assert await socket.recv() == b'\0{"ok":true}'
        await reader.loses(what)
        with pytest.raises(ConnectionClosed) as closed:
            await read_on(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        expected = {"token": "token-revoked", "user": "user-disabled", "right": "no-such-job"}
        assert closed.value.rcvd.reason == expected[what]
