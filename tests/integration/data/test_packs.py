"""Chunks of large versioned files past the API: who is let in, what is believed, and what is done without it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais import Client
from dais.api.bulk import CONTENTS, BulkListener, Ticket, Tickets
from dais.api.bulk.rooms import LENT_SECONDS
from dais.api.server import listen
from dais.api.settings import BulkSettings
from dais.data.hashing import digest_of
from dais.identity import authenticate, create_token
from dais.kit.clock import ManualClock
from dais.sdk.chunking import can_cut
from dais.sdk.errors import Invalid
from dais.sdk.progress import Progress
from dais.wire.transfers import MAX_PACK, BulkOffer, BulkPlace, NewUpload, PackEntry, Upload, pack_header
from tests.support.impostor import Elsewhere, impostor
from tests.support.serving import PATIENCE, Api
from tests.support.supervisor import until

pytestmark = [
    pytest.mark.skipif(not can_cut(), reason="pyfastcdc is not compiled here"),
    pytest.mark.parametrize("server", ["past the API"], indirect=True),
]
MIB = 1 << 20
PATH = "/v1/contents/pack"
CONTENT = b"a content" * 1000


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that is cut into chunks."""
    place = tmp_path / "large"
    place.write_bytes(os.urandom(20 * MIB))
    return place


def packed(content: bytes = CONTENT, digest: str = "") -> bytes:
    return pack_header(PackEntry(size=len(content), digest=digest or digest_of(content))) + content


def taken(server: Api, path: str) -> int:
    """How many packs a route took."""
    return sum(
        sum(count for status, count in route.statuses.items() if status < 300)
        for route in server.services.meter.routes
        if (route.method, route.path) == ("POST", path)
    )


def place(server: Api) -> BulkPlace:
    answer = server.ask("POST", "/v1/contents/bulk")
    assert answer.status == 200, answer.body
    offer = msgspec.json.decode(answer.body, type=BulkOffer)
    assert offer.bulk is not None
    return offer.bulk


def ask(port: int, method: str, target: str, body: bytes | None = None, *, authorization: str = "") -> tuple[int, Any]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, target, body, {"Authorization": authorization} if authorization else {})
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    finally:
        connection.close()


def fetched(client: Client, tmp_path: Path) -> bytes:
    client.files.download({"/large": str(tmp_path / "back")})
    return (tmp_path / "back").read_bytes()


def test_chunks_go_past_the_api_where_they_can(client: Client, server: Api, large: Path, tmp_path: Path) -> None:
    steps: list[Progress] = []
    client.files.upload({str(large): "/large"}, progress=steps.append)
    assert taken(server, f"{PATH} (bulk)") >= 2
    assert taken(server, PATH) == 0
    assert (steps[-1].files, steps[-1].bytes) == (1, 20 * MIB)
    assert fetched(client, tmp_path) == large.read_bytes()
    assert server.services.parts.bulk is not None
    assert server.services.parts.bulk._uploads == {}, "none of this user's is under way any more"


def test_a_pack_comes_and_is_there(server: Api) -> None:
    found = place(server)
    ticket = f"Ticket {found.ticket}"
    assert ask(found.port, "GET", PATH, authorization=ticket) == (200, {"offset": 0, "proof": found.proof})
    assert ask(found.port, "POST", PATH, packed() + packed(b""), authorization=ticket) == (200, {"entries": 2})
    assert server.services.blobs.read(digest_of(CONTENT)) == CONTENT


def test_only_a_ticket_for_contents_lets_them_in(server: Api) -> None:
    found = place(server)
    services, user = server.services, server.administrator.user.id
    server.ask("POST", "/v1/folders", b'{"name": "x"}')
    body = msgspec.json.encode(NewUpload(path="f", size=5, name="n"))
    upload = msgspec.json.decode(server.ask("POST", "/v1/folders/x/uploads", body).body, type=Upload)
    assert upload.bulk is not None
    expired = Tickets(services.vault, ManualClock(0)).issue(Ticket(user=user, key=CONTENTS))
    refusals = {
        "": (401, "ticket-missing"),
        f"Bearer {server.administrator.token.secret}": (401, "ticket-missing"),
        f"Ticket {expired}": (401, "ticket-expired"),
        f"Ticket {upload.bulk.ticket}": (403, "wrong-ticket"),
        f"Ticket {found.ticket[:-1]}": (401, "bad-ticket"),
    }
    for method in ("GET", "POST"):
        for authorization, expected in refusals.items():
            status, problem = ask(found.port, method, PATH, packed() if method == "POST" else None,
                                  authorization=authorization)  # fmt: skip
            assert (status, problem["code"]) == expected, authorization
    ticket = f"Ticket {found.ticket}"
    status, problem = ask(found.port, "PUT", f"/v1/uploads/{upload.key}", b"12345", authorization=ticket)
    assert (status, problem["code"]) == (403, "wrong-ticket"), "it opens no folder"
    assert not services.blobs.has(digest_of(CONTENT))


