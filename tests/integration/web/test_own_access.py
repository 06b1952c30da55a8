"""What one sets for working inside jobs, in the pages: keys for SSH, and dotfiles."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx2
import pytest

from dais.compute import read_dotfile, set_dotfile
from dais.identity import add_ssh_key, create_user, list_ssh_keys
from dais.identity.ssh_keys.finding import touch_ssh_key
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import NotFound
from tests.support.site import Site, form_token, running_site
from tests.support.ssh import public_key
from tests.support.world import World

pytestmark = pytest.mark.anyio

KEYS, FILES = "/settings/ssh-keys", "/settings/dotfiles"


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.signed_in() as client:
        yield client


async def send(client: httpx2.AsyncClient, to: str, /, **fields: str) -> httpx2.Response:
    """Send the form of a page, with its token."""
    token = form_token((await client.get("/settings")).text)
    return await client.post(to, data={"token": token, **fields})


async def test_a_key_is_added_listed_and_removed(site: Site, client: httpx2.AsyncClient) -> None:
    assert "No keys yet" in (await client.get(KEYS)).text
    line = " ".join(public_key(1).split()[:2])
    assert (await send(client, KEYS, public=f"{line} joan@laptop\n")).status_code == 303
    assert (await send(client, KEYS, public=public_key(2), label="<the desk>")).status_code == 303
    keys = {key.label: key for key in await site.world.db.read(list_ssh_keys, site.world.actor)}
    assert set(keys) == {"joan@laptop", "<the desk>"}
    page = (await client.get(KEYS)).text
    assert all(key.fingerprint in page for key in keys.values())
    assert "&lt;the desk&gt;" in page
    used = keys["joan@laptop"]
    assert page.count("just now") == 2
    await site.world.db.write(touch_ssh_key, used.id)
    assert (await client.get(KEYS)).text.count("just now") == 3
    assert (await send(client, f"{KEYS}/{used.id}/remove")).status_code == 303
    assert [key.label for key in await site.world.db.read(list_ssh_keys, site.world.actor)] == ["<the desk>"]
    gone = await send(client, f"{KEYS}/{used.id}/remove")
    assert gone.status_code == 403
    assert "there is no key" in gone.text


@pytest.mark.parametrize(
    "given, words",
    [
        ("", "this is no public key for SSH"),
        ("ssh-dss AAAA", "DSA keys are broken"),
        ("ssh-ed25519 AAAA", "copy the whole line of the file that ends with .pub"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", "give the file that ends with .pub"),
    ],
)
async def test_what_is_no_key_is_said_at_the_field(
    site: Site, client: httpx2.AsyncClient, given: str, words: str
) -> None:
    answer = await send(client, KEYS, public=given, label="mine")
    assert answer.status_code == 400
    assert words in unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert 'value="mine"' in answer.text
    assert "c2VjcmV0" not in answer.text, "a private key is said again"
    assert not await site.world.db.read(list_ssh_keys, site.world.actor)


async def test_a_key_of_somebody_else_is_neither_taken_nor_removed(site: Site, client: httpx2.AsyncClient) -> None:
    db, root = site.world.db, site.world.actor
    other = await db.write(create_user, root, "other")
    theirs = await db.write(add_ssh_key, root, public_key(3), user_id=other.id)
    answer = await send(client, KEYS, public=public_key(3))
    assert answer.status_code == 409
    assert "a key belongs to one user" in answer.text
    async with site.signed_in(other.id) as stranger:
        mine = await db.write(add_ssh_key, root, public_key(4))
        assert mine.fingerprint not in (await stranger.get(KEYS)).text
        assert (await send(stranger, f"{KEYS}/{mine.id}/remove")).status_code == 403
        assert theirs.fingerprint in (await stranger.get(KEYS)).text
    assert [key.id for key in await db.read(list_ssh_keys, root)] == [mine.id]


async def test_a_dotfile_is_made_changed_and_removed(site: Site, client: httpx2.AsyncClient) -> None:
    async def kept(path: str) -> bytes:
        content: bytes = await site.world.db.read(read_dotfile, site.world.actor, site.world.vault, path)
        return content

    assert "No dotfiles yet" in (await client.get(FILES)).text
    text = "\r\nalias l='ls <b>'\r\n"  # as browsers send a text's lines
    assert (await send(client, FILES, path=".bashrc", mode="644", content=text)).status_code == 303
    assert await kept(".bashrc") == b"\nalias l='ls <b>'\n"
    listed = (await client.get(FILES)).text
    address = re.search(rf'{FILES}/file\?path=[^"]+', listed)
    assert address is not None
    assert "ls &lt;b&gt;" not in listed, "a content is in the list"
    page = (await client.get(address[0])).text
    shown = re.search(r"<textarea[^>]*>\n(.*)</textarea>", page, re.DOTALL)
    assert shown is not None
    assert unescape(shown[1]) == "\nalias l='ls <b>'\n"
    again = await send(client, FILES, path=".bashrc", mode="600", content="x")
    assert again.status_code == 409
    assert "you have .bashrc already" in again.text
    assert (await send(client, FILES, path=".bashrc", mode="600", content="x", known="yes")).status_code == 303
    assert await kept(".bashrc") == b"x"
    assert "<code>600</code>" in (await client.get(FILES)).text
    assert (await send(client, f"{FILES}/remove", path=".bashrc")).status_code == 303
    with pytest.raises(NotFound):
        await kept(".bashrc")
    assert (await client.get(f"{FILES}/file?path=.bashrc")).status_code == 404
    assert (await send(client, f"{FILES}/remove", path=".bashrc")).status_code == 404


@pytest.mark.parametrize(
    "fields, status, words",
    [
        ({"path": "bashrc", "content": "kept <text>"}, 400, "does not begin with a dot"),
        ({"path": ".a/../../b", "content": "kept <text>"}, 400, "cannot be the path of a dotfile"),
        ({"path": ".a", "mode": "999", "content": "kept <text>"}, 400, "'999' is no octal number such as 644"),
        ({"path": ".a", "content": "kept <text>" + "é" * 40_000}, 400, "a dotfile has at most 65,536"),
        ({"path": ".a", "content": "x" * 300_000}, 413, ""),
    ],
)
async def test_what_cannot_be_a_dotfile_is_said_and_what_was_typed_is_kept(
    client: httpx2.AsyncClient, fields: dict[str, str], status: int, words: str
) -> None:
    answer = await send(client, FILES, **{"mode": "644", **fields})
    assert answer.status_code == status, answer.text
    assert words in unescape(answer.text)
    if status == 400:
        assert "kept &lt;text&gt;" in answer.text
        assert 'aria-invalid="true"' in answer.text
    assert "No dotfiles yet" in (await client.get(FILES)).text


async def test_one_that_is_no_text_is_not_shown_and_one_of_another_mode_keeps_it(
    site: Site, client: httpx2.AsyncClient
) -> None:
    db, actor, vault = site.world.db, site.world.actor, site.world.vault
    await db.write(set_dotfile, actor, vault, ".blob", b"\xff\xfe", 0o644)
    await db.write(set_dotfile, actor, vault, ".run", b"x", 0o500)
    page = (await client.get(f"{FILES}/file?path=.blob")).text
    assert "It is no text in UTF-8" in page
    assert "<textarea" not in page
    assert '<option value="500" selected>' in (await client.get(f"{FILES}/file?path=.run")).text
    other = await db.write(create_user, actor, "other")
    async with site.signed_in(other.id) as stranger:
        assert "No dotfiles yet" in (await stranger.get(FILES)).text
        assert (await stranger.get(f"{FILES}/file?path=.run")).status_code == 404
