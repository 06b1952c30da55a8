"""The connection that keeps an open page true."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dais.compute import SAMPLE_SECONDS, retry_job
from dais.engines.contract import STDERR
from dais.identity import create_sign_in_link, create_user, end_session
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, running_site
from tests.support.world import PATIENCE, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


class Tab:
    """A page's side of the connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.ended = False
        """Whether it was told that the log is all said."""
        self.total = 0
        """How many complete lines the log had when it was last told of."""

    async def watch(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"watch": kind, **fields}))

    async def next(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                self.ended = self.ended or bool(message.get("over"))
                if message["kind"] == kind:
                    return message

    async def log_until(self, text: str, before: tuple[str, ...] = ()) -> list[str]:
        """The log's lines as the page would show them, once the text is among them; `before` are those it had."""
        done: dict[int, str] = dict(enumerate(before))
        while True:
            message = await self.next("log")
            done |= dict(enumerate(map(_text, message["lines"]), message["first"]))
            self.total = message["total"]
            lines = [done[number] for number in sorted(done)] + [_text(line) for line in message["open"]]
            if any(text in line for line in lines):
                return lines

    async def closed(self) -> int:
        """The code with which the server closes, or has closed, the connection."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.socket.recv()
        assert self.socket.close_code is not None
        return self.socket.close_code


def _text(line: tuple[int, int, str]) -> str:
    return re.sub(r"<[^>]+>", "", line[2])


@asynccontextmanager
async def tab(site: Site, client: httpx2.AsyncClient, origin: str | None = None) -> AsyncIterator[Tab]:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    address = site.url.replace("http", "ws") + "/live"
    async with connect(address, origin=origin or site.url, additional_headers={"Cookie": cookies}) as socket:  # type: ignore[arg-type]
        yield Tab(socket)


async def test_rows_follow_what_happens(site: Site) -> None:
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("jobs", query="name=train")
        assert "<tr" not in (await page.next("jobs"))["rows"]
        await site.world.submit("true", name="other")
        job = await site.world.submit("sleep-forever", name="train")
        while "running" not in (rows := (await page.next("jobs"))["rows"]):
            pass
        assert f'data-key="{job}"' in rows
        assert "other" not in rows
        await site.world.kill(job)
        while "cancelled" not in (await page.next("jobs"))["rows"]:
            pass


async def test_a_job_and_its_log_follow_to_the_end(site: Site) -> None:
    job = await site.world.submit("print", "begins", ";", "sleep", "10", ";", "print", "ends", ";", "exit", "3")
    await site.world.state(job, "RUNNING")
    async with site.signed_in() as client, tab(site, client) as page, tab(site, client) as other:
        await page.watch("log", ref=job)
        await other.watch("job", ref=job)
        await page.log_until("begins")
        assert "running" in (await other.next("job"))["parts"]["summary"]
        await site.prints(job, "\x1b[32mpart")
        await page.log_until("part")
        await site.prints(job, "ly\x1b[0m\n")
        assert await page.log_until("partly") == ["partly"]
        site.world.machine.advance(10)
        assert (await page.log_until("ends"))[-1] == "ends"
        while not page.ended:
            await page.next("log")
        while (message := await other.next("job"))["alive"]:
            pass
        assert "failed" in message["parts"]["summary"]
        assert message["title"].startswith("✕ ")
        assert message["icon"].endswith("state-failed.svg")


async def test_a_reader_resumes_without_a_gap_or_a_repetition(site: Site) -> None:
    job = await site.world.submit("print", "one", ";", "sleep-forever")
    await site.world.state(job, "RUNNING")
    async with site.signed_in() as client:
        async with tab(site, client) as page:
            await page.watch("log", ref=job)
            await page.log_until("one")
            had = page.total
        await site.prints(job, "two\nthree")
        async with tab(site, client) as page:
            await page.watch("log", ref=job, total=had)
            assert await page.log_until("three") == ["two", "three"]
            had = page.total
        await site.prints(job, " and more\n")
        async with tab(site, client) as page:
            await page.watch("log", ref=job, total=had)
            assert await page.log_until("three and more") == ["three and more"]


async def test_of_a_log_that_comes_fast_the_newest_lines_are_sent_and_the_others_can_be_had(site: Site) -> None:
    job = await site.world.submit("print", "first", ";", "sleep-forever")
    await site.world.state(job, "RUNNING")
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("log", ref=job)
        await page.log_until("first")
        await site.prints(job, "".join(f"{number:07}\n" for number in range(100_000)))
        await site.prints(job, "careful\n", STDERR)
        lines = await page.log_until("careful")
        assert "0099999" in lines
        assert len(lines) < 1_000
        found = (await client.get(f"/local/joe/jobs/{job}/log/lines?from=50002&count=2")).json()
        assert [_text(line) for line in found["lines"]] == ["0050000", "0050001"]


async def test_one_stream_and_an_earlier_run_have_lines_of_their_own(site: Site) -> None:
    world = site.world
    job = await world.submit("print", "out", ";", "error", "bad", ";", "exit", "1")
    await world.finished(job)
    await world.db.write(retry_job, world.actor, job, world.settings)
    await world.finished(job)
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("log", ref=job, run=0, stream=STDERR)
        assert await page.log_until("bad") == ["bad"]
        await page.watch("log", ref=job, run=1)
        assert await page.log_until("bad") == ["out", "bad"]
        assert page.ended


async def test_what_a_running_job_uses_is_told_as_it_is_sampled(site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("usage", ref=job)
        message = await page.next("usage")
        assert (message["run"], message["fresh"]) == (0, True)
        (sample,) = message["samples"]
        assert (sample["memory"], sample["pids"], sample["cpu"]) == (1 << 20, 1, None)
        site.world.clock.advance(SAMPLE_SECONDS)
        (sample,) = (await page.next("usage"))["samples"]
        assert sample["cpu"] == 0
        async with tab(site, client) as other:
            await other.watch("usage", ref=job)
            assert len((await other.next("usage"))["samples"]) == 2


async def test_only_these_pages_may_connect(site: Site) -> None:
    async with site.signed_in() as client:
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus) as caught:
                async with tab(site, client, origin):
                    pass
            assert caught.value.response.status_code == 403
        with pytest.raises(InvalidStatus):
            async with connect(site.url.replace("http", "ws") + "/live"):
                pass
        with pytest.raises(InvalidStatus):
            async with connect(site.url.replace("http", "ws") + "/elsewhere"):
                pass


async def test_nobody_watches_without_a_session_and_its_end_ends_it(site: Site) -> None:
    async with site.browser() as stranger, tab(site, stranger) as page:
        assert await page.closed() == 4401
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("jobs")
        await page.next("jobs")
        await site.world.db.write(end_session, client.cookies["dais_session"])
        await site.world.submit("true")
        assert await page.closed() == 4401


async def test_what_one_may_not_see_is_told_as_absent(site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    eve = await site.world.db.write(create_user, site.world.actor, "eve")
    async with site.browser() as client:
        await client.post(f"/sign-in/{await site.world.db.write(create_sign_in_link, eve.id)}")
        async with tab(site, client) as page:
            for kind in ("job", "apps", "log"):
                await page.watch(kind, ref=job)
                assert (await page.next("problem"))["code"] == "no-such-job"
            await page.watch("jobs", query="state=walking")
            assert (await page.next("problem"))["code"] == "bad-state"
            await page.watch("jobs")
            assert (await page.next("jobs"))["rows"].strip() == ""


@pytest.mark.parametrize(
    "message", ["", "{", "[]", '{"watch": "passwords"}', '{"watch": "job", "ref": 5}', "x" * 9_000]
)
async def test_nonsense_ends_the_connection(site: Site, message: str) -> None:
    async with site.signed_in() as client, tab(site, client) as page:
        await page.socket.send(message)
        assert await page.closed() == 4400


async def test_bytes_end_the_connection(site: Site) -> None:
    async with site.signed_in() as client, tab(site, client) as page:
        await page.socket.send(b"\x00")
        assert await page.closed() in (1000, 4400)


async def test_one_user_cannot_hold_all_connections(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from dais.web import live

    monkeypatch.setattr(live, "MAX_PER_USER", 1)
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("jobs")
        await page.next("jobs")
        async with tab(site, client) as other:
            assert (await other.next("problem"))["code"] == "too-many-pages"
            assert await other.closed() == 4400


async def test_a_stopping_server_says_that_it_restarts(site: Site) -> None:
    async with site.signed_in() as client, tab(site, client) as page:
        await page.watch("jobs")
        await page.next("jobs")
        site.services.stopping.set()
        assert await page.closed() == 1012
