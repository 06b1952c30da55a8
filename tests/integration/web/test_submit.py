"""The submit form over HTTP: who may, what is refused where, and that a form is one job however often it is sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dais.identity import create_sign_in_link, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.wire.spec import Mount, Resources
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


MARKUP = "<img src=x onerror=alert(1)>\"'&"


async def form(client: httpx2.AsyncClient, address: str = "/submit", **fields: Any) -> dict[str, Any]:
    """The fields of a fresh form, some of them filled."""
    page = (await client.get(address)).text
    key = re.search(r'name="key" value="([^"]+)"', page)
    assert key is not None
    least = {"command": "print x", "run": "words", "cpu": "0.1", "mem": "1Mi"}
    return {"token": form_token(page), "key": key[1], "do": "submit", **least, **fields}


async def test_a_form_becomes_a_job(site: Site) -> None:
    async with site.signed_in() as client:
        answer = await client.post("/submit", data=await form(client, name="train", tags_name="a", tags_value="b"))
        assert answer.status_code == 303
        assert re.fullmatch(r"/local/joe/jobs/[0-9a-f]{8}", answer.headers["location"])
    job = await site.world.finished("1")
    assert (job.name, job.command, job.tags, job.state) == ("train", ["print", "x"], {"a": "b"}, "SUCCEEDED")


async def test_a_form_is_one_job_however_often_it_is_sent(site: Site) -> None:
    async with site.signed_in() as client:
        fields = await form(client)
        places = {(await client.post("/submit", data=fields)).headers["location"] for _ in range(3)}
        assert len(places) == 1
        again = await client.post("/submit", data={**fields, "command": "print y"})
        assert again.status_code == 400
        assert "this form was submitted already" in again.text
        key = re.search(r'name="key" value="([^"]+)"', again.text)
        assert key is not None
        assert key[1] != fields["key"]
        last = await client.post("/submit", data={**fields, "key": key[1], "command": "print y"})
        assert last.headers["location"] not in places


async def test_forms_need_the_session_the_origin_and_the_token(site: Site) -> None:
    eve = await site.world.db.write(create_user, site.world.actor, "eve")
    job = await site.world.submit("print", "private", name="private")
    async with site.signed_in() as client, site.browser() as nobody, site.browser() as other:
        fields = await form(client)
        header = {"Dais-Form": fields["token"]}
        for path in ("/submit", "/submit/check"):
            assert (await nobody.post(path, data=fields, headers=header)).status_code == 401
            wrong = {**fields, "token": "0" * 64}
            assert (await client.post(path, data=wrong, headers={"Dais-Form": "0" * 64})).status_code == 403
            strange = {**header, "Origin": "https://evil.example"}
            assert (await client.post(path, data=fields, headers=strange)).status_code == 403
        await other.post(f"/sign-in/{await site.world.db.write(create_sign_in_link, eve.id)}")
        assert (await other.get(f"/submit?from={job}")).status_code == 404
        refused = await other.post("/submit", data=await form(other, account="local.joe"))
        assert refused.status_code == 400
        assert "there is no account" in refused.text
    assert len((await site.world.job("1")).runs) <= 1


async def test_what_verbs_refuse_is_told_at_its_field(site: Site) -> None:
    await site.folder("digits")
    await site.world.state(await site.world.submit("sleep-forever", name="taken"), "RUNNING")
    async with site.signed_in() as client:
        fields = await form(client)
        header = {"Dais-Form": fields["token"], "Accept": "application/json"}

        async def wrong(**more: Any) -> dict[str, str]:
            answer = await client.post("/submit/check", data={**fields, **more}, headers=header)
            found: dict[str, str] = answer.json()["wrong"]
            return found

        assert await wrong() == {}
        mount = {"data_below": "", "data_target": "/data", "data_mode": "ro"}
        assert "did you mean digits?" in (await wrong(data_folder="digit", **mount))["data[0]"]
        assert await wrong(data_folder="digits", **mount) == {}
        assert "is waiting or running" in (await wrong(name="taken"))["name"]
        assert "there is no resource group" in (await wrong(group="gpus"))["group"]
        assert "the largest node" in (await wrong(cpu="1000"))["resources"]
        assert "is not in the blob store" in (await wrong(source="blake3:" + "0" * 64))["source"]
        assert "is no digest" in (await wrong(source="x"))["source"]
        assert "there is no secret" in (await wrong(secrets_name="TOKEN", secrets_value=""))["secrets[0]"]
        assert set(await wrong(image="nowhere:1")) == {"image"}
        many = await wrong(cpu="x", mem="x", command='"', environment_name="A B", environment_value="1")
        assert set(many) == {"cpu", "mem", "command", "environment[0]"}


async def test_the_form_is_filled_from_a_job_and_what_users_wrote_never_becomes_markup(site: Site) -> None:
    await site.folder("digits")
    mount = Mount(name="digits", target="/data", read_only=True)
    job = await site.world.submit(
        *("print", MARKUP),
        environment={"A": f"one\n{MARKUP}"},
        tags={"x": MARKUP},
        data=(mount,),
        resources=Resources(cpu=0.5, mem=64 << 20),
        max_run_time=90,
    )
    async with site.signed_in() as client:
        page = (await client.get(f"/submit?from={job}")).text
        assert "<img src=x" not in page
        assert 'value="1m30s"' in page
        assert 'value="64Mi"' in page
        fields = await form(client, f"/submit?from={job}", command=MARKUP, name=MARKUP, cpu=MARKUP)
        refused = await client.post("/submit", data=fields)
        assert refused.status_code == 400
        assert "<img src=x" not in refused.text
        assert "&lt;img src=x" in refused.text
        assert len(page.encode()) < 60_000
