"""The listener for large uploads, as any client sees it: what it takes, from whom, and how it breaks off."""

from __future__ import annotations

import hashlib
import http.client
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from dais.api.bulk import BulkListener, Ticket, Tickets
from dais.api.server import listen
from dais.api.settings import BulkSettings
from dais.data import FolderStore, upload_key
from dais.data.hashing import digest_of
from dais.kit.clock import ManualClock
from dais.wire.transfers import NewUpload, Upload
from tests.support.serving import PATIENCE, Api
from tests.support.supervisor import until

pytestmark = pytest.mark.parametrize("server", ["past the API"], indirect=True)

CONTENT = os.urandom(3_000_000)


@dataclass
class Site:
    """An installation with a folder `x`, and a listener of the test's own."""

    server: Api
    folder: str
    listener: BulkListener

    def begin(self, path: str = "d/f", size: int = len(CONTENT), name: str = "n") -> Upload:
        body = msgspec.json.encode(NewUpload(path=path, size=size, name=name))
        answer = self.server.ask("POST", "/v1/folders/x/uploads", body)
        assert answer.status == 200, answer.body
        return msgspec.json.decode(answer.body, type=Upload)

    def finish(self, content: bytes = CONTENT, path: str = "d/f", name: str = "n") -> Any:
        query = {"path": path, "size": len(content), "upload": name, "offset": len(content)}
        query["digest"] = digest_of(content)
        return self.server.ask("PUT", f"/v1/folders/x/file?{urlencode(query)}", b"").json

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.listener.port, timeout=PATIENCE)

    def ask(
        self, method: str, target: str, body: bytes | None = None, *, ticket: str = "", **headers: str
    ) -> tuple[int, Any]:
        connection = self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if ticket:
            sent["Authorization"] = f"Ticket {ticket}"
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        found = answer.status, msgspec.json.decode(answer.read())
        connection.close()
        return found

    def refused(self, method: str, target: str, body: bytes | None = None, **more: str) -> tuple[int, str]:
        status, problem = self.ask(method, target, body, **more)
        return status, problem["code"]

    def have(self, upload: Upload) -> int:
        assert upload.bulk is not None
        status, state = self.ask("GET", f"/v1/uploads/{upload.key}", ticket=upload.bulk.ticket)
        assert (status, state["proof"]) == (200, upload.bulk.proof)
        offset: int = state["offset"]
        return offset

    def raw(self, data: bytes) -> socket.socket:
        """A connection on which these bytes were sent."""
        sock = socket.create_connection(("127.0.0.1", self.listener.port), timeout=PATIENCE)
        sock.sendall(data)
        return sock

    def half_sent(self, upload: Upload, sent: int) -> socket.socket:
        """A connection that has announced all of CONTENT and brought a part."""
        assert upload.bulk is not None
        head = f"PUT /v1/uploads/{upload.key}?offset=0 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONTENT)}\r\n"
        return self.raw(f"{head}Authorization: Ticket {upload.bulk.ticket}\r\n\r\n".encode() + CONTENT[:sent])


Make = Callable[..., Site]


@pytest.fixture
def make(server: Api) -> Iterator[Make]:
    """Makes the site, with settings of the listener, and a clock of its own if wanted."""
    folder = server.ask("POST", "/v1/folders", b'{"name": "x"}').json["id"]
    with ExitStack() as held:

        def made(now: Callable[[], float] | None = None, **settings: Any) -> Site:
            chosen = {"patience_seconds": PATIENCE, **settings}
            more = {"now": now} if now is not None else {}
            listener = BulkListener(server.services, listen("127.0.0.1", 0), BulkSettings(**chosen), **more)
            listener.start()
            held.callback(listener.stop)
            return Site(server, folder, listener)

        yield made


@pytest.fixture
def site(make: Make) -> Site:
    return make()


