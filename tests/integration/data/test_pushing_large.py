"""Large files by the client: past the API and through it, on files that change, and on servers that are none."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dais import Client
from dais.api.bulk import BulkListener
from dais.api.server import listen
from dais.api.settings import BulkSettings
from dais.sdk.errors import Invalid, Unavailable
from dais.sdk.progress import Progress
from tests.integration.data.conftest import same
from tests.support.impostor import Elsewhere, impostor
from tests.support.serving import Api

SIZE = 20_000_000

past_the_api = pytest.mark.parametrize("server", ["past the API"], indirect=True)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory with a large file."""
    made = tmp_path / "top"
    made.mkdir()
    (made / "large").write_bytes(os.urandom(SIZE))
    return made


def stored(server: Api, folder_id: str) -> Path:
    return server.services.folders.root / folder_id


def left_aside(server: Api, folder_id: str) -> list[Path]:
    """What is kept of unfinished uploads."""
    return list((server.services.folders.root / ".partial" / folder_id).glob("*"))


def puts(server: Api, path: str) -> int:
    """How many bodies were put to a route, and taken."""
    return sum(
        route.statuses.get(200, 0)
        for route in server.services.meter.routes
        if (route.method, route.path) == ("PUT", path)
    )


def test_a_large_file_goes_past_the_api_where_it_can(
    client: Client, server: Api, top: Path, request: pytest.FixtureRequest
) -> None:
    (top / "large").chmod(0o755)
    made = client.folders.create("x")
    steps: list[Progress] = []
    done = client.folders.push("x", top, progress=steps.append)
    assert (done.files, done.bytes, done.skipped) == (1, SIZE, 0)
    assert (steps[-1].files, steps[-1].bytes) == (1, SIZE)
    assert same(top, stored(server, made.id))
    past = "past the API" in request.node.name
    assert puts(server, "/v1/uploads/{key}") == past
    assert puts(server, "/v1/folders/{ref}/file") == (1 if past else 4), "the last one tells the digest"
    again = client.folders.push("x", top)
    assert (again.files, again.skipped) == (0, 1)
    assert puts(server, "/v1/uploads/{key}") == past, "what is there is not sent"
    (top / "large").write_bytes(os.urandom(SIZE))
    assert client.folders.push("x", top).bytes == SIZE, "as long, and another"
    assert same(top, stored(server, made.id))
    assert left_aside(server, made.id) == []


def test_a_file_that_changes_once_is_sent_anew(client: Client, server: Api, top: Path) -> None:
    changed = False

    def write(progress: Progress) -> None:
        nonlocal changed
        if progress.bytes > 10_000_000 and not changed:
            changed = True
            with (top / "large").open("r+b") as file:
                file.write(b"another beginning")

    made = client.folders.create("x")
    client.folders.push("x", top, progress=write)
    assert changed
    assert same(top, stored(server, made.id))
    assert left_aside(server, made.id) == []


@pytest.mark.parametrize("how", ["write", "grow", "shrink"])
def test_a_file_that_never_stops_changing_is_never_committed(client: Client, server: Api, top: Path, how: str) -> None:
    count = 0

    def write(progress: Progress) -> None:
        nonlocal count
        count += 1
        if progress.bytes > 0:
            with (top / "large").open("r+b") as file:
                if how == "shrink":
                    file.truncate(SIZE - count)
                else:
                    file.seek(0, os.SEEK_END if how == "grow" else os.SEEK_SET)
                    file.write(b"%d" % count)

    made = client.folders.create("x")
    with pytest.raises(Invalid) as refused:
        client.folders.push("x", top, progress=write)
    assert refused.value.code == "file-changed"
    assert not (stored(server, made.id) / "large").exists()
    assert left_aside(server, made.id) == [], "what has come of it is of no use"


