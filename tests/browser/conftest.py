"""A browser, and a site to look at."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from dais.kit.clock import ManualClock, SystemClock
from dais.kit.database import open_database
from tests.support.database import sqlite_url
from tests.support.needs import needs_chromium
from tests.support.site import Site, running_site
from tests.support.world import World

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the tests of a module, as they share a browser."""
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for the tests of a module: what they do in it is in contexts of their own."""
    program = needs_chromium()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        await started.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """What is on the pages does not depend on the database: SQLite. The time is now, for the browser knows it too."""
    clock = ManualClock(SystemClock().now())
    with sqlite_url() as url, contextlib.closing(open_database(url, clock)) as database:
        async with running_site(World(database, clock, tmp_path)) as running:
            yield running
