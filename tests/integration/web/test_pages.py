"""What the pages show, and what they never do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from dais.compute.images.commands import add_image
from dais.data import commit_files, create_file_set
from dais.engines.contract import RootFacts
from dais.identity import create_account, create_sign_in_link, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.wire.lake import NewVersion
from dais.wire.spec import Input, Output
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio

JOBS = "/local/joe/jobs"
MARKUP = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


def rows(page: str) -> list[str]:
    """The rows of the list of jobs, their text alone."""
    found = re.findall(r'<tr data-key="[^"]+">(.*?)</tr>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


async def test_the_empty_list_gives_the_first_command(site: Site) -> None:
    async with site.signed_in() as client:
        page = (await client.get("/jobs")).text
        assert "<code>dais run -- python train.py</code>" in page
        assert "No job is like that" in (await client.get("/jobs?name=x")).text


async def test_the_list_shows_what_is_running_and_how_it_ended(site: Site) -> None:
    world = site.world
    done = await world.submit("exit", "3", name="broken")
    await world.finished(done)
    job = await world.submit("sleep-forever", name="train")
    await world.state(job, "RUNNING")
    async with site.signed_in() as client:
        page = (await client.get("/jobs")).text
    running, failed = rows(page)
    assert re.fullmatch(
        r"● running [0-9a-f]{8} Copy the id train joe sleep-forever 0.1 1 MiB just now &ndash; &ndash;", running
    )
    assert re.fullmatch(r"✕ failed [0-9a-f]{8} Copy the id broken joe exit 3 0.1 1 MiB just now 0.0 s 3", failed)


async def test_filters_are_in_the_address(site: Site) -> None:
    world = site.world
    await world.finished(await world.submit("true", name="first", tags={"stage": "data"}))
    await world.state(await world.submit("sleep-forever", name="second"), "RUNNING")
    other = await world.db.write(create_user, world.actor, "ann", administrator=True)
    async with site.signed_in() as client, site.browser() as anns:
        await anns.post(f"/sign-in/{await world.db.write(create_sign_in_link, other.id)}")
        for query, names in (
            ("", ["second", "first"]),
            ("state=alive", ["second"]),
            ("state=SUCCEEDED", ["first"]),
            ("name=first", ["first"]),
            ("name=firs", []),
            ("text=IRS", ["first"]),
            ("text=s%25", []),
            ("who=mine", ["second", "first"]),
            ("owner=joe", ["second", "first"]),
            ("owner=nobody", []),
            ("type=batch&since=1h", ["second", "first"]),
            ("type=interactive", []),
            ("group=elsewhere", []),
            ("tag=stage=data", ["first"]),
            ("order=oldest", ["first", "second"]),
        ):
            found = rows((await client.get(f"/jobs?{query}")).text)
            assert [name for row in found for name in ("first", "second") if f" {name} " in row] == names, query
        assert rows((await anns.get("/jobs?who=mine")).text) == []
        assert len(rows((await anns.get("/jobs")).text)) == 2
        wrong = await client.get("/jobs?state=walking")
        assert wrong.status_code == 400
        assert "not a state" in wrong.text
        assert (await client.get("/jobs?since=ever")).status_code == 400


async def test_columns_and_filters_are_remembered_in_the_browser(site: Site) -> None:
    await site.world.finished(await site.world.submit("true", name="first", tags={"a": "b"}))
    async with site.signed_in() as client:
        page = (await client.get("/jobs")).text
        token = form_token(page)
        chosen = {"token": token, "column-tags": "yes", "column-node": "yes", "column-nonsense": "yes", "back": "/jobs"}
        assert (await client.post("/jobs/columns", data={**chosen, "token": "0" * 64})).status_code == 403
        assert (await client.post("/jobs/columns", data=chosen)).headers["location"] == "/jobs"
        assert rows((await client.get("/jobs")).text)[0].endswith("first a=b fake-1")
        saved = {"token": token, "name": " my  runs ", "query": "who=mine&state=alive&evil=1", "back": "//evil.example"}
        assert (await client.post("/jobs/filters", data=saved)).headers["location"] == "/"
        assert '<a href="?who=mine&amp;state=alive">my runs</a>' in (await client.get("/jobs")).text
        await client.post("/jobs/filters", data={"token": token, "name": "my runs", "back": "/jobs"})
        assert "my runs" not in (await client.get("/jobs")).text
        client.cookies.set("dais_job_filters", "nonsense")
        client.cookies.set("dais_job_columns", "nonsense")
        assert (await client.get("/jobs")).status_code == 200


async def test_the_palette_finds_and_offers_what_can_be_done(site: Site) -> None:
    world = site.world
    job = await world.submit("sleep-forever", name="train")
    await world.state(job, "RUNNING")
    done = await world.finished(await world.submit("true", name="export"))
    eve = await world.db.write(create_user, world.actor, "eve")

    async def entries(client: httpx2.AsyncClient, **query: str) -> dict[str, dict[str, object]]:
        answer = await client.get("/palette", params=query, headers={"accept": "application/json"})
        return {entry["words"]: entry for entry in answer.json()["entries"]}

    async with site.signed_in() as client, site.browser() as other:
        address = f"{JOBS}/{job[-8:]}"
        assert (await entries(client, q="trai"))["● train"]["address"] == address
        for exact in (job, job[-8:], "train"):
            assert "● train" in await entries(client, q=exact)
        assert (await entries(client, q="kill", here=address))["Kill train …"]["address"] == f"{address}/kill"
        again = (await entries(client, q="retry", here=f"{JOBS}/{done.id[-8:]}"))["Retry export"]
        assert again["post"] is True
        assert (await entries(client, q="dark"))["Dark colours"]["fields"] == {"theme": "dark", "back": "/"}
        assert (await entries(client, q="jobs of"))["Jobs of local.joe"]["address"] == JOBS
        assert await entries(client, q="%") == {}
        await other.post(f"/sign-in/{await world.db.write(create_sign_in_link, eve.id)}")
        assert await entries(other, q="train", here=address) == {}
        token = form_token((await client.get("/jobs")).text)
        answer = await client.post(str(again["address"]), data={"token": token})
        assert answer.headers["location"] == f"{JOBS}/{done.id[-8:]}"
        assert (await world.job(done.id)).run_index == 1
    async with site.browser() as stranger:
        refused = await stranger.get("/palette", headers={"accept": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (401, "no-session")


async def test_a_log_is_searched_and_times_in_it_are_found(site: Site) -> None:
    world = site.world
    job = await world.submit("sleep-forever")
    await world.state(job, "RUNNING")
    begin = datetime.fromtimestamp(world.clock.now() / 1e6, UTC)
    await site.prints(job, "one \x1b[31mNee\x1b[0mdle\n10%\rneedle 100%\nhay\n")
    world.clock.advance(90)
    await site.prints(job, "later\nNEEDLE begun")
    address = f"{JOBS}/{job[-8:]}/log"
    async with site.signed_in() as client:
        for query, lines in (("q=needle", [1, 2]), ("q=needle&case=", [2]), ("q=needle&from=2", [2]), ("q=x", [])):
            found = (await client.get(f"{address}/search?{query}")).json()
            assert (found["lines"], found["after"]) == (lines, None), query
        later = begin + timedelta(seconds=60)
        for text in (later.strftime("%H:%M:%S"), later.strftime("%Y-%m-%d %H:%M:%S")):
            assert (await client.get(f"{address}/at", params={"time": text})).json() == {"line": 4}
        json = {"accept": "application/json"}
        for wrong in ("at?time=noon", "at?time=25:00", "search?q=", "search?q=x&stream=5", "lines?from=x"):
            assert (await client.get(f"{address}/{wrong}", headers=json)).status_code == 400, wrong
        part = (await client.get(f"{JOBS}/{job[-8:]}?from=3")).text
        assert ">hay</span>" in part
        assert ">Nee</span>" not in part


async def test_a_long_list_has_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from dais.web.pages import jobs

    monkeypatch.setattr(jobs, "PAGE", 2)
    for number in range(5):
        await site.world.submit("true", name=f"n{number}")
    seen: list[str] = []
    async with site.signed_in() as client:
        address: str | None = "/jobs?who=mine"
        while address is not None:
            page = (await client.get(address)).text
            seen += re.findall(r"\bn\d\b", " ".join(rows(page)))
            older = re.search(r'rel="next" href="([^"]+)"', page)
            address = older[1].replace("&amp;", "&") if older else None
            assert address is None or "who=mine" in address
    assert seen == ["n4", "n3", "n2", "n1", "n0"]


async def test_a_job_shows_all_of_itself(site: Site) -> None:
    world = site.world
    job = await world.finished(
        await world.submit("print", "hello", ";", "error", "careful", ";", "exit", "2", name="train", tags={"a": "b"})
    )
    async with site.signed_in() as client:
        for ref in (job.id, job.id[-8:]):
            page = (await client.get(f"{JOBS}/{ref}")).text
            assert "<title>✕ train · Dais</title>" in page
            assert re.search(r'<div class="line" id="L1" .*<span class="text">hello</span></div>', page)
            assert re.search(r'<div class="line err" id="L2" .*<span class="text">careful</span></div>', page)
            assert "exit-code" in page
            for tab, texts in (
                ("overview", ("local.joe", "name: train", "  a: b", "a=b", job.id)),
                ("metrics", ("The job has ended.",)),
                ("runs", ("fake-1", "exit-code")),
                ("events", ("preparing", "exit-code")),
            ):
                section = (await client.get(f"{JOBS}/{ref}?tab={tab}")).text
                assert [text for text in texts if text not in section] == []
        missing = await client.get(f"{JOBS}/nothing")
        assert missing.status_code == 404
        assert "there is no job" in missing.text
        assert (await client.get(f"{JOBS}/{job.id}?run=7")).status_code == 400
        assert (await client.get(f"{JOBS}/{job.id}?run=x")).status_code == 400
        assert (await client.get(f"{JOBS}/{job.id}?tab=x")).status_code == 400


async def test_a_job_is_found_by_all_of_its_names_and_led_to_its_address(site: Site) -> None:
    world = site.world
    job = await world.finished(await world.submit("true", name="train"))
    address = f"{JOBS}/{job.id[-8:]}"
    async with site.signed_in() as client:
        assert (await client.get(address)).status_code == 200
        for ref in (job.id, job.number, job.id[-8:], "train", "last"):
            found = await client.get(f"/jobs/{ref}?tab=runs")
            assert (found.status_code, found.headers["location"]) == (303, f"{address}?tab=runs")
            assert (await client.get(f"/jobs/{ref}/log")).headers["location"] == f"{address}/log"
        assert (await client.get("/jobs/nothing")).status_code == 404
        for elsewhere in (f"{JOBS}/train", f"/local/nobody/jobs/{job.id[-8:]}"):
            assert (await client.get(elsewhere)).headers["location"] == address


async def test_an_account_has_its_own_list(site: Site) -> None:
    world = site.world
    account = await world.db.write(create_account, world.actor, "vision")
    await world.finished(await world.submit("true", name="mine"))
    await world.finished(await world.submit("true", name="ours", account=account.full_name))
    async with site.signed_in() as client:
        page = (await client.get("/local/vision/jobs")).text
        assert [" ours " in row for row in rows(page)] == [True]
        assert 'href="/local/vision/jobs" aria-current="true">local.vision<' in page
        assert len(rows((await client.get("/jobs")).text)) == 2
        assert (await client.get("/local/nowhere/jobs")).status_code == 404


async def test_what_users_write_never_becomes_markup(site: Site) -> None:
    world = site.world
    job = await world.finished(
        await world.submit("print", f"\x1b[31m{MARKUP}\x1b[0m\x1b]0;{MARKUP}\x07", name="x", tags={MARKUP: MARKUP})
    )
    async with site.signed_in() as client:
        pages = [await client.get("/jobs"), await client.get(f"{JOBS}/{job.id}"), await client.get(f"{JOBS}/{MARKUP}")]
        kill = await client.get(f"{JOBS}/{job.id}/kill")
        sought = await client.get("/jobs", params={"name": MARKUP, "who": MARKUP, "cursor": MARKUP})
    for page in (*pages, kill, sought):
        assert "<img src=x" not in page.text
        assert "\x1b" not in page.text
    assert '<span class="a-f1">&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;</span>' in pages[1].text


async def test_every_answer_carries_the_strict_headers(site: Site) -> None:
    job = await site.world.finished(await site.world.submit("print", "x"))
    async with site.signed_in() as client:
        page = await client.get(f"{JOBS}/{job.id}")
        answers = [page, await client.get("/nowhere"), await client.get(f"{JOBS}/0"), await client.get("/")]
        answers += [await client.get(path) for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)]
        answers += [await client.get(f"{JOBS}/{job.id}/log"), await client.post("/jobs")]
    assert len(answers) > 10
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|https?://", page.text)
    assert page.headers["cache-control"] == "no-store"
    assert [answers[1].status_code, answers[2].status_code, answers[-1].status_code] == [404, 404, 405]


async def test_static_files_are_cached_for_ever_under_their_hash(site: Site) -> None:
    async with site.signed_in() as client:
        page = await client.get("/jobs")
        path = re.findall(r'src="(/static/[^"]+/page.js)"', page.text)[0]
        script = await client.get(path)
        assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert "immutable" in script.headers["cache-control"]
        old = await client.get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", path))
        assert old.status_code == 404
        assert "immutable" not in old.headers.get("cache-control", "")
        assert (await client.get("/static/../../pyproject.toml")).status_code == 404
        assert (await client.get(path.replace("page.js", "..%2f__init__.py"))).status_code == 404


async def test_a_page_with_everything_stays_small(site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    await site.prints(job, "".join(f"line {number} {'x' * 150}\n" for number in range(3_000)))
    async with site.signed_in() as client:
        page = await client.get(f"{JOBS}/{job}")
        files = [await client.get(path) for path in set(re.findall(r'"(/static/[^"]+)"', page.text))]
        modules = ("live.js", "parts.js", "palette.js", "lists.js", "logdata.js", "logview.js", "logsearch.js")
        base = next(str(file.url.path) for file in files if str(file.url.path).endswith("page.js"))
        files += [await client.get(base.replace("page.js", name)) for name in modules]
    assert all(file.status_code == 200 for file in files)
    assert len(page.content) + sum(len(file.content) for file in files) < 300_000
    assert "line 2999 " in page.text
    assert "line 0 " not in page.text


async def test_the_log_is_downloaded_byte_by_byte(site: Site) -> None:
    job = await site.world.finished(await site.world.submit("hex", "1b5b33316d00ff0a", ";", "print", "x", name="raw"))
    async with site.signed_in() as client:
        answer = await client.get(f"{JOBS}/{job.id}/log")
    assert answer.content == b"\x1b[31m\x00\xff\nx\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="raw-{job.number}-run0.log"'


async def test_killing_is_asked_first_and_needs_the_form(site: Site) -> None:
    world = site.world
    job = await world.submit("sleep-forever", name="train")
    number = (await world.state(job, "RUNNING")).number
    async with site.signed_in() as client:
        question = await client.get(f"{JOBS}/{number}/kill")
        assert "Kill train</button>" in question.text
        assert (await client.post(f"{JOBS}/{number}/kill", data={"token": "0" * 64})).status_code == 403
        assert (await world.job(job)).state == "RUNNING"
        answer = await client.post(f"{JOBS}/{number}/kill", data={"token": form_token(question.text)})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{JOBS}/{job[-8:]}")
        ended = await world.finished(job)
        assert (ended.state, ended.reason) == ("CANCELLED", "user-request")
        page = (await client.get(f"{JOBS}/{number}/kill")).text
        assert "Nothing to kill" in page
        assert "Kill train</button>" not in page


async def test_pages_show_what_their_reader_may_see(site: Site) -> None:
    world = site.world
    job = await world.submit("sleep-forever", name="private")
    await world.state(job, "RUNNING")
    eve = await world.db.write(create_user, world.actor, "eve")
    async with site.browser() as client:
        await client.post(f"/sign-in/{await world.db.write(create_sign_in_link, eve.id)}")
        page = (await client.get("/jobs")).text
        assert "private" not in page
        token = form_token(page)
        for path in (f"{JOBS}/{job}", f"{JOBS}/{job}/log", f"{JOBS}/{job}/kill"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post(f"{JOBS}/{job}/kill", data={"token": token})).status_code == 404
    assert (await world.job(job)).state == "RUNNING"


async def test_a_job_shows_what_it_reads_and_makes(site: Site) -> None:
    world = site.world
    digest = world.blobs.put(b"one")
    await world.db.write(commit_files, world.actor, None, [NewVersion(path="/corpus/a", digest=digest, size=3)])
    await world.db.write(create_file_set, world.actor, "corpus", ["/corpus/a"])
    inputs, output = (Input(fileset="corpus", target="/inputs"),), Output(path="out")
    made = await world.finished(await world.submit("true", inputs=inputs, output=output))
    failed = await world.submit("sleep", "5", ";", "exit", "1", output=output)
    run = (await world.state(failed, "RUNNING")).runs[-1].id
    (world.directory / "jobs" / run / "work/out").mkdir()
    (world.directory / "jobs" / run / "work/out/x").write_bytes(b"x")
    world.machine.advance(6)
    broken = await world.finished(failed)
    async with site.signed_in() as client:
        page = (await client.get(f"/jobs/{made.id}?tab=overview", follow_redirects=True)).text
        assert "/local/joe/filesets/corpus%3A1" in page or "/local/joe/filesets/corpus:1" in page
        assert f"job_{made.number}_output:1" in page
        assert "<code>/inputs</code>" in page
        page = (await client.get(f"/jobs/{broken.id}?tab=overview", follow_redirects=True)).text
        assert f"<code>dais job partial {broken.number}</code>" in page
        form = (await client.get(f"/submit?from={made.id}")).text
        assert 'value="corpus:1=/inputs"' in form


async def test_a_root_directory_shows_its_metadata_and_administrators_set_it(site: Site) -> None:
    world = site.world
    await world.db.write(add_image, world.actor, "default", "debian", "/srv/debian", RootFacts())
    ann = await world.db.write(create_user, world.actor, "ann")
    address = "/images/debian?group=default"
    async with site.signed_in() as client, site.browser() as anns:
        token = form_token((await client.get(address)).text)
        form = {"token": token, "kind": "image", "ref": "default/debian", "words": "cuda=12.4 #good", "back": address}
        assert (await client.post("/local/joe/meta", data=form)).headers["location"] == address
        page = (await client.get(address)).text
        assert "<bdi>12.4</bdi>" in page
        assert 'name="words"' in page
        await anns.post(f"/sign-in/{await world.db.write(create_sign_in_link, ann.id)}")
        page = (await anns.get(address)).text
        assert "<bdi>#good</bdi>" in page
        assert 'name="words"' not in page
        found = (await anns.get("/local/ann/find?kind=image&q=cuda>12")).text
        assert 'href="/images/debian?group=default"' in found
        form["token"] = form_token((await anns.get("/jobs")).text)
        assert (await anns.post("/local/ann/meta", data=form)).status_code == 403
