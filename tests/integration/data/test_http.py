"""The routes that move files, as any HTTP client sees them."""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

import msgspec
import pytest

from dais.data.hashing import digest_of
from dais.identity import authenticate, create_token, create_user
from dais.wire.transfers import PackEntry, pack_header, unpack
from tests.support.serving import Answer, Api


def put(server: Api, path: str, data: bytes, *, of: bytes | None = None, offset: int = 0) -> Answer:
    whole = data if of is None else of
    query = urlencode({"path": path, "size": len(whole), "digest": digest_of(whole), "offset": offset})
    return server.ask("PUT", f"/v1/folders/x/file?{query}", data)


@pytest.fixture
def folder(server: Api) -> str:
    """The id of a folder named x."""
    made = server.ask("POST", "/v1/folders", b'{"name": "x"}')
    assert made.status == 201
    assert made.headers["location"] == f"/v1/folders/{made.json['id']}"
    return str(made.json["id"])


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def test_a_file_by_one_request_and_in_ranges(server: Api, folder: str) -> None:
    data = os.urandom(3_000_000)
    answer = put(server, "d/f", data)
    assert (answer.status, answer.json) == (200, {"path": "d/f", "offset": 3_000_000, "complete": True})
    whole = server.ask("GET", "/v1/folders/x/file?path=d/f")
    assert whole.body == data
    assert whole.headers["dais-digest"] == digest_of(data)
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = server.ask(
        "GET", "/v1/folders/x/file?path=d/f", headers={"Range": "bytes=10-19", "If-Match": whole.headers["etag"]}
    )
    assert (part.status, part.body, part.headers["content-range"]) == (206, data[10:20], "bytes 10-19/3000000")
    assert part.headers["dais-digest"] == digest_of(data[10:20])
    rest = server.ask("GET", "/v1/folders/x/file?path=d/f", headers={"Range": "bytes=2999999-"})
    assert rest.body == data[-1:]
    for wrong in ("bytes=3000000-", "bytes=5-4", "bytes=-5", "lines=1-2", "bytes=0-1,3-4"):
        assert code(server.ask("GET", "/v1/folders/x/file?path=d/f", headers={"Range": wrong})) == (416, "bad-range")
    changed = server.ask("GET", "/v1/folders/x/file?path=d/f", headers={"If-Match": '"another"'})
    assert code(changed) == (409, "changed")
    head = server.ask("HEAD", "/v1/folders/x/file?path=d/f")
    assert (head.status, head.headers["content-length"], head.body) == (200, "3000000", b"")


def test_an_empty_file(server: Api, folder: str) -> None:
    assert put(server, "empty", b"").json["complete"]
    assert server.ask("GET", "/v1/folders/x/file?path=empty").body == b""


def test_a_refused_body_is_answered_and_not_cut(server: Api, folder: str) -> None:
    """The answer must come through, although megabytes of the body are still on the way."""
    data = os.urandom(12_000_000)
    assert code(put(server, "f", data[6_000_000:], of=data, offset=6_000_000)) == (409, "wrong-offset")
    assert code(put(server, "f", data, of=b"x")) == (400, "bad-piece")
    assert code(put(server, "../f", data)) == (400, "path-outside")
    wrong = server.ask("PUT", "/v1/folders/x/file?path=f&size=1&digest=md5:1", b"x")
    assert code(wrong) == (400, "bad-digest")
    assert server.ask("GET", "/v1/folders/x/entries").json["items"] == []


