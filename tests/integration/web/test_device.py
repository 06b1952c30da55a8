"""`dais login`: a machine shows a code, a person confirms it in the pages, the machine gets a token."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dais.identity import create_user, disable_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.sdk.profiles import DEFAULT_NAME
from tests.support.database import every_row
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio

TOKEN = re.compile(r"dais_user_[0-9A-Za-z]{43}")


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def begin(client: httpx2.AsyncClient, machine: str = "laptop") -> dict[str, Any]:
    answer = await client.post("/v1/login/device", json={"machine": machine, "client": "dais 1"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def ask(client: httpx2.AsyncClient, begun: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await client.post("/v1/login/token", json={"device_code": begun["device_code"]})
    return answer.status_code, answer.json()


async def decide(client: httpx2.AsyncClient, code: str, decision: str) -> httpx2.Response:
    page = await client.get("/device", params={"code": code})
    token = form_token(page.text)
    return await client.post("/device", data={"token": token, "code": code, "decision": decision})


async def test_a_machine_is_signed_in_once(site: Site, clock: ManualClock) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        begun = await begin(machine, "lab-7")
        assert re.fullmatch(r"[B-Z]{4}-[B-Z]{4}", begun["user_code"])
        assert begun["verification_uri_complete"] == f"/device?code={begun['user_code']}"
        assert (begun["interval"], begun["expires_in"]) == (5, 600)
        assert (await ask(machine, begun))[1]["fields"]["error"] == "authorization_pending"
        for written in (begun["user_code"], begun["user_code"].lower().replace("-", " ")):
            page = await person.get("/device", params={"code": written})
            assert page.status_code == 200
            assert {"lab-7", "127.0.0.1", "dais 1", begun["user_code"]} <= set(re.split(r"[<>\n]", page.text))
        assert "lab-7 is signed in" in (await decide(person, begun["user_code"], "allow")).text
        clock.advance(5)
        status, found = await ask(machine, begun)
        assert (status, found["user"], found["account"], found["token_type"]) == (200, "joe", "local.joe", "Bearer")
        assert found["expires_in"] == 90 * 86_400
        bearer = {"Authorization": f"Bearer {found['access_token']}"}
        assert (await machine.get("/v1/me", headers=bearer)).json()["name"] == "joe"
        clock.advance(5)
        assert (await ask(machine, begun))[1]["code"] == "expired-token"  # handed out once
        assert (await person.get("/device", params={"code": begun["user_code"]})).status_code == 404
        clock.advance(90 * 86_400)
        assert (await machine.get("/v1/me", headers=bearer)).status_code == 401


async def test_nothing_of_a_code_or_token_is_kept_in_the_clear(site: Site, database: Database) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        begun = await begin(machine)
        stored = await database.read(every_row)
        assert begun["device_code"] not in stored
        assert begun["user_code"].replace("-", "") not in stored
        await decide(person, begun["user_code"], "allow")
        _, found = await ask(machine, begun)
        assert found["access_token"] not in await database.read(every_row)


async def test_no_means_no(site: Site) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        begun = await begin(machine)
        assert "was refused" in (await decide(person, begun["user_code"], "deny")).text
        assert (await ask(machine, begun))[1]["code"] == "access-denied"
        assert (await ask(machine, begun))[1]["code"] == "expired-token"


async def test_a_code_expires(site: Site, clock: ManualClock) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        begun = await begin(machine)
        clock.advance(600)
        assert (await ask(machine, begun))[1]["code"] == "expired-token"
        page = await person.get("/device", params={"code": begun["user_code"]})
        assert page.status_code == 404
        assert "older than 10 minutes" in page.text


async def test_who_asks_too_often_waits_longer_each_time(site: Site, clock: ManualClock) -> None:
    async with site.browser() as machine:
        begun = await begin(machine)
        assert (await ask(machine, begun))[1]["fields"]["interval"] == 5
        for longer in (10, 15):
            found = (await ask(machine, begun))[1]
            assert (found["code"], found["fields"]["error"]) == ("slow-down", "slow_down")
            assert found["fields"]["interval"] == longer
        clock.advance(15)
        assert (await ask(machine, begun))[1]["code"] == "authorization-pending"


async def test_the_word_needs_a_session_its_form_and_this_origin(site: Site) -> None:
    async with site.browser() as machine, site.signed_in() as person, site.signed_in() as other:
        begun = await begin(machine)
        code = begun["user_code"]
        yes = {"code": code, "decision": "allow"}
        assert (await machine.get("/device", params={"code": code})).status_code == 401
        assert (await machine.post("/device", data=yes)).status_code == 401
        assert (await person.post("/device", data=yes)).status_code == 403
        theirs = form_token((await other.get("/device", params={"code": code})).text)
        assert (await person.post("/device", data={**yes, "token": theirs})).status_code == 403
        token = form_token((await person.get("/device", params={"code": code})).text)
        evil = {"Origin": "https://evil.example"}
        assert (await person.post("/device", data={**yes, "token": token}, headers=evil)).status_code == 403
        assert (await ask(machine, begun))[1]["code"] == "authorization-pending"


async def test_guessing_is_slow(site: Site) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        await begin(machine)
        answers = [await person.get("/device", params={"code": f"BBBB-BBB{c}"}) for c in "BCDFGHJKLMN"]
        assert [answer.status_code for answer in answers] == [404] * 10 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1


async def test_beginning_is_limited_for_each_address(site: Site) -> None:
    async with site.browser() as machine:
        answers = [await machine.post("/v1/login/device", json={}) for _ in range(31)]
        assert [answer.status_code for answer in answers] == [201] * 30 + [429]
        assert answers[-1].json()["code"] == "too-many-logins"


async def test_what_a_machine_says_of_itself_steers_nothing(site: Site) -> None:
    async with site.browser() as machine, site.signed_in() as person:
        begun = await begin(machine, "<script>alert(1)</script>\x1b[2J\n" + "x" * 500)
        page = (await person.get("/device", params={"code": begun["user_code"]})).text
        assert "<script>alert" not in page
        assert "\x1b" not in page
        assert "x" * 200 not in page


async def test_a_user_who_is_disabled_meanwhile_gets_nothing(site: Site) -> None:
    world = site.world
    mia = await world.db.write(create_user, world.actor, "mia", administrator=True)
    async with site.browser() as machine, site.signed_in(mia.id) as person:
        begun = await begin(machine)
        await decide(person, begun["user_code"], "allow")
        await world.db.write(disable_user, world.actor, mia.id)
        assert (await ask(machine, begun))[1]["code"] == "access-denied"


class Terminal:
    """Commands of one machine."""

    program = "dais"

    def __init__(self, url: str, config: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAIS_")}
        self.url = url
        self.config = config
        self.environment = {**kept, "DAIS_CONFIG_DIR": str(config), "PYTHONPATH": "src"}

    async def start(self, *words: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", self.program, *words,
            env={**self.environment, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, *words: str, given: str = "", **environment: str) -> tuple[int, str, str]:
        process = await self.start(*words, **environment)
        out, err = await asyncio.wait_for(process.communicate(given.encode()), 60)
        return process.returncode or 0, out.decode(), err.decode()

    @property
    def file(self) -> Path:
        return self.config / "profiles.toml"


@pytest.fixture
def terminal(site: Site, tmp_path: Path) -> Terminal:
    return Terminal(site.url, tmp_path / "config")


async def heard(process: asyncio.subprocess.Process, pattern: str) -> re.Match[str]:
    """The first line of stderr in which this is found."""
    assert process.stderr is not None
    while True:
        line = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
        assert line, "it has ended without saying so"
        if found := re.search(pattern, line):
            return found


async def test_the_command_from_login_to_logout(site: Site, terminal: Terminal) -> None:
    login = await terminal.start("login", site.url, "--json")
    code = (await heard(login, r"/device\?code=(\S+)"))[1]
    await heard(login, "waiting for you")
    async with site.signed_in() as person:
        await decide(person, code, "allow")
    printed, said = await asyncio.wait_for(login.communicate(), 60)
    assert login.returncode == 0, said
    done = json.loads(printed)
    assert (done["profile"], done["user"], done["account"]) == (DEFAULT_NAME, "joe", "local.joe")
    assert terminal.file.stat().st_mode & 0o777 == 0o600
    secret = TOKEN.search(terminal.file.read_text())
    assert secret is not None
    assert secret[0].encode() not in printed + said
    status, out, _ = await terminal.run("me", "--json")
    me = json.loads(out)
    assert (status, me["name"], me["profile"]) == (0, "joe", DEFAULT_NAME)
    assert me["token_from"] == f"profile 'default' in {terminal.file}"
    assert (await terminal.run("logout"))[0] == 0
    assert not TOKEN.search(terminal.file.read_text())
    status, _, err_text = await terminal.run("me", DAIS_TOKEN=secret[0])
    assert status == 1  # it was ended at the server, too
    assert "the refused token came from the environment variable DAIS_TOKEN" in err_text
    assert f"`dais login {site.url}`" in err_text


async def test_the_command_of_the_element_ai_toolkit_signs_in_and_tells_its_token(
    site: Site, terminal: Terminal
) -> None:
    terminal.program = "dais.eai"
    login = await terminal.start("login", site.url)
    code = (await heard(login, r"/device\?code=(\S+)"))[1]
    async with site.signed_in() as person:
        await decide(person, code, "allow")
    printed, said = await asyncio.wait_for(login.communicate(), 60)
    assert login.returncode == 0, said
    assert b"as joe of local" in printed
    status, token, _ = await terminal.run("login", "token")
    assert (status, bool(TOKEN.fullmatch(token.strip()))) == (0, True)
    assert (await terminal.run("user", "get", "--field", "name"))[1] == "joe\n"


async def test_the_command_hears_a_no(site: Site, terminal: Terminal) -> None:
    login = await terminal.start("login", site.url)
    code = (await heard(login, r"/device\?code=(\S+)"))[1]
    async with site.signed_in() as person:
        await decide(person, code, "deny")
    _, said = await asyncio.wait_for(login.communicate(), 60)
    assert login.returncode == 1
    assert b"said no" in said
    assert not terminal.file.exists()


async def test_a_token_is_pasted(site: Site, terminal: Terminal) -> None:
    secret = await site.token()
    code, out, _ = await terminal.run("login", "token", site.url, "--profile", "lab", given=f"{secret}\n")
    assert (code, secret in out) == (0, False)
    code, out, _ = await terminal.run("profile", "ls", "--json")
    found = json.loads(out)
    assert [(one["name"], one["current"], one["signed_in"]) for one in found] == [("lab", False, True)]
    assert secret not in out
    assert (await terminal.run("me"))[0] == 1  # no default yet
    assert (await terminal.run("me", "--profile", "lab"))[0] == 0
    assert (await terminal.run("me", DAIS_PROFILE="lab"))[0] == 0
    assert (await terminal.run("profile", "use", "lab"))[0] == 0
    assert (await terminal.run("me"))[0] == 0
    assert (await terminal.run("profile", "get", "--field", "url"))[1].strip() == site.url
    assert (await terminal.run("profile", "rm", "lab"))[0] == 0
    assert (await terminal.run("profile", "get", "lab"))[0] == 1


async def test_what_is_no_token_or_not_known_is_not_kept(site: Site, terminal: Terminal) -> None:
    for wrong in ("", "hunter2", "dais_user_" + "0" * 43):
        code, _, err = await terminal.run("login", "token", site.url, given=wrong)
        assert code == 1, wrong
        assert "error:" in err
        assert not terminal.file.exists()


async def test_the_environment_wins_and_says_so(site: Site, terminal: Terminal) -> None:
    secret = await site.token()
    await terminal.run("login", "token", site.url, "--profile", "lab", given=secret)
    stale = "dais_user_" + "0" * 43
    code, _, err = await terminal.run("me", "--profile", "lab", DAIS_TOKEN=stale)
    assert code == 1
    assert "DAIS_TOKEN is set and wins over the token of profile 'lab'" in err
    assert "`unset DAIS_TOKEN` to use that one" in err
    code, _, err = await terminal.run("login", "token", site.url, "--profile", "lab", given=secret, DAIS_TOKEN=stale)
    assert code == 0
    assert "`unset DAIS_TOKEN` to use the profile" in err
    code, _, err = await terminal.run("me", "--profile", "lab", DAIS_URL="http://127.0.0.1:9")
    assert code == 1
    assert "DAIS_URL=http://127.0.0.1:9 is set and wins over the address of profile 'lab'" in err
    code, out, err = await terminal.run("me", "--profile", "lab", "--field", "token_from", DAIS_TOKEN=secret)
    assert out.strip() == "the environment variable DAIS_TOKEN"


async def test_a_server_that_is_away_keeps_the_token_unless_told(site: Site, terminal: Terminal) -> None:
    secret = await site.token()
    await terminal.run("login", "token", site.url, given=secret)
    await site.stop()
    code, _, err = await terminal.run("logout")
    assert code == 1
    assert "--forget" in err
    assert secret in terminal.file.read_text()
    code, _, err = await terminal.run("logout", "--all", "--forget")
    assert code == 0
    assert secret not in terminal.file.read_text()
    await site.start()
