"""A pair of an access key and a secret stands in a token's place, whatever is asked for, and shows up nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import Installation, script


@pytest.fixture
def pair(shared: Installation) -> str:
    made = shared.dais("user", "key", "new", "--pair", "--label", "robot", "--expires", "1d", "--json")
    assert made.returncode == 0, made.stderr
    secret: str = json.loads(made.stdout)["secret"]
    assert secret.startswith("DAIS")
    return secret


def test_commands_uploads_and_commands_in_jobs_are_signed(shared: Installation, pair: str, tmp_path: Path) -> None:
    signing: Any = {"DAIS_TOKEN": pair, "DAIS_URL": shared.url}
    me = shared.dais("me", "--json", **signing)
    assert me.returncode == 0, me.stderr
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "small").write_text("small\n")
    (tmp_path / "files" / "large").write_bytes(bytes(range(256)) * (20 << 12))  # 20 MiB: in pieces
    pushed = shared.dais("folder", "new", "signed", "./files", cwd=tmp_path, **signing)
    assert pushed.returncode == 0, pushed.stderr
    pulled = shared.dais("folder", "pull", "signed", ".", "./back", cwd=tmp_path, **signing)
    assert pulled.returncode == 0, pulled.stderr
    for name in ("small", "large"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "files" / name).read_bytes()
    run = shared.dais("run", "--no-source", "--", "echo", "hello", **signing)
    assert (run.returncode, run.stdout) == (0, b"hello\n"), run.stderr
    job = shared.submit(*script("echo up; sleep 600"))
    shared.wait_output(job, b"up")
    inside = shared.dais("job", "exec", job.id, "--", "echo", "inside", **signing)
    assert (inside.returncode, inside.stdout) == (0, b"inside\n"), inside.stderr
    assert shared.dais("job", "kill", job.id, **signing).returncode == 0


def test_a_wrong_secret_is_refused_and_said_where_it_is_from(shared: Installation, pair: str) -> None:
    wrong = pair[:-1] + ("A" if pair[-1] != "A" else "B")
    refused = shared.dais("me", DAIS_TOKEN=wrong, DAIS_URL=shared.url)
    assert refused.returncode != 0
    assert b"DAIS_TOKEN" in refused.stderr


def test_a_narrowed_pair_does_no_more_than_it_says(shared: Installation) -> None:
    made = shared.dais("user", "key", "new", "--pair", "--allow", "job:get+account:get@*", "--field", "secret")
    assert made.returncode == 0, made.stderr
    signing: Any = {"DAIS_TOKEN": made.stdout.decode().strip(), "DAIS_URL": shared.url}
    assert shared.dais("job", "ls", **signing).returncode == 0
    refused = shared.dais("run", "--no-source", "--", "true", **signing)
    assert refused.returncode != 0
    assert b"may not job:new" in refused.stderr


def test_the_secret_is_nowhere_on_the_server(shared: Installation, pair: str) -> None:
    secret = pair.partition(":")[2].encode()
    assert shared.dais("me", DAIS_TOKEN=pair, DAIS_URL=shared.url).returncode == 0
    listed = shared.dais("user", "key", "ls", "--json")
    assert pair.partition(":")[0].encode() in listed.stdout
    assert secret not in listed.stdout
    for path in shared.data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secret not in path.read_bytes(), path
