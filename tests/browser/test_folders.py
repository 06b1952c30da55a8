"""Folders in a browser: how their pages look, and files that are dropped, cut off, taken up again and looked at."""

from __future__ import annotations

import asyncio
import re
import struct
import zlib
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio

HERE = "/local/joe/folders/digits"

HOSTILE = ("new\nline", "<script>alert(1)<script>", "\u202egnp.exe", "שלום.txt", "x" * 255, "\"quoted\" & 'so'")

CSV = "epoch,loss,accuracy,comment\n" + "".join(f"{n},{2.3 / n:.4f},{1 - 0.9 / n:.3f},run {n}\n" for n in range(1, 12))

TEXT = "".join(f"    step {n:3} of training, loss {2.3 / n:.5f}\n" for n in range(1, 60))


UNDRAWN = """() => [...document.querySelectorAll("use")].map((use) => use.getAttribute("href"))
  .filter((icon) => !document.querySelector(`${icon} path`))"""
"""Icons that rows use and nobody drew."""


def png(width: int, height: int) -> bytes:
    """A picture in one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x1c\x58\xb4" * width for _ in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def fill(site: Site) -> Path:
    """A folder with some of everything."""
    root = await site.folder("digits")
    await site.folder("models")
    (root / "train/ones").mkdir(parents=True)
    (root / "test").mkdir()
    for number in range(12):
        (root / f"img{number}.png").write_bytes(png(20 + number, 10))
    (root / "labels.csv").write_text(CSV)
    (root / "log.txt").write_text(TEXT)
    (root / "config.json").write_text('{"rate":1.10,"layers":[1,2,{"name":"a"}]}')
    (root / "model.bin").write_bytes(b"\0\1\2" * 1000)
    (root / "latest").symlink_to("model.bin")
    return root


@pytest.mark.slow
async def test_every_page(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/folders")
        await expect(page.get_by_role("heading", name="No folders yet")).to_be_visible()
        await shown.check_looks("folders-empty")
        root = await fill(site)
        await page.reload()
        await expect(page.locator("#folders tbody tr").first).to_contain_text("16")
        await shown.check_looks("folders")
        await page.get_by_role("link", name="digits").click()
        await expect(page.locator("#files tbody tr")).to_have_count(19)
        assert await page.evaluate(UNDRAWN) == []
        await shown.check_looks("files")
        for name in HOSTILE:
            (root / "test" / name).touch()
        for path in ("train/ones", "test", "labels.csv", "log.txt", "config.json", "img3.png", "model.bin"):
            await page.goto(f"{HERE}/{path}")
            await shown.check_looks(f"files-{path.replace('/', '-').replace('.', '-')}")
        for act in ("do=directory", "do=move", "do=remove"):
            await page.goto(f"{HERE}/train?{act}")
            await shown.check_looks(f"files-{act}")
        await page.goto("/folders/new")
        await shown.check_looks("folders-new")


DROP = """(files) => {
  const transfer = new DataTransfer();
  for (const [name, size, mark] of files) {
    transfer.items.add(new File([new Uint8Array(size).fill(mark)], name));
  }
  for (const kind of ["dragover", "drop"]) {
    const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
    document.querySelector("main").dispatchEvent(new DragEvent(kind, how));
  }
}"""

MIB = 1 << 20


async def drop(page: Page, *files: tuple[str, int, int]) -> None:
    """Drop files of these names and sizes, full of one byte each."""
    await page.evaluate(DROP, files)


async def test_files_are_dropped(browser: Browser, site: Site) -> None:
    root = await site.folder("digits")
    (root / "a.txt").write_bytes(b"\1" * 10)
    (root / "b.txt").write_bytes(b"\7")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(HERE)
        await drop(
            page,
            ("a.txt", 10, 1),
            ("b.txt", 5, 2),
            ("c <script>.txt", 20, 3),
            ("large.bin", 20 * MIB, 4),
            ("none", 0, 0),
        )
        panel = page.locator("#uploads")
        await expect(panel).to_contain_text("b.txt is there already with other content")
        assert (root / "b.txt").read_bytes() == b"\7"
        await shown.check("upload-asks")
        await panel.get_by_role("button", name="Replace them").click()
        await expect(panel).to_contain_text("Uploaded 5 files")
        await expect(panel).to_contain_text("1 there already")
        await expect(page.locator("#files tbody tr")).to_have_count(5)
        await shown.check("upload-done")
        assert (root / "b.txt").read_bytes() == b"\2" * 5
        assert (root / "c <script>.txt").read_bytes() == b"\3" * 20
        assert (root / "large.bin").read_bytes() == b"\4" * (20 * MIB)
        assert (root / "none").read_bytes() == b""
        await drop(page, ("b.txt", 6, 5))
        await panel.get_by_role("button", name="Keep those that are there").click()
        await expect(panel).to_contain_text("1 kept as they were")
        assert (root / "b.txt").read_bytes() == b"\2" * 5


async def test_a_directory_is_chosen_with_a_button(browser: Browser, site: Site, tmp_path: Path) -> None:
    root = await site.folder("digits")
    (root / "train").mkdir()
    (tmp_path / "many/deep").mkdir(parents=True)
    for number in range(1200):
        (tmp_path / f"many/deep/{number}.txt").write_text(str(number))
    (tmp_path / "many/שלום \u202e.txt").write_text("x")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"{HERE}/train")
        await expect(page.get_by_role("heading", name="This directory is empty")).to_be_visible()
        await page.set_input_files("#pick-directory", tmp_path / "many")
        await expect(page.locator("#uploads")).to_contain_text("Uploaded 1,201 files")
        await expect(page.get_by_role("link", name="many", exact=True)).to_be_visible()
        await shown.check("upload-directory")
    assert {path.name: path.read_text() for path in (root / "train/many/deep").iterdir()} == {
        f"{number}.txt": str(number) for number in range(1200)
    }
    assert (root / "train/many/שלום \u202e.txt").read_text() == "x"


async def test_an_upload_goes_on_after_the_connection_was_cut(browser: Browser, site: Site) -> None:
    root = await site.folder("digits")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(HERE)
        cut = await hold_after(page, 1)
        await drop(page, ("large.bin", 40 * MIB, 4))
        await asyncio.wait_for(cut.wait(), 20)
        await site.stop()
        await page.unroute("**/uploads/**")
        await expect(page.locator("#uploads")).to_contain_text("The connection is lost; trying again")
        await site.start()
        await expect(page.locator("#uploads")).to_contain_text("Uploaded 1 file")
    assert (root / "large.bin").read_bytes() == b"\4" * (40 * MIB)


async def test_an_upload_goes_on_after_the_page_was_loaded_again(browser: Browser, site: Site) -> None:
    root = await site.folder("digits")
    async with screen(browser, site) as shown:
        page = shown.page
        page.on("dialog", lambda dialog: dialog.accept())
        await page.goto(HERE)
        cut = await hold_after(page, 2)
        await drop(page, ("large.bin", 40 * MIB, 4))
        await asyncio.wait_for(cut.wait(), 20)
        await page.reload()
        await expect(page.locator("#uploads")).to_contain_text("An upload of 1 file was interrupted")
        await shown.check("upload-interrupted")
        await page.unroute("**/uploads/**")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.url) if request.method == "PUT" else None)
        await drop(page, ("large.bin", 40 * MIB, 4))
        await expect(page.locator("#uploads")).to_contain_text("Uploaded 1 file")
    assert [url.rpartition("offset=")[2] for url in sent] == [str(offset * MIB) for offset in (16, 24, 32)]
    assert (root / "large.bin").read_bytes() == b"\4" * (40 * MIB)


async def hold_after(page: Page, pieces: int) -> asyncio.Event:
    """Let so many pieces of a file through, and no more; the event is set when the next one waits."""
    held = asyncio.Event()
    let = 0

    async def decide(route: Route) -> None:
        nonlocal let
        if route.request.method != "PUT":
            await route.continue_()
        elif let < pieces:
            let += 1
            await route.continue_()
        else:
            held.set()

    await page.route("**/uploads/**", decide)
    return held


async def test_an_upload_is_cancelled(browser: Browser, site: Site) -> None:
    root = await site.folder("digits")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(HERE)
        held = await hold_after(page, 1)
        await drop(page, ("large.bin", 40 * MIB, 4))
        await asyncio.wait_for(held.wait(), 20)
        await shown.check("upload-runs")
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#uploads")).to_contain_text("Cancelled; 0 files had come")
        await page.get_by_role("button", name="Close").click()
        await expect(page.locator("#uploads")).to_be_hidden()
    assert list(root.iterdir()) == []


async def test_the_list_is_filtered_by_typing_and_used_from_the_keyboard(browser: Browser, site: Site) -> None:
    root = await fill(site)
    for number in range(10_000):
        (root / f"train/{number}.txt").touch()
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"{HERE}/train")
        await expect(page.locator("#files tbody tr")).to_have_count(100)
        await expect(page.locator("#count")).to_contain_text("10,001 entries; 1 to 100 are shown")
        await page.keyboard.press("/")
        await page.keyboard.type("777")
        await expect(page.locator("#files tbody tr")).to_have_count(19)
        await expect(page).to_have_url(re.compile("match=777"))
        await expect(page.locator("#count")).to_contain_text("19 of 10,001 entries")
        await page.keyboard.press("Escape")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/train/1777.txt")
        await page.go_back()
        await page.get_by_role("link", name="Changed").click()
        await expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Changed")
        await page.goto(f"{HERE}?order=-name")
        await expect(page.locator("#files tbody tr").nth(2)).to_contain_text("model.bin")


async def test_folders_are_made_and_changed_without_javascript(browser: Browser, site: Site) -> None:
    async with screen(browser, site, javascript=False) as shown:
        page = shown.page
        await page.goto("/folders")
        await page.get_by_role("link", name="New folder").first.click()
        await page.get_by_label("Name").fill("not a name")
        await page.get_by_role("button", name="Make the folder").click()
        await expect(page.locator(".field.wrong")).to_contain_text("cannot name a folder")
        shown.complaints = [text for text in shown.complaints if "status of 400" not in text]
        await shown.check("folder-wrong")
        await page.get_by_label("Name").fill("digits")
        await page.get_by_role("button", name="Make the folder").click()
        await page.get_by_role("link", name="New directory").click()
        await page.get_by_label("Name").fill("a/b")
        await page.get_by_role("button", name="Make it").click()
        await page.wait_for_url(f"**{HERE}/a/b")
        await page.goto(f"{HERE}/a/b?do=move")
        await page.get_by_label("New path").fill("c")
        await page.get_by_role("button", name="Move it").click()
        await page.wait_for_url(f"**{HERE}")
        await expect(page.locator("#files tbody tr")).to_have_count(2)
        await page.goto(f"{HERE}/c?do=remove")
        await page.get_by_label("Write c to say").fill("d")
        await page.get_by_role("button", name="Delete the directory").click()
        await expect(page.locator(".field.wrong")).to_contain_text("nothing was removed")
        await page.get_by_label("Write c to say").fill("c")
        await page.get_by_role("button", name="Delete the directory").click()
        await expect(page.locator("#files tbody tr")).to_have_count(1)
        await page.goto(f"{HERE}?do=remove")
        await page.get_by_label("Write digits to say").fill("digits")
        await page.get_by_role("button", name="Delete the folder").click()
        await page.wait_for_url("**/local/joe/folders")
        await expect(page.get_by_role("heading", name="No folders yet")).to_be_visible()
