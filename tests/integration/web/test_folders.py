"""Folders over HTTP: who may, what is refused, what is sent how, and that nothing outside is ever reached."""

from __future__ import annotations

import io
import os
import re
import threading
import zipfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pytest

from dais.data.hashing import digest_of
from dais.identity import create_sign_in_link, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import open_database
from dais.wire.spec import Mount
from dais.wire.transfers import PackEntry, pack_header
from tests.support.database import sqlite_url
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio

HERE = "/local/joe/folders/digits"

HOSTILE = (
    *("new\nline", "<img src=x onerror=alert(1)>", "\u202egnp.exe", "שלום", "x" * 255, "q\"u'o", "%2e%2e", "..\\..\\x"),
    *("a?as=image", "a#b", " space ", "\x1b[31m", "-rf", "{{ 1 }}"),
)


@pytest.fixture
async def site(clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    """What these pages do does not depend on the database."""
    with sqlite_url() as url, closing(open_database(url, clock)) as database:
        async with running_site(World(database, clock, tmp_path)) as running:
            yield running


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_text("nobody may read this")
    return directory


def inside(directory: Path) -> set[str]:
    """The names in a directory."""
    return {path.name for path in directory.iterdir()}


async def uploads(site: Site, client: httpx2.AsyncClient) -> tuple[str, dict[str, str]]:
    """The address for uploads into the folder `digits`, and the header that they need."""
    page = (await client.get(HERE)).text
    found = re.search(r'data-folder="([^"]+)"', page)
    assert found is not None
    return f"/uploads/{found[1]}", {
        "Accept": "application/json",
        "Dais-Form": form_token((await client.get(f"{HERE}?do=remove")).text),
    }


def pack(path: str, content: bytes) -> bytes:
    return pack_header(PackEntry(path=path, size=len(content), digest=digest_of(content))) + content


async def test_pages_of_folders_are_for_those_who_may_see_them(site: Site) -> None:
    root = await site.folder("digits")
    (root / "a.txt").write_text("private")
    eve = await site.world.db.write(create_user, site.world.actor, "eve")
    async with site.signed_in() as joe, site.browser() as nobody, site.browser() as client:
        base, header = await uploads(site, joe)
        await client.post(f"/sign-in/{await site.world.db.write(create_sign_in_link, eve.id)}")
        for path in (HERE, f"{HERE}/a.txt", f"{HERE}/a.txt?as=download", f"{HERE}?as=download", f"{HERE}?do=remove"):
            assert (await nobody.get(path)).status_code == 401
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "private" not in answer.text
        assert HERE not in (await client.get("/folders")).text
        token = form_token((await client.get("/folders/new")).text)
        for method, path, body in (
            ("POST", f"{base}/compare", b'{"files":[]}'),
            ("POST", f"{base}/pack", pack("x", b"x")),
            ("PUT", f"{base}/file?path=x&size=1&digest={digest_of(b'x')}", b"x"),
        ):
            assert (await nobody.request(method, path, content=body, headers=header)).status_code == 401
            answer = await client.request(method, path, content=body, headers={"Dais-Form": token})
            assert answer.status_code == 404, answer.text
        assert (await client.post(HERE, data={"token": token, "do": "remove", "name": "digits"})).status_code == 404
    assert inside(root) == {"a.txt"}


async def test_uploads_and_changes_need_this_origin_and_the_form(site: Site) -> None:
    root = await site.folder("digits")
    async with site.signed_in() as client:
        base, header = await uploads(site, client)
        put = f"{base}/file?path=x&size=1&digest={digest_of(b'x')}"
        for given in (
            {},
            {"Dais-Form": "0" * 64},
            {**header, "Origin": "https://evil.example"},
            {**header, "Sec-Fetch-Site": "cross-site"},
        ):
            for method, path in (("POST", f"{base}/pack"), ("PUT", put), ("POST", f"{base}/compare")):
                answer = await client.request(method, path, content=b"x", headers=given)
                assert answer.status_code == 403, answer.text
        for form in ({"do": "remove", "name": "digits"}, {"do": "directory", "name": "x"}):
            assert (await client.post(HERE, data={**form, "token": "0" * 64})).status_code == 403
        # A session opens pages, never the API.
        assert (await client.get("/v1/folders")).status_code == 401
        answer = await client.post(f"{base}/pack", content=pack("x", b"x"), headers=header)
        assert answer.json() == {"entries": 1}
    assert inside(root) == {"x"}


async def test_an_upload_that_was_cut_off_goes_on(site: Site) -> None:
    root = await site.folder("digits")
    content = os.urandom(3_000_000)
    query = f"path=large.bin&size={len(content)}&digest={digest_of(content)}"
    local = {"path": "large.bin", "size": len(content), "digest": digest_of(content)}
    async with site.signed_in() as client:
        base, header = await uploads(site, client)
        half = await client.put(f"{base}/file?{query}", content=content[:1_000_000], headers=header)
        assert half.json() == {"path": "large.bin", "offset": 1_000_000, "complete": False}
        assert inside(root) == set()
        asked = msgspec.json.encode({"files": [local], "begun": True})
        compared = await client.post(f"{base}/compare", content=asked, headers=header)
        assert compared.json() == [{"state": "absent", "offset": 1_000_000}]
        wrong = await client.put(f"{base}/file?{query}&offset=2000000", content=b"x", headers=header)
        assert (wrong.status_code, wrong.json()["fields"]["expected"]) == (409, 1_000_000)
        rest = await client.put(f"{base}/file?{query}&offset=1000000", content=content[1_000_000:], headers=header)
        assert rest.json()["complete"] is True
        assert (await client.post(f"{base}/compare", content=asked, headers=header)).json() == [{"state": "same"}]
    assert (root / "large.bin").read_bytes() == content


async def test_downloads_have_ranges_tags_and_names(site: Site) -> None:
    root = await site.folder("digits")
    name = 'größe "1" <x>.txt'
    (root / name).write_bytes(b"0123456789")
    async with site.signed_in() as client:
        address = f"{HERE}/{quote(name)}?as=download"
        whole = await client.get(address)
        assert (whole.status_code, whole.content) == (200, b"0123456789")
        assert whole.headers["content-disposition"] == (
            "attachment; filename=\"gr__e _1_ <x>.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22%20%3Cx%3E.txt"
        )
        assert whole.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in whole.headers["content-security-policy"]
        assert whole.headers["x-content-type-options"] == "nosniff"
        tag = whole.headers["etag"]
        some = await client.get(address, headers={"Range": "bytes=2-4", "If-Range": tag})
        assert (some.status_code, some.content) == (206, b"234")
        assert some.headers["content-range"] == "bytes 2-4/10"
        other = await client.get(address, headers={"Range": "bytes=2-4", "If-Range": '"other"'})
        assert (other.status_code, other.content) == (200, b"0123456789")
        assert (await client.get(address, headers={"Range": "bytes=10-"})).status_code == 416
        assert (await client.get(address, headers={"If-Match": '"other"'})).status_code == 409
        head = await client.head(address)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")


async def test_hostile_names_are_shown_and_opened_and_never_markup(site: Site) -> None:
    root = await site.folder("digits")
    for name in HOSTILE:
        (root / name).write_text("content")
    (root / os.fsdecode(b"bad-\xff")).touch()
    async with site.signed_in() as client:
        page = await client.get(HERE)
        assert "<img src=x" not in page.text
        assert "\u202e" not in page.text
        assert "\x1b" not in page.text
        assert "bad-\ufffd" in page.text
        found = {href.replace("&amp;", "&") for href in re.findall(r'href="(/local[^"]+/digits/[^"?]+)"', page.text)}
        assert found == {f"{HERE}/{quote(name)}" for name in HOSTILE}
        for name in HOSTILE:
            answer = await client.get(f"{HERE}/{quote(name)}")
            assert answer.status_code == 200, name
            assert '<li id="L1">content</li>' in answer.text
            assert "<img src=x" not in answer.text
            download = await client.get(f"{HERE}/{quote(name)}?as=download")
            assert download.content == b"content"
            assert (await client.get(f"{HERE}/{quote(name)}?do=move")).status_code == 200
        assert (await client.get(f"{HERE}/bad-%FF")).status_code == 404
        archive = await client.get(f"{HERE}?as=download")
    assert archive.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        names = file.namelist()
        assert len(names) == len(HOSTILE) + 1
        assert not any("\\" in name or "\n" in name or ".." in name.split("/") for name in names)


async def test_nothing_outside_is_reached(site: Site, outside: Path) -> None:
    root = await site.folder("digits")
    (root / "link").symlink_to(outside / "secret")
    (root / "dir").symlink_to(outside)
    (root / "file").write_text("mine")
    secret = b"nobody may read this"
    async with site.signed_in() as client:
        base, header = await uploads(site, client)
        token = header["Dais-Form"]
        for path in (
            "link",
            "dir/secret",
            "%2e%2e/outside/secret",
            "..%2f..%2foutside%2fsecret",
            "dir",
            "%00",
            "a/%2e%2e/b",
        ):
            for query in ("", "?as=download", "?as=image"):
                answer = await client.get(f"{HERE}/{path}{query}")
                assert secret not in answer.content
                assert answer.status_code != 500, (path, query)
        archive = await client.get(f"{HERE}?as=download")
        assert secret not in archive.content
        for form in (
            {"do": "move", "target": "../outside/file"},
            {"do": "move", "target": "dir/file"},
            {"do": "move", "target": "/etc/../../file"},
        ):
            assert (await client.post(f"{HERE}/file", data={**form, "token": token})).status_code == 400
        for path in ("dir/x", "../x", "/x", "a/../../x"):
            sent = await client.post(f"{base}/pack", content=pack(path, b"x"), headers=header)
            assert sent.status_code in (400, 409), path
        assert (await client.post(f"{HERE}/dir", data={"do": "remove", "token": token})).status_code == 303
    assert inside(outside) == {"secret"}
    assert inside(root) == {"link", "file"}


async def test_previews_while_a_job_swaps_what_is_previewed_show_nothing_from_outside(
    site: Site, outside: Path
) -> None:
    root = await site.folder("digits")
    (root / "d").mkdir()
    (root / "d/secret").write_text("fine")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (root / "d").rename(root / "aside")
            (root / "d").symlink_to(outside)
            (root / "d").unlink()
            (root / "aside").rename(root / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    statuses = set()
    try:
        async with site.signed_in() as client:
            for _ in range(40):
                for path in ("d/secret", "d/secret?as=download", "d"):
                    answer = await client.get(f"{HERE}/{path}")
                    statuses.add(answer.status_code)
                    assert b"nobody may read this" not in answer.content
    finally:
        over.set()
        thread.join()
    assert statuses <= {200, 404, 409}


async def test_images_are_sent_as_what_they_are_and_nothing_else_is(site: Site) -> None:
    root = await site.folder("digits")
    (root / "real.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    (root / "fake.png").write_text("<script>alert(1)</script>")
    (root / "page.html").write_text("<script>alert(1)</script>")
    (root / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    async with site.signed_in() as client:
        assert "?as=image" in (await client.get(f"{HERE}/real.png")).text
        image = await client.get(f"{HERE}/real.png?as=image")
        assert image.headers["content-type"] == "image/png"
        assert image.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in image.headers["content-security-policy"]
        for name in ("fake.png", "page.html", "drawing.svg"):
            page = await client.get(f"{HERE}/{name}")
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
            assert "<script>alert" not in page.text
            assert (await client.get(f"{HERE}/{name}?as=image")).status_code == 400


async def test_a_folder_in_use_is_not_deleted(site: Site) -> None:
    await site.folder("digits")
    job = await site.world.submit("sleep-forever", data=(Mount(name="digits", target="/data"),))
    async with site.signed_in() as client:
        token = form_token((await client.get(f"{HERE}?do=remove")).text)
        form: dict[str, Any] = {"do": "remove", "name": "digits", "token": token}
        refused = await client.post(HERE, data=form)
        assert refused.status_code == 400
        assert "1 job mounts local.joe.digits" in refused.text
        assert (await client.get(HERE)).status_code == 200
        await site.world.kill(job)
        await site.world.finished(job)
        assert (await client.post(HERE, data=form)).status_code == 303
        assert (await client.get(HERE)).status_code == 404


async def test_lists_are_sorted_filtered_and_cut_into_pages(site: Site) -> None:
    for number in range(60):
        await site.folder(f"folder-{number:02}")
    await site.folder("Digits")
    async with site.signed_in() as client:

        async def names(query: str) -> list[str]:
            page = (await client.get(f"/folders{query}")).text
            return re.findall(r"<bdi>([^<]+)</bdi></a></span></td>", page)

        first = (await client.get("/folders")).text
        following = re.search(r'rel="next" href="/folders(\?[^"]+)"', first)
        assert following is not None
        listed = await names("") + await names(following[1].replace("&amp;", "&"))
        assert sorted(listed) == sorted(["Digits", *(f"folder-{number:02}" for number in range(60))])
        assert await names("?name=DIG") == ["Digits"]
        assert await names("?name=r-0%25") == []
        assert (await names("?order=-name"))[0] == "folder-59"
        assert (await names("?order=-created"))[0] == "Digits"
        assert (await client.get("/folders?order=colour")).status_code == 400
        assert (await client.get("/folders?cursor=x")).status_code == 400
        assert len(await names("")) == 50
        ids = ",".join(re.findall(r'data-key="([^"]+)"', first))
        sizes = (await client.get(f"/folders/sizes?ids={ids}")).json()
        assert len(sizes) == 50
        assert {one["files"] for one in sizes.values()} == {"0"}
        assert (await client.get("/folders/sizes?ids=x")).status_code == 400
        for wrong in ("page=0", "page=x", "page=99999999", "order=colour"):
            assert (await client.get(f"/local/joe/folders/Digits?{wrong}")).status_code == 400
        assert (await client.get("/local/joe/folders/Digits?page=99")).status_code == 200
        assert (await client.get("/local/nobody/folders")).status_code == 404


async def test_a_directory_of_ten_thousand_entries_stays_small(site: Site) -> None:
    root = await site.folder("digits")
    for number in range(10_000):
        (root / f"a-name-of-usual-length-{number}.txt").touch()
    async with site.signed_in() as client:
        page = await client.get(HERE)
        names = {name for name in re.findall(r'"(/static/[^"]+)"', page.text) if not name.endswith("hasher.js")}
        files = [await client.get(name) for name in names]
        base = next(name for name in names if name.endswith("files.js"))
        files += [await client.get(base.replace("files.js", name)) for name in ("lists.js", "upload.js", "given.js")]
    assert "10,000 entries; 1 to 100 are shown" in page.text
    assert all(file.status_code == 200 for file in files)
    assert len(page.content) + sum(len(file.content) for file in files) < 300_000
