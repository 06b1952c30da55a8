"""Bad input is refused, or carried as it is, with words that help; afterwards the server is as well as before."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.installation import PATIENCE, Installation, script


@pytest.fixture(autouse=True)
def _well_afterwards(shared: Installation) -> Iterator[None]:
    yield
    assert shared.is_well(), shared.log()[-3000:]


@pytest.fixture(autouse=True, scope="module")
def _runs_jobs_afterwards(shared: Installation) -> Iterator[None]:
    yield
    assert shared.run("echo", "well").state == "SUCCEEDED"


def refused(installed: Installation, *arguments: str | bytes, cwd: Path | None = None, stdin: bytes = b"") -> str:
    """What a command says that is refused: short, and without a traceback."""
    result = installed.dais(*arguments, cwd=cwd, stdin=stdin)
    said = result.stderr.decode()
    assert result.returncode in (1, 2, 125), (result.returncode, said)
    assert "Traceback" not in said
    assert "fault of Dais" not in said
    assert len(said.strip().splitlines()) <= 4, said
    return said


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("job", "submit", "--mmem", "1", "--", "true"), ("--mmem", "--mem")),
        (("jbo", "ls"), ("jbo", "job")),
        (("job", "sumbit", "--", "true"), ("sumbit", "submit")),
        (("job", "submit", "--cpu", "-1", "--", "true"), ("--cpu", "-1")),
        (("job", "submit", "--cpu", "nan", "--", "true"), ("--cpu", "nan")),
        (("job", "submit", "--mem", "-5", "--", "true"), ("--mem", "-5")),
        (("job", "submit", "--mem", "1e30", "--", "true"), ("--mem", "1e30")),
        (("job", "submit", "--mem", "banana", "--", "true"), ("--mem", "banana", "100Mi")),
        (("job", "submit", "--cpu", "5000", "--", "true"), ("5000", "largest")),
        (("job", "submit", "--gpu", "64", "--", "true"), ("64 gpu", "largest")),
        (("job", "submit", "--max-run-time", "-1h", "--", "true"), ("--max-run-time", "-1h")),
        (("job", "submit", "--", "true", *["x" * 120_000] * 10), ("command", "bytes")),
        (("job", "submit"), ("command",)),
        (("job", "submit", "--name", "a\nb", "--", "true"), ("--name", "a\\nb")),
        (("job", "submit", "--name", "<script>alert(1)</script>", "--", "true"), ("--name", "<script>")),
        (("job", "submit", "-d", "digits:/", "--", "true"), ("--data", "'/'")),
        (("job", "submit", "-d", "digits:/data/../../etc", "--", "true"), ("--data", "..")),
        (("job", "submit", "-d", "digits/../other:/data", "--", "true"), ("--data", "..")),
        (("job", "submit", "-d", "digits:/etc", "--", "true"), ("--data", "/etc")),
        (("job", "submit", "-d", "digits:data", "--", "true"), ("--data", "data")),
        (("job", "submit", "-d", "nowhere:/data", "--", "true"), ("nowhere",)),
        (("job", "submit", "-e", "DAIS_JOB_ID=7", "--", "true"), ("DAIS_JOB_ID",)),
        (("job", "submit", "-e", "1A=7", "--", "true"), ("1A",)),
        (("job", "info", "no-such-job"), ("no-such-job",)),
        (("job", "logs", "\u202egnp.exe"), ("\\u202e",)),
        (("folder", "new", "a/../b"), ("a/../b",)),
        (("folder", "new", "bad\nname"), ("bad\\nname",)),
    ],
)
def test_a_command_line(shared: Installation, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    said = refused(shared, *arguments)
    for word in words:
        assert word in said, said
    assert "\x1b" not in said


@pytest.mark.parametrize(
    "text, words",
    [
        ("command: [true]\nresources:\n  cpu: [1\nname: x\n", (":4:",)),
        ("command: [a\n\tb]\n", (":2:",)),
        ("comand: [true]\n", (":1:", "comand", "command")),
        ("command: [true]\nresources:\n  mem: 1\n  cpus: 2\n", (":4:", "cpus", "cpu")),
        ("command: [true]\nresources:\n  cpu: -3\n", (":3:", "-3")),
        ("command: [true]\ndata: [{name: x, target: /}]\n", (":2:", "'/'")),
        ("- just\n- a list\n", ("mapping",)),
        ("command: [true]\ncommand: [false]\n", (":2:", "command")),
        ("command: [true]\nname: !!python/object/apply:os.system [id]\n", (":2:",)),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ("a",)),
        ('command: ["\\0"]\n', ("NUL",)),
        ("\x00\x01", ("",)),
    ],
)
def test_a_file(shared: Installation, tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / "job.yml").write_text(text)
    said = refused(shared, "job", "submit", "-f", "job.yml", cwd=tmp_path)
    for word in words:
        assert word in said, said


def test_a_file_that_grows_without_end_is_refused(shared: Installation) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    refused(shared, "job", "submit", "-f", "-", stdin="\n".join(levels).encode())


def test_arguments_that_are_not_utf_8(shared: Installation) -> None:
    said = refused(shared, "job", "submit", "--", "echo", b"\xff\xfe")
    assert "UTF-8" in said


@pytest.mark.parametrize(
    "body, code, words",
    [
        (b"", 400, ()),
        (b"{", 400, ()),
        (b'{"command": ["true"], "comand": 1}', 400, ("comand",)),
        (b'{"command": "true"}', 400, ("command",)),
        (b'{"command": []}', 400, ("command",)),
        (b'{"command": ["a\\u0000b"]}', 400, ("NUL",)),
        (b'{"command": ["\\ud800"]}', 400, ()),
        (b"\xff\xfe{}", 400, ()),
        (b'{"command": ["true"], "resources": {"cpu": -1}}', 400, ("cpu",)),
        (b'{"command": ["true"], "resources": {"cpu": 1e999}}', 400, ("cpu",)),
        (b'{"command": ["true"], "resources": {"mem": 99999999999999999999999999}}', 400, ("mem",)),
        (b'{"command": ["true"], "data": [{"name": "x", "target": "/../etc"}]}', 400, ("..",)),
        (b'{"command": ["true"], "name": "a\\nb"}', 400, ("name",)),
        (b'{"command": ["true"], "source": "../../etc/passwd"}', 400, ("source",)),
        (b'{"command": ["true"], "source": "blake3:%s"}' % (b"0" * 64), 404, ("source",)),
        (b"[" * 100_000, 400, ()),
        (b'{"command": ["' + b"x" * (10 << 20) + b'"]}', 413, ("bytes",)),
    ],
)
def test_a_request(shared: Installation, body: bytes, code: int, words: tuple[str, ...]) -> None:
    answer = shared.ask("POST", "/v1/jobs", body, headers={"Content-Type": "application/json"})
    assert answer.status == code or (code == 400 and answer.status == 422), (answer.status, answer.body[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert set(problem) >= {"type", "title", "status", "code"}
    for word in words:
        assert word in problem.get("detail", ""), problem
    assert len(answer.body) < 4_000, "a problem does not send back all that was wrong"


def test_a_ten_megabyte_command_is_refused_by_the_client(shared: Installation, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"command": ["echo", "x" * (10 << 20)]}))
    said = refused(shared, "job", "submit", "-f", "job.json", cwd=tmp_path)
    assert "larger than" in said
    assert len(said) < 2_000


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/jobs/%00%ff%2e%2e%2f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_hardly_http(shared: Installation, raw: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=PATIENCE)
    connection.connect()
    connection.sock.sendall(raw)
    with contextlib.suppress(ConnectionResetError):  # who is not read to the end may be reset
        connection.sock.shutdown(1)
        while connection.sock.recv(65536):
            pass
    connection.close()
    assert shared.ask("GET", "/v1/health", token="").status == 200


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", "a\0b", "", ".", "a//../..", "x" * 5_000])
def test_a_path_that_leads_outside_of_a_folder(shared: Installation, path: str) -> None:
    folder = _folder(shared)
    answer = shared.put(folder, path, b"out")
    assert answer.status in (400, 422), answer.body
    assert shared.ask("GET", f"/v1/folders/{folder}/entries?recursive=true").json["items"] == []


def test_links_in_what_a_job_left_lead_nowhere(shared: Installation) -> None:
    folder = shared.folder("trap")
    made = shared.run(
        *script("cd /f && ln -s /etc etc && ln -s ../../.. up && ln -s /etc/passwd p && ln -s loop loop && ls"),
        data=["trap:/f"],
    )
    assert made.state == "SUCCEEDED"
    for path in ("p", "etc/passwd", "up/dais.db", "loop", "etc/hosts"):
        answer = shared.ask("GET", f"/v1/folders/{folder}/file?path={quote(path)}")
        assert answer.status in (400, 404, 409, 422), (path, answer.body)
        assert b"root:" not in answer.body
    for path in ("etc/new", "up/new", "p"):
        answer = shared.put(folder, path, b"x")
        assert answer.status in (200, 400, 404, 409, 422), (path, answer.body)
    assert not (shared.data / "new").exists()
    assert not Path("/etc/new").exists()
    assert b"root:" in Path("/etc/passwd").read_bytes()
    inside = shared.submit("true", data=["trap/etc:/f"])
    ended = shared.wait(inside.id)
    assert ended.state == "FAILED", "a folder's link to the machine's /etc was mounted"


def test_a_link_to_the_outside_in_a_source_is_refused(shared: Installation, tmp_path: Path) -> None:
    here = tmp_path / "source"
    here.mkdir()
    (here / "main.py").write_text("print('main')")
    (here / "secret").symlink_to("/etc/shadow")
    said = refused(shared, "run", "--", "python3", "main.py", cwd=here)
    assert "secret" in said
    assert "outside" in said
    (here / "secret").unlink()
    (here / "inside").symlink_to("main.py")
    good = shared.dais("run", "--", "python3", "inside", cwd=here)
    assert (good.returncode, good.stdout) == (0, b"main\n"), good.stderr


def test_a_link_to_the_outside_in_a_pushed_directory_is_refused(shared: Installation, tmp_path: Path) -> None:
    here = tmp_path / "tree"
    here.mkdir()
    (here / "file").write_text("content")
    (here / "outside").symlink_to("../../../../etc/passwd")
    shared.folder("pushed")
    said = refused(shared, "folder", "push", "pushed", str(here))
    assert "outside" in said


def test_output_that_is_not_utf_8_is_carried_intact(shared: Installation) -> None:
    wanted = bytes(range(256)) * 300 + b"\xff\xfe\x00 no newline at the end"
    job = shared.submit(
        "python3",
        "-c",
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 300 + b'\\xff\\xfe\\x00 no newline at the end')",
    )
    assert shared.wait(job.id).state == "SUCCEEDED"
    assert shared.output(job.id) == wanted
    printed = shared.dais("job", "logs", job.id)
    assert (printed.returncode, printed.stdout) == (0, wanted)
    followed = shared.dais("job", "logs", "-f", job.id)
    assert (followed.returncode, followed.stdout) == (0, wanted)


def test_text_with_markup_and_control_characters_is_carried_and_shown_harmless(shared: Installation) -> None:
    nasty = "<b>&\x1b]0;owned\x07\u202e\r\n'\""
    job = shared.submit("printf", "%s", nasty, tags={"note": "<script>"}, environment={"NASTY": nasty})
    assert shared.wait(job.id).state == "SUCCEEDED"
    assert shared.output(job.id) == nasty.encode()
    listed = shared.dais("job", "ls")
    assert listed.returncode == 0
    assert b"\x1b]0;" not in listed.stdout
    assert len([line for line in listed.stdout.splitlines() if job.id.encode() in line]) == 1
    shown = shared.dais("job", "info", job.id)
    assert shown.returncode == 0
    assert b"\x1b]0;" not in shown.stdout
    document = json.loads(shared.dais("job", "info", job.id, "--json").stdout)
    assert document["command"][-1] == nasty


def test_the_working_directory_of_the_client_may_be_gone(shared: Installation, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    run = shared.dais("job", "ls", cwd=gone)
    assert run.returncode == 0
    result = os.spawnve(  # noqa: S606 (a shell is the shortest way into a directory that is gone)
        os.P_WAIT, "/bin/sh", ["sh", "-c", f"cd {gone} && rmdir {gone} && exec true"], shared.environment
    )
    assert result == 0


def test_tokens_are_refused_in_a_way_that_tells_nothing(shared: Installation) -> None:
    for token in ("wrong", "dais_user_" + "x" * 43, "\u00e9".encode().decode("latin-1"), "x" * 60_000):
        answer = shared.ask("GET", "/v1/me", token=token)
        assert answer.status in (400, 401, 431), answer.body
        assert token.encode()[:20] not in answer.body


def _folder(installed: Installation) -> str:
    """A folder that is empty, made once."""
    answer = installed.ask("POST", "/v1/folders", {"name": "empty"})
    if answer.status == 409:
        answer = installed.ask("GET", "/v1/folders/empty")
    found: Any = answer.json["id"]
    return str(found)