def test_a_file_that_is_replaced_meanwhile_is_sent_as_it_is_then(client: Client, server: Api, top: Path) -> None:
    """By a rename, as programs do that write carefully."""

    def replace(progress: Progress) -> None:
        (top / "new").write_bytes(b"new")
        (top / "new").replace(top / "large")

    made = client.folders.create("x")
    client.folders.push("x", top / "large", progress=OnceLater(replace))
    assert (stored(server, made.id) / "large").read_bytes() == b"new"


class OnceLater:
    """Acts when the first bytes have moved."""

    def __init__(self, act: Callable[[Progress], None]) -> None:
        self._act: Callable[[Progress], None] | None = act

    def __call__(self, progress: Progress) -> None:
        if progress.bytes and self._act is not None:
            act, self._act = self._act, None
            act(progress)


def test_a_disk_too_full_is_told_before_anything_is_sent(client: Client, server: Api, top: Path) -> None:
    client.folders.create("x")
    server.services.folders._reserve = 1 << 60
    steps: list[Progress] = []
    with pytest.raises(Unavailable) as refused:
        client.folders.push("x", top, progress=steps.append)
    assert refused.value.code == "disk-full"
    assert steps[-1].bytes == 0


@past_the_api
@pytest.mark.parametrize("body", [b'{"offset": 0, "proof": "guessed"}', b'{"offset": 0}', b"rubbish"])
def test_who_cannot_prove_to_be_the_server_gets_no_content(client: Client, server: Api, top: Path, body: bytes) -> None:
    """On this port listens a program of another user, when the server is reached through a tunnel, say."""
    made = client.folders.create("x")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    other = Elsewhere(server.services, listen("127.0.0.1", 0), BulkSettings())
    other.start()
    server.services.parts.bulk = other
    with impostor(answer) as (port, heard):
        other.elsewhere = port
        assert client.folders.push("x", top).bytes == SIZE
    other.stop()
    assert same(top, stored(server, made.id))
    assert len(heard) == 1, "he was asked once"
    assert heard[0].startswith(b"GET ")
    assert len(heard[0]) < 2_000


@past_the_api
def test_a_listener_that_cannot_be_reached_is_done_without(client: Client, server: Api, top: Path) -> None:
    made = client.folders.create("x")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        nobody = sock.getsockname()[1]
    settings = BulkSettings(url=f"http://127.0.0.1:{nobody}")
    listener = BulkListener(server.services, listen("127.0.0.1", 0), settings)
    listener.start()
    server.services.parts.bulk = listener
    client.folders.push("x", top)
    listener.stop()
    assert same(top, stored(server, made.id))


@past_the_api
def test_a_listener_that_is_full_is_done_without(client: Client, server: Api, top: Path) -> None:
    """Nobody waits for a place there."""
    made = client.folders.create("x")
    listener = BulkListener(server.services, listen("127.0.0.1", 0), BulkSettings(user_connections=1))
    listener.start()
    server.services.parts.bulk = listener
    with listener._counted(server.administrator.user.id):
        client.folders.push("x", top)
    listener.stop()
    assert same(top, stored(server, made.id))


@past_the_api
def test_a_connection_that_is_cut_in_the_middle_is_gone_on_with(client: Client, server: Api, top: Path) -> None:
    made = client.folders.create("x")
    listener = server.services.parts.bulk
    assert listener is not None

    def cut(progress: Progress) -> None:
        for sock in list(listener._open):
            sock.shutdown(socket.SHUT_RDWR)

    steps: list[Progress] = []

    def tell(progress: Progress, once: OnceLater = OnceLater(cut)) -> None:  # noqa: B008  one for this test
        steps.append(progress)
        once(progress)

    done = client.folders.push("x", top, progress=tell)
    assert (done.bytes, steps[-1].bytes) == (SIZE, SIZE), "what was lost is not counted twice"
    assert same(top, stored(server, made.id))
    assert puts(server, "/v1/folders/{ref}/file") == 1, "all went past the API"
