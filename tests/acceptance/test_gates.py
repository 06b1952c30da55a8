"""Every gate, walked through by those who may and by those who may not.

The addresses come from the application itself. Each is called on a real thing by: nobody; the administrator of another
organization; a member who may do everything but what is asked for; a member who may do that alone; and with tokens that
are narrowed to the same. What is refused changes nothing, and what is not there is refused like what is not theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dais.api import all_routes
from dais.identity import (
    ACTIONS,
)
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.ids import new_id
from dais.web import ALL
from tests.support.calls import EVERYTHING, Call
from tests.support.gates import CALLS, PAGES
from tests.support.site import running_site
from tests.support.walking import Walk
from tests.support.world import World

pytestmark = pytest.mark.anyio

DENIED = (401, 403, 404)
_kinds = {
    "accounts": "account",
    "jobs": "job",
    "open": "job",
    "apps": "app",
    "terminals": "job",
    "folders": "folder",
    "environments": "environment",
    "users": "user",
    "teams": "team",
    "roles": "role",
    "policies": "policy",
    "organizations": "org",
    "keys": "user_key",
    "ssh-keys": "ssh_key",
    "invitations": "invitation",
    "secrets": "secret",
    "templates": "template",
    "images": "image",
    "groups": "group",
    "identity-providers": "provider",
    **dict.fromkeys(("blobs", "contents"), "digest"),
    "filesets": "fileset",
    "uploads": "upload",
    "aliases": "alias",
    "registries": "registry",
    "ports": "n",
}
"""What a placeholder means, by the word before it."""


def filled(value: Any, things: dict[str, str]) -> Any:
    """A value with its `{words}` replaced."""
    if isinstance(value, str):
        for name, text in things.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(item, things) for key, item in value.items()}
    return [filled(item, things) for item in value] if isinstance(value, list) else value


def address_of(path: str, call: Call, things: dict[str, str]) -> str:
    """The path on a real thing."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            kind = call.of if call.of and at == 3 else _kinds[parts[at - 1]]
            parts[at] = "8080" if kind == "app" else things[kind]
    query: str = filled(call.query, things)
    return "/".join(parts) + query


async def ask(walk: Walk, address: str, path: str, call: Call, things: dict[str, str], token: str | None) -> Any:
    """Status, problem code with the names of its fields (or ""), and text of an answer."""
    method, where = address.split(" ")[0], address_of(path, call, things)
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    if method == "WEBSOCKET":
        try:
            async with connect(walk.site.url.replace("http", "ws") + where, additional_headers=headers):
                return 101, "", ""
        except InvalidStatus as error:
            return error.response.status_code, msgspec.json.decode(error.response.body or b"{}").get("code"), ""
    content = call.raw
    if call.body is not None:
        content = msgspec.json.encode(filled(call.body, things))
    async with walk.client.stream(method, where, content=content, headers=headers) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, "", ""
        await answer.aread()
        problem = "problem" in answer.headers.get("content-type", "")
        found = answer.json() if problem else {"code": "", "fields": {}}
        shape = f"{found['code']} {' '.join(sorted(found['fields']))}".strip()
        return answer.status_code, shape, answer.text


def groups_last(path: str) -> bool:
    """The key by which those that are come to last who need groups: each of them ticks at whatever is done later."""
    return "/groups" in path


def walks() -> Iterator[Any]:
    for route in sorted(all_routes(), key=lambda route: groups_last(route.path)):
        address = f"{'WEBSOCKET' if route.kind == 'websocket' else route.method} {route.path}"
        found = CALLS.get(address)
        for call in [found] if isinstance(found, Call) else found or ():
            actions = (call.action,) if call.action else route.asks.actions
            yield pytest.param(address, route.path, call, actions, id=f"{address} {call.action}".strip())


@pytest.fixture
async def walk(clock: ManualClock, database: Database, tmp_path: Path) -> AsyncIterator[Walk]:
    # Warm sandboxes come and go by themselves, and what changes shall be what was asked.
    async with (
        running_site(World(database, clock, tmp_path, code_pool=0)) as site,
        httpx2.AsyncClient(base_url=site.url, timeout=30) as client,
    ):
        site.world.machines.add("far")
        walk = Walk(site, site.world.actor, client)
        walk.prepare()
        yield walk


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
async def test_every_gate_of_the_api(walk: Walk) -> None:
    failures = []
    for parameters in walks():
        address, path, call, actions = parameters.values
        try:
            await through(walk, address, path, call, actions)
        except AssertionError as error:
            failures.append(f"{parameters.id}: {str(error).splitlines()[0]}")
    assert not failures, "\n".join(failures)


