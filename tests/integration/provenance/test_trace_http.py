"""Lineage over HTTP: the SDK's and the command line's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dais import Client
from dais.api.rest import all_routes
from dais.identity import Actor, authenticate
from dais.kit.database import Database, open_database
from dais.kit.ids import new_id
from dais.sdk.errors import DaisError, NotFound
from tests.support.database import sqlite_url
from tests.support.lineage import output, upload
from tests.support.serving import Api, api


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[tuple[Api, Database]]:
    with (
        sqlite_url() as url,
        closing(open_database(url)) as database,
        api(database, all_routes(), tmp_path) as running,
    ):
        actor: Actor = database.read_sync(authenticate, running.administrator.token.secret).actor
        texts = database.write_sync(upload, actor, "texts")
        both = database.write_sync(upload, actor, "both", ["@texts", "/texts"])
        model = database.write_sync(output, actor, new_id(), "model", [texts, both])
        database.write_sync(output, actor, new_id(), "report", [model, both])
        yield running, database


@pytest.fixture
def client(lake: tuple[Api, Database]) -> Iterator[Client]:
    with Client(lake[0].url, lake[0].administrator.token.secret) as connected:
        yield connected


def dais(lake: tuple[Api, Database], *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DAIS_URL": lake[0].url, "DAIS_TOKEN": lake[0].administrator.token.secret}
    command = [sys.executable, "-m", "dais", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_client_follows_both_ways(client: Client) -> None:
    back = client.lineage.backward("report", depth=2)
    assert [one.name for one in back.nodes] == ["report:1", "#7", "both:1", "model:1"]
    assert back.truncated
    assert "model:1" in {one.name for one in client.lineage.forward("texts:1").nodes}
    with pytest.raises(NotFound, match="no file set"):
        client.lineage.forward("nothing")
    with pytest.raises(NotFound):
        client.lineage.backward("job:12")
    with pytest.raises(DaisError, match="depth"):
        client.lineage.forward("texts", depth=1_000)


def test_the_command_prints_a_tree(lake: tuple[Api, Database]) -> None:
    told = dais(lake, "trace", "backward", "report")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith("report:1")
    assert lines[1] == "└── job #7 run 0  make report"
    assert any("(as above)" in line for line in lines)
    assert any("uploaded by" in line for line in lines)
    forward = dais(lake, "trace", "forward", "texts", "--depth", "1")
    assert "ask with a larger --depth" in forward.stderr
    document = json.loads(dais(lake, "trace", "forward", "texts", "--json").stdout)
    assert document["direction"] == "forward"
    assert {"source", "target", "kind"} == document["edges"][0].keys()
    assert dais(lake, "trace", "forward", "nothing").returncode != 0
    assert "job 12 is written job:12" in dais(lake, "trace", "backward", "12").stderr
