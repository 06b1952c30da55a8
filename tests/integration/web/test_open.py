"""`dais open`: from a token in a terminal to a session in a browser."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.identity import create_token
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, running_site
from tests.support.world import PATIENCE, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def dais_open(site: Site, *words: str, **environment: str) -> tuple[int, str, str]:
    token = (await site.world.db.write(create_token, site.world.actor)).secret
    known = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "dais", "open", *words),
        env={**known, "DAIS_URL": site.url, "DAIS_TOKEN": token, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def redeem(site: Site, address: str) -> int:
    async with site.browser() as client:
        await client.post(address)
        return (await client.get("/jobs")).status_code


@pytest.mark.parametrize("words", [("--print",), ()])
async def test_the_link_is_printed_alone_where_there_is_no_browser(site: Site, words: tuple[str, ...]) -> None:
    code, out, err = await dais_open(site, *words)
    assert (code, "within 15 minutes" in err) == (0, True)
    assert re.fullmatch(re.escape(site.url) + r"/sign-in/\w{43}\n", out)
    assert await redeem(site, out.strip()) == 200


async def test_a_browser_gets_the_link_and_the_terminal_does_not(site: Site, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    code, out, err = await dais_open(site, DISPLAY=":none", BROWSER=f"{browser} %s")
    assert (code, out, "opened in the browser" in err) == (0, "", True)
    assert await redeem(site, (tmp_path / "opened").read_text()) == 200


async def test_a_wrong_token_is_told_so(site: Site) -> None:
    code, out, err = await dais_open(site, "--print", DAIS_TOKEN="dais_user_" + "0" * 43)
    assert (code, out) == (1, "")
    assert "DAIS_TOKEN" in err