async def through(walk: Walk, address: str, path: str, call: Call, actions: tuple[str, ...]) -> None:
    """Walk through one gate."""
    things = await walk.kept(address)
    lacking = {*actions, *(f"{action.partition(':')[0]}:get" for action in actions if action.endswith(":list"))}
    but = sorted(ACTIONS - lacking)
    needs = sorted(ACTIONS) if call.needs == EVERYTHING else call.needs.split()
    things["action"] = actions[0]
    only = sorted({*actions, *needs})

    status, code, _ = await ask(walk, address, path, call, things, None)
    assert (status, code) == (401, "token-missing"), f"nobody is answered {status} {code}"
    if not call.shown:
        return
    walkers = {"a narrowed token": walk.narrowed(but)}
    if not call.own:
        walkers["another's administrator"] = walk.foe
    if not call.own and not call.inside:
        walkers["a member"] = walk.member(but)
    before = walk.changes()
    for who, token in walkers.items():
        status, code, text = await ask(walk, address, path, call, things, token)
        hidden = (
            status == 200
            and address.startswith("GET")
            and not any(
                things[name] in text
                for name in ("job", "folder", "secret", "environment", "user", "team", "role", "image", "group")
            )
        )
        hidden = hidden and any(action.endswith(":list") for action in actions)
        assert status in DENIED or hidden, f"{who} is answered {status} {code}"
        if "{" in path and who == "another's administrator" and not call.seen:
            nothing = {**things, **dict.fromkeys(set(things) - {"org", "account", "n", "digest"}, new_id())}
            nothing |= {"secret": "NOTHING", "image": "nothing", "group": "nothing"}
            other = await ask(walk, address, path, call, nothing, token)
            assert (status, code) == other[:2], f"{who} can tell {(status, code)} from {other[:2]}"
    after = walk.changes()
    assert before == after, f"a refused request has changed {[name for name in before if before[name] != after[name]]}"

    allowed = {"a narrowed token": walk.narrowed(only)}
    if call.whole:
        allowed = {"a whole token": walk.member([] if call.own else only)}
    if not call.own:
        allowed["a member"] = walk.member(only)
    for who, token in allowed.items():
        things = {**await walk.things_to_change(address), "action": actions[0]}
        status, code, text = await ask(walk, address, path, call, things, token)
        assert status not in DENIED, f"{who} who may is answered {status} {code}: {text[:300]}"


# -- the pages -------------------------------------------------------------------------------------------------------

_page_parts = {
    "organization": "local",
    "account": "lab",
    "part": "log",
    "target": "8080",
    "path:below": "",
    "key": "{role_key}",
    "token_id": "{user_key}",
    "folder": "{folder}",
    "name": "{folder_name}",
}
REFUSED = (*DENIED, 400)
"""Forms are shown again with what is wrong."""
UNIQUE = ("job", "folder", "secret", "environment", "user", "team", "role", "image", "invitation")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # they ask with the queries of the API
async def test_every_gate_of_the_pages(walk: Walk) -> None:
    failures = []
    for page in sorted(ALL, key=lambda page: groups_last(page.path)):
        address = f"{page.method} {page.path}"
        if not page.asks.actions or page.method == "WEBSOCKET":  # what is watched asks for itself: `test_live`
            continue
        try:
            await through_page(walk, address, PAGES[address], page.asks.actions)
        except AssertionError as error:
            failures.append(f"{address}: {str(error).splitlines()[0]}")
    assert not failures, "\n".join(failures)


async def through_page(walk: Walk, address: str, call: Call, actions: tuple[str, ...]) -> None:
    """Walk through the gate of one page. Those that show everybody their own need a session, and nothing else."""
    things = await walk.kept(address)
    async with walk.site.browser() as browser:
        status, _ = await show(browser, address, call, things)
    assert status in (303, 401), f"nobody is answered {status}"
    if call.own:
        return
    lacking = {*actions, *(f"{action.partition(':')[0]}:get" for action in actions if action.endswith(":list"))}
    denied = {} if call.apart else {"another's administrator": walk.foe}
    if not call.inside:
        denied["a member"] = walk.member(sorted(ACTIONS - lacking))
    before = walk.changes()
    for who, token in denied.items():
        async with walk.site.signed_in(walk.user_of(token)) as browser:
            status, text = await show(browser, address, call, things)
            hidden = status == 200 and address.startswith("GET") and not any(things[name] in text for name in UNIQUE)
            assert status in REFUSED or hidden, f"{who} is answered {status}"
            if who == "another's administrator" and "{" in address and not call.seen:
                nothing = {**things, **dict.fromkeys(set(things) - {"org", "account", "n", "digest"}, new_id())}
                other, _ = await show(browser, address, call, {**nothing, "folder_name": "nothing"})
                assert status == other, f"{who} can tell {status} from {other}"
    after = walk.changes()
    assert before == after, f"a refused request has changed {[name for name in before if before[name] != after[name]]}"
    needs = sorted(ACTIONS) if call.needs == EVERYTHING else call.needs.split()
    async with walk.site.signed_in(walk.user_of(walk.member(sorted({*actions, *needs})))) as browser:
        status, text = await show(browser, address, call, await walk.things_to_change(address))
        assert status not in REFUSED, f"a member who may is answered {status}: {problem_of(text)}"


def problem_of(page: str) -> str:
    """What a page says, about."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())[-300:]


async def show(browser: httpx2.AsyncClient, address: str, call: Call, things: dict[str, str]) -> tuple[int, str]:
    """Status and text of a page."""
    method, path = address.split(" ")
    parts = path.split("/")
    for at, part in enumerate(parts):
        if part.startswith("{"):
            kind = _kinds.get(parts[at - 1], "")
            named = f"{{{call.of or kind}}}" if kind == "image" else f"{{{kind}}}"
            parts[at] = filled(named if kind in ("group", "image") else _page_parts.get(part[1:-1], named), things)
    token = hashlib.sha256(b"dais-form\0" + (browser.cookies.get("dais_session") or "").encode()).hexdigest()
    sent: dict[str, Any] = {}
    if path.startswith("/uploads"):
        content = call.raw if call.body is None else msgspec.json.encode(filled(call.body, things))
        sent = {"content": content, "headers": {"dais-form": token}}
    elif method == "POST":
        sent = {"data": {"token": token, **filled(call.body or {}, things)}}
    answer = await browser.request(method, "/".join(parts) + filled(call.query, things), **sent)
    return answer.status_code, answer.text
