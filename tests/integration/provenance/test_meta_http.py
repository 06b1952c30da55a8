"""Metadata over HTTP: the API, the SDK and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from dais import Client
from dais.sdk.errors import DaisError, Invalid, NotFound
from dais.wire.meta import Condition
from tests.support.serving import Api, lake_api

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Api]:
    """An installation with a blob store."""
    with lake_api(tmp_path / "data") as running:
        yield running


@pytest.fixture
def client(site: Api, tmp_path: Path) -> Iterator[Client]:
    """With three file sets s0 … s2."""
    with Client(site.url, site.administrator.token.secret) as connected:
        for number in range(3):
            (tmp_path / f"{number}.txt").write_text("x" * (number + 1))
            connected.files.upload({str(tmp_path / f"{number}.txt"): f"/{number}.txt"})
            connected.filesets.create(f"s{number}", [f"/{number}.txt"])
            connected.meta.set("fileset", f"s{number}", {"model": "cnn", "accuracy": number / 10})
        yield connected


@pytest.fixture
def dais(site: Api, client: Client) -> Run:
    """Runs a command."""
    assert client is not None
    environment = {**os.environ, "DAIS_URL": site.url, "DAIS_TOKEN": site.administrator.token.secret}

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [sys.executable, "-m", "dais", *words], env=environment, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == code, ran.stderr
        return ran

    return run


def test_the_sdk(client: Client) -> None:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    done = client.meta.set("file", "/1.txt", {"at": moment, "note": "x"}, tags=["best"])
    assert (done.ref, done.tags, done.values["at"]) == (
        "/1.txt:1",
        ["best"],
        {"instant": "2026-01-31T00:00:00.000000Z"},
    )
    assert done.system["__size__"] == 2
    assert [one.ref for one in client.meta.get_many("fileset", ["s2", "s0:1"])] == ["s2:1", "s0:1"]
    assert [one.ref for one in client.find("fileset", "model=cnn max(accuracy)")] == ["s2:1"]
    assert [
        one.ref for one in client.find("fileset", Condition(key="accuracy", op="<", value=0.2), order="accuracy")
    ] == [
        "s0:1",
        "s1:1",
    ]
    assert [one.ref for one in client.find("file", "size>1", "created>2020-01-01", order="-size")] == [
        "/2.txt:1",
        "/1.txt:1",
    ]
    assert [one.ref for one in client.find("file", "#best at>=2026-01-31")] == ["/1.txt:1"]
    assert len(list(client.find("fileset", order="accuracy", limit=2))) == 2
    assert client.meta.count("fileset", "has(accuracy)") == 3
    gone = client.meta.rm("file", "/1.txt", keys=["note"], tags=["best", "none"])
    assert (gone.keys, gone.tags) == (1, 1)
    with pytest.raises(NotFound):
        client.meta.get("fileset", "nothing")
    with pytest.raises(Invalid, match="after model one of"):
        list(client.find("fileset", "model"))


def test_written_queries_and_what_is_wrong_with_them(site: Api, client: Client) -> None:
    assert client is not None
    headers = {"authorization": f"Bearer {site.administrator.token.secret}"}
    with httpx2.Client(base_url=site.url, headers=headers) as http:
        first = http.get("/v1/find", params={"kind": "fileset", "q": "model=cnn", "order": "-accuracy", "limit": 2})
        page = first.json()
        assert [one["ref"] for one in page["items"]] == ["s2:1", "s1:1"]
        rest = {"kind": "fileset", "q": "model=cnn", "order": "-accuracy", "cursor": page["cursor"]}
        assert [one["ref"] for one in http.get("/v1/find", params=rest).json()["items"]] == ["s0:1"]
        for query, code in (
            ({"kind": "fileset", "q": "model="}, "bad-query"),
            ({"kind": "filesets"}, "unknown-kind"),
            ({"kind": "file", "q": "__sise__>1"}, "unknown-key"),
            ({"kind": "file", "q": "path~'('"}, "bad-pattern"),
            ({"kind": "file", "cursor": "x"}, "bad-cursor"),
        ):
            refused = http.get("/v1/find", params=query)
            assert (refused.status_code, refused.json()["code"]) == (400, code)
        for deep in (10, 500, 50_000):
            where = '{"any": [' * deep + '{"key": "a", "op": "exists"}' + "]}" * deep
            text = '{"kind": "file", "where": [' + where + "]}"
            assert http.post("/v1/find", content=text).status_code == 400
        for text in ('{"values": {"a": NaN}}', '{"values": {"a": [1]}}', '{"values": {"a": null}}', '{"valus": {}}'):
            refused = http.patch("/v1/meta?kind=fileset&ref=s0", content=text)
            assert refused.status_code == 400


def test_the_commands(dais: Run) -> None:
    shown = json.loads(
        dais("meta", "set", "fileset", "s0", "depth=3", 'build="42"', "ok=true", "--tag", "best", "--json").stdout
    )
    assert shown["values"] == {"accuracy": 0, "build": "42", "depth": 3, "model": "cnn", "ok": True}
    assert "best" in dais("meta", "get", "fileset", "s0").stdout
    assert json.loads(dais("find", "fileset", "model=cnn", "max(accuracy)", "--json").stdout)[0]["ref"] == "s2:1"
    assert dais("find", "file", "size>1", "--sort", "-size", "--field", "ref").stdout.split() == [
        "/2.txt:1",
        "/1.txt:1",
    ]
    assert dais("find", "fileset", "has(model)", "--count").stdout == "3\n"
    assert json.loads(dais("find", "fileset", "#best", "--count", "--json").stdout) == {"count": 1}
    assert "removed 1 key, 1 tag" in dais("meta", "rm", "fileset", "s0", "depth", "--tag", "best").stderr
    wrong = dais("find", "fileset", "model=cnn acc", code=2).stderr
    assert "after acc one of" in wrong
    assert wrong.index("^") > wrong.index("model=cnn acc")
    assert "is no KEY=VALUE" in dais("meta", "set", "fileset", "s0", "best", code=2).stderr


def test_nobody_asks_without_a_token(site: Api) -> None:
    with Client(site.url, "dais_nothing") as nobody, pytest.raises(DaisError):
        list(nobody.find("file"))
