"""Registries that are asked: what they have, whom they let in, where they must not send us; with a real one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.compute import (
    RegistryChange,
    asked_registry,
    enter_found,
    list_images,
    registry_access,
    remove_registry,
    set_registry,
)
from dais.compute.groups.commands import register_group
from dais.compute.images.asking import PER_PAGE, Access
from dais.engines.contract import Credentials
from dais.identity import create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Forbidden, Invalid, NotFound, Unavailable
from dais.wire.answers import Rescanned
from tests.support.registries import PASSWORD, USER, publish_empty, registry
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry") / "open") as host:
        publish_empty(host, "ml/torch", [f"1.{number}" for number in range(PER_PAGE + 7)])
        publish_empty(host, "tools/small", ["latest"])
        yield host


def asks(host: str, kind: str = "docker-v2", signed: tuple[str, str] | None = None) -> Access:
    known = Credentials(registry=host, username=signed[0], password=signed[1]) if signed else None
    return Access(host=host, kind=kind, insecure=True, credentials=known)


async def test_every_tag_is_found_over_all_pages(open_registry: str, database: Database, tmp_path: Path) -> None:
    world = World(database, ManualClock(1), tmp_path)
    await database.write(register_group, "boxes", "docker", "")
    change = RegistryChange(insecure=True)
    await database.write(set_registry, world.actor, world.vault, open_registry, change, new=True)
    access: Access = await database.read(registry_access, world.actor, world.vault, open_registry)
    async with asked_registry(access) as asked:
        await asked.check()
        assert len(await asked.references()) == PER_PAGE + 8
        found = await asked.references("ml/*")
    assert len(found) == PER_PAGE + 7
    told: Rescanned = await database.write(enter_found, world.actor, "boxes", open_registry, found[1:], "ml/*")
    assert (len(told.new), told.seen, told.gone) == (PER_PAGE + 6, 0, [])
    again: Rescanned = await database.write(enter_found, world.actor, "boxes", open_registry, found[:-1], "ml/*")
    assert (len(again.new), again.seen, len(again.gone)) == (1, PER_PAGE + 5, 1)
    images = await database.read(list_images, world.actor)
    assert {(one.state, one.origin, one.account) for one in images} == {("missing", "rescan", None)}
    joan = await database.write(create_user, world.actor, "joan")
    hers = msgspec.structs.replace(world.actor, id=joan.id, administrator=False)
    with pytest.raises(Forbidden):
        await database.read(registry_access, hers, world.vault, open_registry)
    with pytest.raises(Forbidden):
        await database.write(enter_found, hers, "boxes", open_registry, found, "")
    await database.write(remove_registry, world.actor, open_registry)
    with pytest.raises(NotFound):
        await database.read(registry_access, world.actor, world.vault, open_registry)


async def test_a_registry_with_a_password_lets_in_who_knows_it(tmp_path: Path) -> None:
    with registry(tmp_path / "closed", password=True) as host:
        async with asked_registry(asks(host, signed=(USER, PASSWORD))) as asked:
            await asked.check()
            assert await asked.references() == []
        with pytest.raises(Unavailable, match=r"it speaks plain HTTP; .* dais registry set .* --insecure"):
            async with asked_registry(msgspec.structs.replace(asks(host), insecure=False)) as asked:
                await asked.check()
        for signed in (None, (USER, "wrong")):
            with pytest.raises(Invalid) as refused:
                async with asked_registry(asks(host, signed=signed)) as asked:
                    await asked.check()
            assert refused.value.code == "bad-credentials"
            assert "wrong" not in refused.value.message
    with pytest.raises(Unavailable, match="cannot be asked"):
        async with asked_registry(asks(host)) as asked:
            await asked.check()


@contextlib.asynccontextmanager
async def answering(answers: Mapping[str, tuple[int, list[str], Any]]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that says what it is told, by path; its address, and what it was asked."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split(" ")[1]
        seen.append(head)
        status, headers, body = answers.get(target, answers.get(target.partition("?")[0], (404, [], {})))
        content = msgspec.json.encode(body)
        lines = [f"HTTP/1.1 {status} said", *headers, f"Content-Length: {len(content)}", "Connection: close"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@pytest.mark.parametrize(
    "realm", ["http://127.0.0.1:1/token", "https://10.0.0.1/token", "http://[::1]/token", "file:///"]
)
async def test_a_registry_cannot_send_us_to_other_inner_addresses(realm: str) -> None:
    challenge = [f'WWW-Authenticate: Bearer realm="{realm}",service="s"']
    async with answering({"/v2/": (401, challenge, {})}) as (host, seen):
        with pytest.raises(Unavailable, match=r"internal address|neither its own"):
            async with asked_registry(asks(host, signed=(USER, PASSWORD))) as asked:
                await asked.check()
        assert len(seen) == 1
        assert "authorization" not in seen[0].lower()


async def test_the_next_page_is_of_the_same_registry_and_the_number_is_bounded() -> None:
    link = ['Link: <http://10.0.0.1/v2/_catalog?last=a>; rel="next"']
    pages = {"/v2/_catalog?n=100": (200, link, {"repositories": ["a"]})}
    async with answering({**pages, "/v2/_catalog?last=a": (200, [], {"repositories": ["b"]})}) as (host, seen):
        async with asked_registry(asks(host)) as asked:
            assert await asked.repositories() == ["a", "b"]
        assert len(seen) == 2
    async with answering({"/v2/_catalog": (404, [], {})}) as (host, _):
        with pytest.raises(Invalid) as refused:
            async with asked_registry(asks(host)) as asked:
                await asked.repositories()
        assert refused.value.code == "no-catalogue"


async def test_harbor_is_asked_by_its_documentation() -> None:
    repositories = "/api/v2.0/projects/ml/repositories"
    said: dict[str, tuple[int, list[str], Any]] = {
        "/api/v2.0/projects": (200, [], [{"name": "ml"}]),
        repositories: (200, [], [{"name": "ml/torch"}]),
        "/v2/ml/torch/tags/list": (200, [], {"name": "ml/torch", "tags": ["2.3"]}),
    }
    async with answering(said) as (host, seen):
        async with asked_registry(asks(host, "harbor", (USER, PASSWORD))) as asked:
            assert await asked.references() == [f"{host}/ml/torch:2.3"]
        assert all("authorization: basic" in head.lower() for head in seen[:2])
