"""How commands print what they found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.cli.program import cli
from tests.support.tiny_api import Asked, Reply, TinyApi, job, problem, tiny_api
from tests.support.tiny_api import json as answer
from tests.support.tiny_api import run as a_run

ID = job()["id"]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyApi]:
    with tiny_api() as tiny:
        monkeypatch.setenv("DAIS_URL", tiny.url)
        monkeypatch.setenv("DAIS_TOKEN", "dais_user_x")
        jobs = [
            job("SUCCEEDED", exit_code=0, runs=[a_run(exit_code=1), a_run(exit_code=0, index=1)]),
            job("RUNNING", number=2, name=None, command=["bash", "-c", "a\x1b[31m\nb"], tags={}, runs=[a_run()]),
        ]
        tiny.on("GET", "/v1/jobs", answer({"items": jobs}))
        tiny.on("GET", f"/v1/jobs/{ID}", answer(jobs[0]))
        tiny.on("GET", "/v1/jobs/last", answer(jobs[0]))
        yield tiny


def printed(capsys: pytest.CaptureFixture[str], *line: str, code: int = 0) -> str:
    assert cli(line) == code
    return capsys.readouterr().out


def test_text(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "job", "ls").splitlines()
    assert lines[0].split() == ["id", "state", "name", "created", "command", "runs.exitCode"]
    assert lines[1].split() == [ID, "SUCCEEDED", "train", "2026-11-22T05:00:00Z", "[python", "train.py]", "1,0"]
    assert lines[2].endswith("[bash -c a\\x1b[31m\\nb]  -")
    assert len(lines) == 3
    assert len(printed(capsys, "job", "ls", "--no-header").splitlines()) == 2


def test_json(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "job", "ls", "--json"))
    assert [one["number"] for one in found] == [1, 2]
    lines = printed(capsys, "job", "ls", "--format", "json", "--fields", "id,runs.exitCode").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": ID, "runs.exitCode": [1, 0]},
        {"id": ID, "runs.exitCode": [None]},
    ]
    one = json.loads(printed(capsys, "job", "get", ID, "--json"))
    assert one["spec"] == {"command": ["python", "train.py"]}


def test_values_of_people_are_shown_as_they_write_them(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"ok": True, "when": {"instant": "2026-01-31T00:00:00.000000Z"}, "size": 3, "a": "b"}
    found = {
        "kind": "file",
        "id": ID,
        "ref": "/a:1",
        "account": "a.b",
        "created_by": "u",
        "created_at": "",
        "system": {},
    }
    api.on("POST", "/v1/find", answer({"items": [{**found, "values": values, "tags": []}]}))
    text = printed(capsys, "find", "file", "--fields", "values", "-H")
    assert text == "ok=true,when=2026-01-31T00:00:00Z,size=3,a=b\n"
    assert printed(capsys, "find", "file", "-n", "1").count("\n") == 2


def test_csv_and_table(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "job", "ls", "--format", "csv", "--fields", "number,name,command")
    assert text.splitlines()[:2] == ["number,name,command", '1,train,"[""python"", ""train.py""]"']
    table = printed(capsys, "job", "ls", "--format", "table")
    assert "│ SUCCEEDED" in table
    assert "\x1b" not in table


@pytest.mark.parametrize(
    "field, value",
    [
        ("id", ID),
        ("state", "SUCCEEDED"),
        ("runs.exitCode", "1,0"),
        ("exit_code", "0"),
        ("created", "2026-11-22T05:00:00.123456Z"),
        ("createdAt", "2026-11-22T05:00:00.123456Z"),
        ("command", '["python", "train.py"]'),
        ("tags", '{"k": "v"}'),
        ("tags.k", "v"),
        ("mem", str(1 << 30)),
        ("cpu", "1"),
        ("alive", "false"),
        ("reason", ""),
        ("spec.command", '["python", "train.py"]'),
    ],
)
def test_a_field_is_printed_alone(api: TinyApi, capsys: pytest.CaptureFixture[str], field: str, value: str) -> None:
    assert printed(capsys, "job", "get", "--last", "--field", field) == f"{value}\n"


def test_what_is_listed_by_default(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "job", "ls")
    assert api.asked[-1].query["me"] == "true"
    assert "since" in api.asked[-1].query
    printed(capsys, "job", "ls", "--state", "alive,failed", "-N", "x", "--tag", "k=v", "-r", "-n", "5")
    query = dict(api.asked[-1].query)
    assert query == {
        "me": "true",
        "state": "alive,failed",
        "name": "x",
        "tag": "k=v",
        "order": "oldest",
        "limit": "5",
    }
    printed(capsys, "job", "ls", "--account", "acme.vision", "--since", "2026-11-22T05:00:00+01:00")
    assert api.asked[-1].query["account"] == "acme.vision"
    assert api.asked[-1].query["since"] == "2026-11-22T04:00:00.000000Z"
    assert "me" not in api.asked[-1].query
    printed(capsys, "job", "ls", "--everyone")
    assert "me" not in api.asked[-1].query
    printed(
        capsys, "job", "ls", "--owner", "ann", "--text", "Res", "--type", "batch", "--group", "big", "--since", "7d"
    )
    query = dict(api.asked[-1].query)
    del query["limit"], query["since"]
    assert query == {"owner": "ann", "text": "Res", "type": "batch", "group": "big"}


def test_info_is_yaml_that_submits_again(api: TinyApi, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = printed(capsys, "job", "info", "--last")
    assert "index: 0" in text
    assert "number: 1" in text
    path = tmp_path / "job.yml"
    path.write_text(printed(capsys, "job", "info", ID, "--job-spec"))

    def made(asked: Asked) -> Reply:
        return Reply(job("PENDING"), 201)

    api.on("POST", "/v1/jobs", made)
    out = printed(capsys, "job", "submit", "-f", str(path), "-e", "A=no", "--cpu", "500m", "--field", "id")
    assert out == f"{ID}\n"
    sent = api.asked[-1].json
    assert sent["command"] == ["python", "train.py"]
    assert sent["environment"] == {"A": "no"}
    assert sent["resources"]["cpu"] == 0.5


@pytest.mark.parametrize(
    "line, command",
    [
        ("job submit -i host code-server -- --host 0.0.0.0", ["code-server", "--host", "0.0.0.0"]),
        ("job submit -- git checkout -- x", ["git", "checkout", "--", "x"]),
        ("job submit python train.py --epochs 3", ["python", "train.py", "--epochs", "3"]),
        ("job new --name a -- --odd", ["--odd"]),
    ],
)
def test_where_the_command_begins(
    api: TinyApi, capsys: pytest.CaptureFixture[str], line: str, command: list[str]
) -> None:
    api.on("POST", "/v1/jobs", answer(job("PENDING"), 201))
    printed(capsys, *line.split())
    assert api.asked[-1].json["command"] == command


def test_dry_run_submits_nothing(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    def checked(asked: Asked) -> Reply:
        assert asked.query["dry_run"] == "true"
        return Reply({"spec": asked.json, "account": "local.ann", "group": "default", "warnings": ["mind\x1b[2J"]})

    api.on("POST", "/v1/jobs", checked)
    assert cli(["job", "submit", "--dry-run", "--mem", "16", "--", "true"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "command:\n- 'true'\nresources:\n  mem: 16\n"
    assert "mind\\x1b[2J" in shown.err


def test_a_refused_token_says_where_it_came_from(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/v1/me", lambda _: problem(401, "bad-token", "the token is not known"))
    assert cli(["me"]) == 1
    err = capsys.readouterr().err
    assert "the token is not known" in err
    assert "came from the environment variable DAIS_TOKEN" in err


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAIS_URL", "http://127.0.0.1:9")
    assert cli(["job", "ls"]) == 1
    assert "is it up? start it with `dais up`" in capsys.readouterr().err
    assert cli(["run", "--no-source", "--", "true"]) == 125


def test_hostile_words_of_the_server_cannot_steer_the_terminal(
    api: TinyApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/v1/me", lambda _: problem(400, "x", "bad \x1b]0;title\x07 thing"))
    assert cli(["me"]) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_a_port_is_exposed_by_the_name_that_the_job_gives_it(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"command": ["serve"], "ports": [{"name": "web", "port": 8080}]}
    api.on("GET", "/v1/jobs/demo", answer(job(spec=spec)))
    api.on("POST", "/v1/jobs/demo/expose", lambda asked: Reply({"job": "demo", "ports": [asked.json["port"]]}))
    assert json.loads(printed(capsys, "job", "expose", "demo", "web", "--json"))["ports"] == [8080]
    assert cli(["job", "expose", "demo", "board"]) == 2
    assert "job demo has no port 'board': it names web;" in capsys.readouterr().err
