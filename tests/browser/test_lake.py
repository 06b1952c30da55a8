"""Versioned files and file sets in a browser: how their pages look, and what is downloaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from dais.data import commit_files, create_file_set
from dais.data.hashing import digest_of
from dais.kit.database import UnitOfWork
from dais.provenance import FILE, FILESET, update_meta
from dais.wire.lake import NewVersion
from dais.wire.meta import Moment
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio

HOSTILE = ("<b>bold</b>", "\u202egnp.exe", "\"quoted\" & 'so'", "a:b c%2Fd?e#f", "x" * 255)


def fill(uow: UnitOfWork, site: Site) -> None:
    """Files, two versions of some of them, and sets of them."""
    joe = site.world.actor

    def commit(content: bytes, *paths: str) -> None:
        digest = digest_of(content)
        commit_files(uow, joe, None, [NewVersion(path=path, digest=digest, size=len(content)) for path in paths])

    commit(b"one", "/data/a.txt", "/data/b.txt", *(f"/data/{name}" for name in HOSTILE))
    create_file_set(uow, joe, "texts", ["/data/"])
    commit(b"two two", "/data/a.txt", "/data/sub/c.txt")
    create_file_set(uow, joe, "texts", ["/data/a.txt", "/data/sub/"])
    create_file_set(uow, joe, "mixed", ["@texts:1", "/data/sub/c.txt"])


async def test_every_page(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        for address, words, name in (
            ("/files", "No files yet", "lake-empty"),
            ("/filesets", "No file sets", "sets-empty"),
        ):
            await page.goto(address)
            await expect(page.get_by_role("heading", name=words)).to_be_visible()
            await shown.check_looks(name)
        for content in (b"one", b"two two"):
            await asyncio.to_thread(site.services.blobs.put, content)
        await site.world.db.write(fill, site)
        await page.goto("/folders")
        await page.get_by_role("link", name="Files", exact=True).click()
        await page.get_by_role("link", name="data", exact=True).click()
        await expect(page.locator("#lake tbody tr")).to_have_count(8)
        await shown.check_looks("lake")
        await page.get_by_role("link", name="a:b c%2Fd?e#f").click()
        await expect(page.locator("#versions tbody tr")).to_have_count(1)
        await page.go_back()
        await page.get_by_role("link", name="a.txt").click()
        await expect(page.locator("#versions tbody tr")).to_have_count(2)
        await shown.check_looks("lake-file")
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="Download version 1").click()
        got = await downloading.value
        assert got.suggested_filename == "a.txt"
        content = await asyncio.to_thread(Path(await got.path()).read_bytes)
        assert content == b"one"
        await page.goto("/filesets")
        await expect(page.locator("#filesets tbody tr")).to_have_count(2)
        await shown.check_looks("sets")
        await page.get_by_role("link", name="texts").click()
        await page.get_by_role("button", name="Compare").click()
        await expect(page.locator("#changes tbody tr")).to_have_count(8)
        await shown.check_looks("set-compared")
        await page.goto("/local/joe/filesets/mixed")
        await page.get_by_role("link", name="texts:1").click()
        await expect(page.get_by_role("heading", name="texts:1")).to_be_visible()


async def test_metadata_is_set_found_and_removed(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/find")
        await expect(page.get_by_role("heading", name="Find by tags")).to_be_visible()
        await shown.check_looks("find-nothing-asked")
        await site.world.db.write(fill, site)
        await site.world.db.write(known, site)
        await page.goto("/local/joe/filesets/mixed")
        await page.get_by_label("Set", exact=True).fill('model=cnn accuracy=0.97 note="<i>so</i>" #best')
        await page.get_by_role("button", name="Set", exact=True).click()
        await expect(page.locator("#meta tbody tr")).to_have_count(4)
        await expect(page.locator("#meta")).to_contain_text("<i>so</i>")
        await shown.check_looks("set-metadata")
        await page.get_by_role("button", name="Remove note").click()
        await expect(page.locator("#meta tbody tr")).to_have_count(3)
        await page.goto("/filesets")
        await page.get_by_role("link", name="Find", exact=True).click()
        await page.get_by_label("with").fill("model=cnn max(accuracy)")
        await page.get_by_role("button", name="Find", exact=True).click()
        await expect(page.locator("#found tbody tr")).to_have_count(1)
        await shown.check_looks("found")
        await page.get_by_role("link", name="mixed:1").click()
        await expect(page.get_by_role("heading", name="mixed:1", exact=True)).to_be_visible()
        await page.goto("/local/joe/find?kind=fileset&q=model%3D")
        await expect(page.get_by_role("alert")).to_contain_text("model= needs a value")
        await shown.check_looks("find-wrong")
        await page.goto("/local/joe/find?kind=file&q=has(model)&order=-path")
        await expect(page.locator("#found tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="/data/a.txt:2").click()
        await expect(page.locator("#meta tbody tr")).to_have_count(2)


def known(uow: UnitOfWork, site: Site) -> None:
    """Metadata of some of them."""
    joe = site.world.actor
    update_meta(uow, joe, FILE, "/data/a.txt", values={"model": "<b>x</b>", "at": Moment("2026-01-31T12:00:00Z")})
    update_meta(uow, joe, FILESET, "texts", values={"model": "cnn", "accuracy": 0.5})
