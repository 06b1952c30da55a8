"""`GET /v1/events` on a real server: nothing is missed, nothing is shown to those who may not see it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dais.api import all_routes
from dais.identity import authenticate, create_token, create_user, revoke_token
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Event, UnitOfWork
from dais.kit.outbox import KEPT_SECONDS, number_events, purge_events
from tests.support.serving import Api, api


@dataclass(frozen=True)
class Heard:
    id: str
    event: str
    data: Any


class Stream:
    """A connection that reads events as they come."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def next(self) -> Heard:
        """The next event; comments are passed over. Raises EOFError at the end."""
        fields: dict[str, str] = {}
        while True:
            line = self._answer.readline().decode()
            if not line:
                raise EOFError
            if line == "\n" and fields:
                return Heard(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            name, _, value = line.rstrip("\n").partition(": ")
            if name and not line.startswith(":"):
                fields[name] = value


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Api]:
    with api(database, all_routes(), tmp_path) as running:
        yield running


@contextmanager
def listening(server: Api, query: str = "", token: str | None = None, last: str | None = None) -> Iterator[Stream]:
    connection = server.connect()
    headers = {"Authorization": f"Bearer {token or server.administrator.token.secret}"}
    if last is not None:
        headers["Last-Event-ID"] = last
    connection.request("GET", f"/v1/events{query}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert answer.headers["content-type"].startswith("text/event-stream")
    try:
        yield Stream(answer)
    finally:
        answer.close()
        connection.close()


def emit(server: Api, *names: str, account: str | None = None) -> None:
    def verb(uow: UnitOfWork) -> None:
        for name in names:
            uow.emit(Event("job.state", "job", name, account or server.administrator.user.account_id, {"n": name}))

    server.services.db.write_sync(verb)
    server.services.db.write_sync(number_events)


def test_what_happens_is_told(server: Api) -> None:
    with listening(server, "?since=0&subject=x") as stream:
        emit(server, "x", "y", "x")
        first, second = stream.next(), stream.next()
    assert first.event == "job.state"
    assert first.data["subject_id"] == "x"
    assert first.data["data"] == {"n": "x"}
    assert first.data["at"].endswith("Z")
    assert int(second.id) - int(first.id) == 2


def test_a_reader_starts_now_unless_it_says_otherwise(server: Api) -> None:
    emit(server, "before")
    with listening(server) as stream:
        emit(server, "after")
        assert stream.next().data["subject_id"] == "after"


def test_a_reader_that_comes_back_misses_nothing(server: Api) -> None:
    emit(server, "a")
    with listening(server, "?since=0&subject=a") as stream:
        last = stream.next().id
    emit(server, *[f"b{number}" for number in range(1200)])
    with listening(server, last=last) as stream:
        assert [stream.next().data["subject_id"] for _ in range(1200)] == [f"b{number}" for number in range(1200)]


def test_a_reader_that_was_away_for_too_long_is_told_to_start_anew(server: Api, clock: ManualClock) -> None:
    emit(server, "a", "b", "c")
    clock.advance(KEPT_SECONDS + 1)
    server.services.db.write_sync(purge_events)
    with listening(server, last="1") as stream:
        reset = stream.next()
        assert (reset.event, reset.data) == ("reset", {"newest": int(reset.id)})
        emit(server, "d")
        assert stream.next().data["subject_id"] == "d"
    with listening(server, last="999999") as stream:
        assert stream.next().event == "reset"


@pytest.mark.parametrize("last", ["x", "1.5", "0x1"])
def test_a_place_that_is_no_number_is_refused(server: Api, last: str) -> None:
    answer = server.ask("GET", "/v1/events", headers={"Last-Event-ID": last})
    assert (answer.status, answer.json["code"]) == (400, "bad-parameter")


def test_others_see_their_own_accounts_only(server: Api) -> None:
    db = server.services.db
    ann = db.read_sync(authenticate, server.administrator.token.secret).actor
    joe = db.write_sync(create_user, ann, "joe")
    token = db.write_sync(create_token, ann, user_id=joe.id)
    emit(server)
    with listening(server, token=token.secret) as stream:
        emit(server, "anns")
        emit(server, "joes", account=joe.account_id)
        assert stream.next().data["subject_id"] == "joes"


def test_a_stream_ends_when_its_token_does(server: Api) -> None:
    db = server.services.db
    ann = db.read_sync(authenticate, server.administrator.token.secret).actor
    token = db.write_sync(create_token, ann)
    emit(server)
    with listening(server, token=token.secret) as stream:
        emit(server, "a")
        assert stream.next().data["subject_id"] == "a"
        db.write_sync(revoke_token, ann, token.id)
        emit(server, "b")
        with pytest.raises(EOFError):
            stream.next()


def test_streams_end_when_the_server_stops(database: Database, tmp_path: Path) -> None:
    with api(database, all_routes(), tmp_path) as server:
        connection = server.connect()
        connection.request(
            "GET", "/v1/events", headers={"Authorization": f"Bearer {server.administrator.token.secret}"}
        )
        answer = connection.getresponse()
        assert answer.status == 200
    assert answer.read() is not None  # to its end: the server has stopped, and did not have to cut it
    connection.close()
