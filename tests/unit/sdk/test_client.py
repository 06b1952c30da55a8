"""Both clients against a server that fails in all the ways there are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest

from dais import AsyncClient, Client, DaisError
from dais.sdk import errors
from dais.wire.answers import JobDetail, LogFrame
from dais.wire.problems import SpecError
from tests.support.tiny_api import Asked, Reply, TinyApi, events, frame, job, json, problem, run, tiny_api

T = TypeVar("T")
ID = job()["id"]


@pytest.fixture
def api() -> Iterator[TinyApi]:
    with tiny_api() as tiny:
        yield tiny


class Either:
    """Runs the same operation with the blocking or with the asynchronous client."""

    def __init__(self, kind: str, url: str, **options: Any) -> None:
        self.kind = kind
        self.told: list[str] = []
        self.options = {"url": url, "token": "dais_user_x", "on_wait": self.told.append, "patience": 20.0, **options}

    def do(self, operation: Callable[[Any], Any]) -> Any:
        if self.kind == "blocking":
            with Client(**self.options) as client:
                return operation(client)

        async def main() -> Any:
            async with AsyncClient(**self.options) as client:
                return await operation(client)

        return asyncio.run(main())

    def items(self, operation: Callable[[Any], Any]) -> list[Any]:
        if self.kind == "blocking":
            with Client(**self.options) as client:
                return list(operation(client))

        async def main() -> list[Any]:
            async with AsyncClient(**self.options) as client:
                found: AsyncIterator[Any] = operation(client)
                return [item async for item in found]

        return asyncio.run(main())


@pytest.fixture(params=["blocking", "asyncio"])
def either(request: pytest.FixtureRequest, api: TinyApi) -> Either:
    return Either(request.param, api.url)


def test_an_operation_is_typed_and_carries_the_token(either: Either, api: TinyApi) -> None:
    api.on("GET", f"/v1/jobs/{ID}", json(job("SUCCEEDED", exit_code=0, something_new=1)))
    found = either.do(lambda client: client.jobs.get(ID))
    assert isinstance(found, JobDetail)
    assert (found.state, found.exit_code, found.spec.command) == ("SUCCEEDED", 0, ("python", "train.py"))
    assert api.asked[0].headers["authorization"] == "Bearer dais_user_x"


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, errors.Invalid),
        (401, errors.Unauthenticated),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (429, errors.TooMany),
        (503, errors.Unavailable),
        (500, DaisError),
    ],
)
def test_problems_are_typed(either: Either, api: TinyApi, status: int, kind: type[DaisError]) -> None:
    api.on("GET", "/v1/me", lambda _: problem(status, "some-code", "it is so", given="x"))
    with pytest.raises(kind) as failure:
        either.do(lambda client: client.me())
    assert (failure.value.code, failure.value.status, str(failure.value)) == ("some-code", status, "it is so")
    assert failure.value.fields == {"given": "x"}


def test_what_is_not_dais_is_told_apart(either: Either, api: TinyApi) -> None:
    api.on("GET", "/v1/me", json(b"<html>hello</html>"))
    with pytest.raises(errors.BadAnswer, match="hello"):
        either.do(lambda client: client.me())
    api.on("GET", "/v1/version", json(b"<html>gone</html>", 404))
    with pytest.raises(errors.NotFound, match="gone"):
        either.do(lambda client: client.version())


def test_a_name_stays_one_segment(either: Either, api: TinyApi) -> None:
    for name in ("a/../../accounts", "a?b#c", "ä b"):
        with pytest.raises(errors.NotFound):
            either.do(lambda client, name=name: client.jobs.rm(name))  # type: ignore[misc]
    assert [one.raw for one in api.asked] == [
        "/v1/jobs/a%2F..%2F..%2Faccounts",
        "/v1/jobs/a%3Fb%23c",
        "/v1/jobs/%C3%A4%20b",
    ]
    with pytest.raises(DaisError, match="is not a name"):
        either.do(lambda client: client.jobs.rm(".."))


def test_lists_go_over_pages_and_stop_at_the_limit(either: Either, api: TinyApi) -> None:
    def page(asked: Asked) -> Reply:
        start = int(asked.query.get("cursor", "0"))
        size = min(int(asked.query["limit"]), 3)
        items = [job(number=number) for number in range(start, start + size)]
        return Reply({"items": items, "cursor": str(start + size) if start + size < 8 else None})

    api.on("GET", "/v1/jobs", page)
    everything = either.items(lambda client: client.jobs.list(state=["alive", "failed"], me=True))
    assert [one.number for one in everything] == list(range(9))
    assert (api.asked[0].query["state"], api.asked[0].query["me"]) == ("alive,failed", "true")
    api.asked.clear()
    some = either.items(lambda client: client.jobs.list(limit=4))
    assert [one.number for one in some] == [0, 1, 2, 3]
    assert [one.query["limit"] for one in api.asked] == ["4", "1"]


def test_a_submit_that_broke_is_sent_again_with_the_same_key(either: Either, api: TinyApi) -> None:
    api.on("POST", "/v1/jobs", lambda _: Reply(broken=True), json(job("PENDING"), 201))
    made = either.do(lambda client: client.jobs.submit(["python", "train.py"], mem=2, data=["digits:/data:ro"]))
    assert made.state == "PENDING"
    first, second = api.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert first.json["resources"] == {"cpu": 1.0, "mem": 2 << 30, "gpu": 0, "shm": None}


def test_a_retry_that_broke_is_not_sent_again(either: Either, api: TinyApi) -> None:
    api.on("POST", f"/v1/jobs/{ID}/retry", lambda _: Reply(broken=True))
    with pytest.raises(errors.Unreachable) as failure:
        either.do(lambda client: client.jobs.retry(ID))
    assert failure.value.sent
    assert len(api.asked) == 1


def test_a_busy_server_is_asked_again_when_it_says_so(either: Either, api: TinyApi) -> None:
    busy = problem(429, "too-many", "slow down", retry_after=0)
    api.on("GET", "/v1/me", lambda _: busy, lambda _: busy, json({"id": "u", "number": 1, "name": "ann", "urn": "u",
        "organization": "local", "account": "local.ann", "administrator": True}))  # fmt: skip
    assert either.do(lambda client: client.me()).name == "ann"
    assert len(api.asked) == 3


def test_a_wrong_spec_is_refused_before_anything_is_sent(either: Either, api: TinyApi) -> None:
    with pytest.raises(SpecError, match=r"resources\.mem"):
        either.do(lambda client: client.jobs.submit(["a"], mem=-1))
    assert api.asked == []


def test_the_default_account_is_used_unless_the_job_names_one(api: TinyApi) -> None:
    api.on("POST", "/v1/jobs", json(job(), 201))
    with Client(api.url, "t", account="acme.vision") as client:
        client.jobs.submit(["a"])
        client.jobs.submit(["a"], account="acme.other")
    assert [one.json["account"] for one in api.asked] == ["acme.vision", "acme.other"]


def test_a_taken_name_gets_a_suffix(either: Either, api: TinyApi) -> None:
    taken = problem(409, "already-exists", "a job named 'train' is running", name="train")
    api.on("POST", "/v1/jobs", lambda _: taken, lambda _: taken, json(job(), 201))
    either.do(lambda client: client.jobs.submit(["a"], name="train", enforce_name=True))
    names = [one.json["name"] for one in api.asked]
    assert names[0] == "train"
    assert all(name.startswith("train-") and len(name) == 10 for name in names[1:])
    assert len({one.headers["idempotency-key"] for one in api.asked}) == 3
    api.on("POST", "/v1/jobs", lambda _: taken)
    with pytest.raises(errors.Conflict):
        either.do(lambda client: client.jobs.submit(["a"], name="train"))


def test_following_goes_on_where_the_connection_broke(either: Either, api: TinyApi) -> None:
    api.on(
        "GET",
        f"/v1/jobs/{ID}/logs/stream",
        lambda _: events(("log", frame("one\n"), "0:0:10"), ("log", frame("two\n"), "0:0:20"), broken=True),
        lambda _: problem(503, "stopping", "the server is stopping", retry_after=0),
        lambda _: events(("log", frame("three\n"), "0:0:30")),  # the server stopped in good order
        lambda _: events(("log", frame("four\n"), "0:0:40"), ("end", job("SUCCEEDED"), None)),
    )
    items = either.items(lambda client: client.jobs.follow(ID, tail=5))
    assert [item.data for item in items[:-1]] == ["one\n", "two\n", "three\n", "four\n"]
    assert isinstance(items[-1], JobDetail)
    assert [one.headers.get("last-event-id") for one in api.asked] == [None, "0:0:20", "0:0:20", "0:0:30"]
    assert [one.query["tail"] for one in api.asked] == ["5"] * 4
    assert sum("trying again" in line for line in either.told) == 2
    assert sum("connected again" in line for line in either.told) == 2


def test_following_a_job_that_is_not_there_fails_at_once(either: Either, api: TinyApi) -> None:
    api.on("GET", "/v1/jobs/none/logs/stream", lambda _: problem(404, "no-such-job", "there is no job 'none'"))
    with pytest.raises(errors.NotFound, match="no job 'none'"):
        either.items(lambda client: client.jobs.logs("none", follow=True))
    assert len(api.asked) == 1


def test_logs_are_read_to_what_is_there(either: Either, api: TinyApi) -> None:
    def page(asked: Asked) -> Reply:
        start = int(asked.query.get("cursor", "0"))
        frames = [frame(f"{start}\n")] if start < 3 else []
        return Reply({"frames": frames, "cursor": str(min(start + 1, 3)), "eof": False})

    api.on("GET", f"/v1/jobs/{ID}/logs", page)
    found = either.items(lambda client: client.jobs.logs(ID, stream="stdout"))
    assert [one.data for one in found] == ["0\n", "1\n", "2\n"]
    assert all(isinstance(one, LogFrame) for one in found)
    assert {one.query["stream"] for one in api.asked} == {"stdout"}


def test_waiting_looks_after_every_event(either: Either, api: TinyApi) -> None:
    changed = {"seq": 1, "at": "x", "kind": "job.state", "subject_type": "job", "subject_id": ID, "data": {}}
    ended = job("FAILED", exit_code=3, runs=[run(exit_code=3)])
    api.on("GET", "/v1/jobs/train", json(job()))
    api.on("GET", f"/v1/jobs/{ID}", json(job()), json(job()), json(ended))
    api.on(
        "GET",
        f"/v1/jobs/{ID}/events",
        lambda _: events(("job.state", changed, "1"), broken=True),
        lambda _: events(("job.state", changed, "2")),
    )
    found = either.do(lambda client: client.jobs.wait("train"))
    assert (found.state, found.exit_code) == ("FAILED", 3)


def test_waiting_has_an_end(either: Either, api: TinyApi) -> None:
    api.on("GET", "/v1/jobs/train", json(job()))
    api.on("GET", f"/v1/jobs/{ID}", json(job()))
    api.on("GET", f"/v1/jobs/{ID}/events", lambda _: events(held=True))
    with pytest.raises(TimeoutError, match="has not ended within"):
        either.do(lambda client: client.jobs.wait("train", timeout=0.05))


def test_nothing_listens(either: Either) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    nobody = Either(either.kind, url, patience=0.0)
    with pytest.raises(errors.Unreachable, match="refused") as failure:
        nobody.do(lambda client: client.jobs.retry("x"))
    assert not failure.value.sent
    assert "dais up" in (failure.value.hint or "")


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    either: Either, api: TinyApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api.on("GET", "/v1/version", json({"version": "1.2.3"}))
    assert either.do(lambda client: client.version()).version == "1.2.3"