@pytest.mark.parametrize(
    "body, code",
    [
        (packed(digest=digest_of(b"somebody else's")), "digest-mismatch"),
        (packed() + packed(digest="blake3:0"), "digest-mismatch"),
        (packed()[:-1], "bad-pack"),
        (b"\xff\xff\xff\xff", "bad-pack"),
    ],
)
def test_what_is_not_what_it_says_is_not_stored(server: Api, body: bytes, code: str) -> None:
    found = place(server)
    status, problem = ask(found.port, "POST", PATH, body, authorization=f"Ticket {found.ticket}")
    assert (status, problem["code"]) == (400, code)
    assert [path for path in server.services.blobs.root.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_a_pack_has_a_length_and_an_end(server: Api) -> None:
    found = place(server)
    for line, expected in ((f"Content-Length: {MAX_PACK + 1}", b"400"), ("Transfer-Encoding: chunked", b"411")):
        with socket.create_connection(("127.0.0.1", found.port), timeout=PATIENCE) as sock:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Ticket {found.ticket}\r\n{line}\r\n\r\n"
            sock.sendall(head.encode())
            assert sock.recv(12).split()[1] == expected
    status, problem = ask(found.port, "PUT", PATH, packed(), authorization=f"Ticket {found.ticket}")
    assert (status, problem["code"]) == (405, "method-not-allowed")


def test_a_pack_that_breaks_off_gives_its_room_back(server: Api) -> None:
    found = place(server)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Ticket {found.ticket}\r\nContent-Length: 9\r\n\r\n"
    for _ in range(BulkSettings().packs + 1):
        with socket.create_connection(("127.0.0.1", found.port), timeout=PATIENCE) as sock:
            sock.sendall(head.encode() + b"half")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100) == b""
    assert ask(found.port, "POST", PATH, packed(), authorization=f"Ticket {found.ticket}")[0] == 200


def test_slow_senders_leave_room_to_others_and_give_way_in_the_end(server: Api) -> None:
    now = 0.0
    listener = BulkListener(server.services, listen("127.0.0.1", 0), BulkSettings(packs=4), lambda: now)
    listener.start()
    tickets = Tickets(server.services.vault, server.services.clock)

    def half_sent(user: str) -> socket.socket:
        sock = held.enter_context(socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE))
        ticket = tickets.issue(Ticket(user=user, key=CONTENTS))
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Ticket {ticket}\r\nContent-Length: {MAX_PACK}\r\n\r\n"
        )
        sock.sendall(head.encode() + b"half")
        return sock

    def sent_by(user: str) -> int:
        ticket = tickets.issue(Ticket(user=user, key=CONTENTS))
        return ask(listener.port, "POST", PATH, packed(), authorization=f"Ticket {ticket}")[0]

    with contextlib.closing(contextlib.ExitStack()) as held:
        slow = [half_sent("eve") for _ in range(4)]
        until(lambda: len(listener._rooms._lent) == 2, "half the room is theirs")
        assert sent_by("ann") == 200
        half_sent("mallory"), half_sent("mallory")
        until(lambda: len(listener._rooms._lent) == 4, "all room is in use")
        now = LENT_SECONDS
        assert sent_by("ann") == 200
        gone, _, _ = select.select(slow, [], [], PATIENCE)
        assert b"gave-way" in gone[0].recv(1000)
    listener.stop()


def test_who_may_commit_no_file_gets_no_ticket(server: Api) -> None:
    ann = server.services.db.read_sync(authenticate, server.administrator.token.secret).actor
    secret = server.services.db.write_sync(create_token, ann, narrowed=["job:get@*"]).secret
    assert server.ask("POST", "/v1/contents/bulk", token=secret).status == 403


@pytest.mark.parametrize("body", [b'{"offset": 0, "proof": "guessed"}', b"rubbish"])
def test_who_cannot_prove_to_be_the_server_gets_no_chunk(
    client: Client, server: Api, large: Path, tmp_path: Path, body: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    other = Elsewhere(server.services, listen("127.0.0.1", 0), BulkSettings())
    other.start()
    server.services.parts.bulk = other
    with impostor(answer) as (port, heard):
        other.elsewhere = port
        client.files.upload({str(large): "/large"})
    other.stop()
    assert all(said.startswith(b"GET ") and len(said) < 2_000 for said in heard), "he was asked, and told nothing"
    assert fetched(client, tmp_path) == large.read_bytes()


@pytest.mark.parametrize("trouble", ["full", "cut"])
def test_what_breaks_there_goes_through_the_api(
    client: Client, server: Api, large: Path, tmp_path: Path, trouble: str
) -> None:
    settings = BulkSettings(connections=1 if trouble == "full" else 8, user_connections=1 if trouble == "full" else 8)
    listener = BulkListener(server.services, listen("127.0.0.1", 0), settings)
    listener.start()
    server.services.parts.bulk = listener

    def cut(progress: Progress) -> None:
        if trouble == "cut":
            for sock in list(listener._open):
                with contextlib.suppress(OSError):  # cut before
                    sock.shutdown(socket.SHUT_RDWR)

    client.files.upload({str(large): "/large"}, progress=cut)
    listener.stop()
    assert fetched(client, tmp_path) == large.read_bytes()


def test_a_file_that_changes_while_its_chunks_go_is_sent_as_it_is_then(
    client: Client, large: Path, tmp_path: Path
) -> None:
    changed: list[Callable[[], int]] = [lambda: large.write_bytes(os.urandom(18 * MIB))]

    def change(progress: Progress) -> None:
        if progress.bytes and changed:
            changed.pop()()

    client.files.upload({str(large): "/large"}, progress=change)
    assert not changed
    assert fetched(client, tmp_path) == large.read_bytes()


def test_a_file_that_never_stops_changing_gets_no_version(client: Client, large: Path) -> None:
    def change(progress: Progress) -> None:
        with large.open("r+b") as file:
            file.write(os.urandom(100))

    with pytest.raises(Invalid) as refused:
        client.files.upload({str(large): "/large"}, progress=change)
    assert refused.value.code in ("file-changed", "digest-mismatch")
    assert list(client.files.ls()) == []