def test_packs(server: Api, folder: str) -> None:
    entry = PackEntry(path="a <b>\n", size=1, digest=digest_of(b"x"))
    assert server.ask("POST", "/v1/folders/x/pack", pack_header(entry) + b"x").json == {"entries": 1}
    assert code(server.ask("POST", "/v1/folders/x/pack", pack_header(entry))) == (400, "bad-pack")
    asked = msgspec.json.encode({"paths": ["a <b>\n", "b"]})
    ((one, data), (two, _)) = unpack(server.ask("POST", "/v1/folders/x/fetch", asked).body)
    assert (one.digest, bytes(data), two.kind) == (digest_of(b"x"), b"x", "absent")
    assert code(server.ask("POST", "/v1/folders/x/fetch", b'{"path": []}')) == (400, "unknown-field")
    assert code(server.ask("POST", "/v1/folders/x/fetch", b'{"paths": ["../x"]}')) == (400, "path-outside")


def test_blobs(server: Api) -> None:
    data = os.urandom(2_500_000)
    digest = digest_of(data)
    address = f"/v1/blobs/{quote(digest)}?size={len(data)}"
    asked = msgspec.json.encode({"digests": [digest]})
    assert server.ask("POST", "/v1/blobs/missing", asked).json == {"digests": [digest]}
    assert server.ask("PUT", address, data[:1_500_000]).json["complete"] is False
    assert server.ask("PUT", f"{address}&offset=1500000", data[1_500_000:]).json["complete"] is True
    assert server.ask("POST", "/v1/blobs/missing", asked).json == {"digests": []}
    assert server.ask("PUT", address, data).json["complete"] is True
    assert code(server.ask("PUT", f"/v1/blobs/{digest_of(b'y')}?size=1", b"x")) == (400, "digest-mismatch")
    wrong = pack_header(PackEntry(size=1, digest=digest_of(b"y"))) + b"x"
    assert code(server.ask("POST", "/v1/blobs/pack", wrong)) == (400, "digest-mismatch")
    manifest = msgspec.json.encode({"files": [{"path": "a", "digest": digest_of(b"z"), "size": 1}]})
    assert code(server.ask("POST", "/v1/sources", manifest)) == (409, "blobs-missing")


def test_strangers_reach_nothing(server: Api, folder: str) -> None:
    put(server, "secret", b"x")
    database = server.services.db
    ann = database.read_sync(authenticate, server.administrator.token.secret).actor
    eve = database.write_sync(create_user, ann, "eve")
    token = database.write_sync(create_token, ann, user_id=eve.id).secret
    digest = digest_of(b"x")
    for method, address, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/entries", None),
        ("DELETE", "/entries?path=secret", None),
        ("POST", "/compare", b'{"files": []}'),
        ("GET", "/file?path=secret", None),
        ("PUT", f"/file?path=f&size=1&digest={digest}", b"x"),
        ("POST", "/pack", b""),
        ("POST", "/fetch", b'{"paths": []}'),
        ("POST", "/publish", None),
    ):
        address = f"/v1/folders/{folder}{address}"
        assert server.ask(method, address, body, token=token).status == 404, (method, address)
        assert server.ask(method, address, body, token=None).status == 401, (method, address)
    assert server.ask("GET", "/v1/folders", token=token).json["items"] == []
    assert server.ask("GET", "/v1/folders/x/file?path=secret").body == b"x"


def test_a_removed_folder_is_gone_from_the_disk(server: Api, folder: str) -> None:
    put(server, "d/f", b"x")
    assert server.ask("DELETE", "/v1/folders/x").status == 204
    assert code(server.ask("GET", "/v1/folders/x")) == (404, "no-such-folder")
    assert not (server.services.folders.root / folder).exists()


def test_a_refused_folder_leaves_no_directory(server: Api, folder: str) -> None:
    assert code(server.ask("POST", "/v1/folders", b'{"name": "x"}')) == (409, "folder-exists")
    assert code(server.ask("POST", "/v1/folders", b'{"name": "a b"}')) == (400, "bad-name")
    assert code(server.ask("POST", "/v1/folders", b'{"name": "y", "account": "nope"}')) == (404, "no-such-account")
    names = {path.name for path in server.services.folders.root.iterdir()}
    assert names == {folder, ".partial", ".trash"}