def all_of(sock: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    with sock:
        return b"".join(iter(lambda: sock.recv(65_536), b""))


def test_a_content_comes_on_one_connection_and_is_seen_when_the_api_knows_its_digest(site: Site) -> None:
    upload = site.begin()
    assert (upload.offset, upload.alike) == (0, False)
    assert upload.bulk is not None
    target, headers = f"/v1/uploads/{upload.key}", {"Authorization": f"Ticket {upload.bulk.ticket}"}
    connection = site.connect()
    for start, end in ((0, 1_000), (1_000, 2_500_000), (2_000_000, len(CONTENT))):
        connection.request("PUT", f"{target}?offset={start}", CONTENT[start:end], headers)
        answer = connection.getresponse()
        assert (answer.status, msgspec.json.decode(answer.read())["offset"]) == (200, end)
    connection.close()
    assert site.server.ask("GET", "/v1/folders/x/file?path=d/f").status == 404
    assert site.begin().offset == site.have(upload) == len(CONTENT)
    assert site.finish()["complete"]
    assert site.server.ask("GET", "/v1/folders/x/file?path=d/f").body == CONTENT
    assert site.finish()["complete"], "the answer may have been lost"
    assert site.begin(name="another").alike


def test_a_client_that_asks_first_is_told_to_go_on(site: Site) -> None:
    """As curl does with large bodies."""
    upload = site.begin()
    assert upload.bulk is not None
    head = f"PUT /v1/uploads/{upload.key} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(CONTENT)}"
    sock = site.raw(f"{head}\r\nConnection: close\r\nAuthorization: Ticket {upload.bulk.ticket}\r\n\r\n".encode())
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(CONTENT)
    assert all_of(sock).startswith(b"HTTP/1.1 200 ")


def test_a_wrong_digest_shows_nothing_and_drops_what_came(site: Site) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    site.ask("PUT", f"/v1/uploads/{upload.key}", CONTENT, ticket=upload.bulk.ticket)
    assert site.finish(CONTENT[:-1] + b"x")["code"] == "digest-mismatch"
    assert site.have(upload) == 0
    assert site.server.ask("GET", "/v1/folders/x/file?path=d/f").status == 404


def test_only_its_own_ticket_opens_an_upload_and_only_while_it_is_good(site: Site) -> None:
    one, other = site.begin("one"), site.begin("other")
    assert one.bulk is not None
    assert other.bulk is not None
    target, good = f"/v1/uploads/{one.key}", one.bulk.ticket
    services = site.server.services
    ticket = Ticket(user="u", folder=site.folder, key=one.key, path="one", size=len(CONTENT))
    expired = Tickets(services.vault, ManualClock(0)).issue(ticket)
    bearer = f"Bearer {site.server.administrator.token.secret}"
    for method, body in (("GET", None), ("PUT", CONTENT)):
        assert site.refused(method, target, body) == (401, "ticket-missing")
        assert site.refused(method, target, body, Authorization=bearer) == (401, "ticket-missing")
        assert site.refused(method, target, body, ticket=expired) == (401, "ticket-expired")
        assert site.refused(method, target, body, ticket=other.bulk.ticket) == (403, "wrong-ticket")
        assert site.refused(method, target, body, ticket="A" + good[1:]) == (401, "bad-ticket")
        assert site.refused(method, target, body, ticket=good[:-1]) == (401, "bad-ticket")
    assert site.have(one) == 0


def test_others_begin_uploads_of_their_own(site: Site) -> None:
    """The same name for the same path is another upload for another user: nobody goes on with another's bytes."""
    keys = {site.begin(**more).key for more in ({}, {"name": "m"}, {"path": "g"}, {"size": 5})}
    assert len(keys) == 4
    ann = site.server.administrator.user.id
    assert upload_key("d/f", len(CONTENT), ann, "n") == site.begin().key != upload_key("d/f", len(CONTENT), "bob", "n")


@pytest.mark.parametrize(
    "target, expected",
    [
        ("/v1/uploads/{key}/", 404),
        ("/v1/uploads/../uploads/{key}", 404),
        ("//v1/uploads/{key}", 404),
        ("/v1/uploads/%2e%2e/{key}", 404),
        ("/v1/uploads/{upper}", 404),
        ("/v1/uploads/{key}?offset=-1", 404),
        ("/v1/uploads/{key}?offset=1&offset=2", 404),
        ("/v1/uploads/{key}?offset=9999999999999999999", 404),
        ("http://elsewhere/v1/uploads/{key}", 404),
        ("/v1/folders", 404),
        ("/v1/uploads/{key}?offset=1000", 409),
        ("/v1/uploads/{key}?offset=999999999", 400),
    ],
)
def test_addresses_that_lead_elsewhere_lead_nowhere(site: Site, target: str, expected: int) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    target = target.format(key=upload.key, upper=upload.key.upper())
    assert site.ask("PUT", target, b"x", ticket=upload.bulk.ticket)[0] == expected
    assert site.have(upload) == 0


def test_a_token_in_the_address_is_refused_and_revoked(site: Site) -> None:
    secret = site.server.administrator.token.secret
    assert site.refused("GET", f"/v1/uploads/{'0' * 64}?token={quote(secret)}") == (401, "token-in-address")
    assert site.server.ask("GET", "/v1/me").status == 401


@pytest.mark.parametrize(
    "head, expected",
    [
        ("rubbish", b"400"),
        ("PUT {target} HTTP/1.1\r\n{ticket}", b"411"),
        ("PUT {target} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{ticket}", b"411"),
        ("PUT {target} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n{ticket}", b"400"),
        ("PUT {target} HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n{ticket}", b"400"),
        ("PUT {target} HTTP/1.1\r\nContent-Length: -4\r\n{ticket}", b"400"),
        ("PUT {target} HTTP/1.1\r\nContent-Length: 3000001\r\n{ticket}", b"400"),
        ("POST {target} HTTP/1.1\r\nContent-Length: 4\r\n{ticket}", b"405"),
        ("GET {target} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{ticket}", b"400"),
        ("GET {target} HTTP/1.1\r\nLong: {long}\r\n{ticket}", b"431"),
    ],
)
def test_heads_that_are_wrong_are_refused(site: Site, head: str, expected: bytes) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    ticket = f"Host: x\r\nAuthorization: Ticket {upload.bulk.ticket}"
    text = head.format(target=f"/v1/uploads/{upload.key}", ticket=ticket, long="x" * 40_000)
    answer = all_of(site.raw(f"{text}\r\n\r\n".encode()))
    assert answer.split(b" ")[1] == expected, answer
    assert b"connection: close" in answer


def test_what_came_before_a_cut_is_kept_and_gone_on_with(site: Site) -> None:
    upload = site.begin()
    sock = site.half_sent(upload, 1_234_567)
    until(lambda: site.have(upload) >= 1 << 20, "the first buffer is written")
    sock.shutdown(socket.SHUT_WR)
    assert all_of(sock) == b"", "a body cut short is not answered"
    assert site.have(upload) == 1_234_567
    assert upload.bulk is not None
    rest = CONTENT[1_234_567:]
    target = f"/v1/uploads/{upload.key}?offset=1234567"
    assert site.ask("PUT", target, rest, ticket=upload.bulk.ticket) == (200, {"offset": len(CONTENT), "proof": ""})
    assert site.finish()["complete"]
    assert site.server.ask("GET", "/v1/folders/x/file?path=d/f").body == CONTENT


def test_two_connections_for_one_upload_end_with_the_content(site: Site) -> None:
    """The first hangs still when the client comes again."""
    upload = site.begin()
    assert upload.bulk is not None
    hanging = site.half_sent(upload, 1_500_000)
    until(lambda: site.have(upload) >= 1 << 20, "the first buffer is written")
    assert site.ask("PUT", f"/v1/uploads/{upload.key}", CONTENT, ticket=upload.bulk.ticket)[0] == 200
    hanging.sendall(CONTENT[1_500_000:])
    hanging.shutdown(socket.SHUT_WR)
    assert all_of(hanging).startswith(b"HTTP/1.1 200 ")
    assert site.finish()["complete"]


def test_who_brings_nothing_is_cut_and_what_came_is_kept(make: Make) -> None:
    site = make(patience_seconds=0.05)
    assert all_of(site.raw(b"")) == b"", "no request at all"
    assert all_of(site.raw(b"PUT /v1/upl")).startswith(b"HTTP/1.1 408 "), "half a head"
    upload = site.begin()
    assert all_of(site.half_sent(upload, 10_000)).startswith(b"HTTP/1.1 408 ")
    assert site.have(upload) == 10_000


def test_who_brings_too_little_is_cut(make: Make) -> None:
    class Clock:
        """A third of the patience goes by between two looks."""

        at = 0.0

        def __call__(self) -> float:
            self.at += PATIENCE / 3
            return self.at

    site = make(now=Clock(), slowest=1 << 30)
    upload = site.begin()
    sock = site.half_sent(upload, 1)
    with suppress(BrokenPipeError, ConnectionResetError):  # on a busy machine it has stopped reading on, too
        while not select.select([sock], [], [], 0)[0]:
            sock.sendall(b"x")
    assert sock.recv(20).startswith(b"HTTP/1.1 408 ")
    sock.close()
    assert 0 < site.have(upload) < len(CONTENT)


def test_a_user_has_so_many_uploads_at_once_and_all_users_so_many_connections(make: Make) -> None:
    site = make(user_connections=1, connections=2)
    one, other = site.begin("one"), site.begin("other")
    assert other.bulk is not None
    target, ticket = f"/v1/uploads/{other.key}", other.bulk.ticket
    hanging = site.half_sent(one, 1_500_000)
    until(lambda: site.listener._uploads, "the first is under way")
    assert site.refused("PUT", target, CONTENT, ticket=ticket) == (429, "too-many-uploads")
    until(lambda: len(site.listener._open) == 1, "the refused one has gone")
    idle = site.raw(b"")
    assert b'"busy"' in all_of(site.raw(b"")), "a third connection has no thread"
    idle.close()
    hanging.close()
    until(lambda: not site.listener._open, "the connections are gone")
    assert site.ask("PUT", target, CONTENT, ticket=ticket)[0] == 200


def test_a_disk_too_full_is_told_before_anything_is_sent(site: Site) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    parts = site.server.services.parts
    assert parts.folders is not None
    parts.folders = FolderStore(parts.folders.root, reserve=1 << 60)
    refused = site.server.ask("POST", "/v1/folders/x/uploads", b'{"path": "g", "size": 5, "name": "n"}')
    assert (refused.status, refused.json["code"]) == (503, "disk-full")
    found = site.refused("PUT", f"/v1/uploads/{upload.key}", CONTENT, ticket=upload.bulk.ticket)
    assert found == (503, "disk-full")


def test_a_removed_folder_takes_nothing(site: Site) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    assert site.server.ask("DELETE", "/v1/folders/x").status < 300
    found = site.refused("PUT", f"/v1/uploads/{upload.key}", CONTENT, ticket=upload.bulk.ticket)
    assert found == (404, "folder-lost")


def test_a_stop_cuts_what_is_under_way_and_keeps_what_has_come(site: Site, make: Make) -> None:
    upload = site.begin()
    sock = site.half_sent(upload, 1_500_000)
    until(lambda: site.have(upload) >= 1 << 20, "it is under way")
    site.listener.stop()
    assert b'"stopping"' in all_of(sock)
    assert 1 << 20 <= make().have(upload) <= 1_500_000


def test_an_upload_is_forgotten_when_it_is_told(site: Site) -> None:
    upload = site.begin()
    site.half_sent(upload, 1_500_000).close()
    until(lambda: site.have(upload) == 1_500_000, "a part has come")
    path = f"/v1/folders/x/uploads/n?path=d/f&size={len(CONTENT)}"
    assert [site.server.ask("DELETE", path).status for _ in range(2)] == [204, 204]
    assert site.have(upload) == 0


def test_what_happens_there_is_counted(site: Site) -> None:
    upload = site.begin()
    assert upload.bulk is not None
    site.ask("PUT", f"/v1/uploads/{upload.key}", CONTENT, ticket=upload.bulk.ticket)
    site.ask("PUT", f"/v1/uploads/{upload.key}", CONTENT)
    counted = [route for route in site.server.services.meter.routes if route.path == "/v1/uploads/{key}"]
    puts = [route.statuses for route in counted if route.method == "PUT"][-1]
    until(lambda: puts == {200: 1, 401: 1}, "both are counted")


def test_keys_and_digests_never_meet(site: Site) -> None:
    """An upload under a name cannot be made to go on with pieces that came under a digest."""
    digest = digest_of(CONTENT)
    name = hashlib.sha256(f"{digest}:{len(CONTENT)}:d/f".encode()).hexdigest()
    assert site.begin(name=digest).key != name
