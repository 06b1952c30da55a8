"""`dais up`, `dais status` and `dais down` as a person runs them: what is there afterwards, and what is said."""

from __future__ import annotations

import http.client
import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import dais
from dais.sdk.installation import find_installation
from tests.support.operator import PATIENCE, ROOT, Operated, operated
from tests.support.postgres import Cluster

__all__ = ["operated"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_up_in_the_background_and_down(operated: Operated) -> None:
    started = operated.up()
    assert started["version"] == dais.__version__
    assert started["data_dir"] == str(operated.data_dir)
    code, status = operated.status()
    assert code == 0
    assert (status["state"], status["pid"], status["url"]) == ("running", started["pid"], started["url"])
    assert set(status) >= {"pid", "url", "version", "data_dir"}
    profiles = operated.config_dir / "profiles.toml"
    assert (mode(operated.data_dir), mode(profiles)) == (0o700, 0o600)
    assert [mode(operated.data_dir / name) for name in ("server.json", "dais.lock")] == [0o600, 0o600]
    me = operated.dais("me", "--json")
    assert json.loads(me.stdout)["account"] == "local.ann", me.stderr

    down = operated.dais("down", "--json")
    assert (down.returncode, json.loads(down.stdout)["state"]) == (0, "stopped")
    code, status = operated.status()
    assert (code, status["state"], status["stale"]) == (3, "stopped", False)
    assert not (operated.data_dir / "server.json").exists()
    again = operated.dais("down")
    assert (again.returncode, "does not run" in again.stdout) == (0, True)


def test_up_in_the_foreground_tells_where_it_is_and_ends_when_told(operated: Operated) -> None:
    with operated.start("--port", "0") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = find_installation(operated.data_dir)
        assert found.url is not None
        assert found.url in first
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.stderr is not None
        errors = process.stderr.read()
        process.wait(PATIENCE)
    assert process.returncode == 0, errors
    assert "profiles.toml" in rest
    assert "dais run -- python train.py" in rest
    assert "Traceback" not in errors
    assert find_installation(operated.data_dir).state == "stopped"


def test_the_token_is_written_once_and_the_address_follows(operated: Operated) -> None:
    first = operated.up()
    profiles = operated.config_dir / "profiles.toml"
    token = next(line for line in profiles.read_text().splitlines() if line.startswith("token"))
    operated.dais("down")
    second = operated.up()
    assert first["url"] != second["url"]
    text = profiles.read_text()
    assert token in text
    assert second["url"] in text
    assert first["url"] not in text
    assert "administrator's token" in first["notes"][0]
    assert "points to" in second["notes"][0]
    assert operated.dais("me").returncode == 0


def test_another_servers_profile_is_left_alone(operated: Operated) -> None:
    operated.config_dir.mkdir()
    profiles = operated.config_dir / "profiles.toml"
    theirs = '["default"]\nurl = "https://dais.example.org"\ntoken = "theirs"\n'
    profiles.write_text(theirs)
    started = operated.up()
    assert "--profile local" in started["notes"][0]
    assert 'token = "theirs"' in profiles.read_text()
    assert operated.dais("me", "--profile", "local").returncode == 0


def test_a_token_that_cannot_be_put_into_the_profile_file_is_not_lost(operated: Operated) -> None:
    operated.config_dir.write_text("a file in the place of the directory")
    started = operated.up()
    kept = operated.data_dir / "administrator-token"
    assert str(kept) in started["notes"][0]
    assert mode(kept) == 0o600
    me = operated.dais(
        "me", DAIS_CONFIG_DIR=str(operated.home / "other"), DAIS_URL=started["url"], DAIS_TOKEN=kept.read_text()
    )
    assert me.returncode == 0, me.stderr


def test_a_lost_token_is_made_again(operated: Operated) -> None:
    operated.up()
    operated.dais("down")
    profiles = operated.config_dir / "profiles.toml"
    before = profiles.read_text()
    profiles.unlink()
    operated.up("--new-token")
    assert profiles.read_text() != before
    assert json.loads(operated.dais("me", "--json").stdout)["administrator"] is True


def test_a_second_server_is_told_of_the_first(operated: Operated) -> None:
    started = operated.up()
    for how in ((), ("--detach",)):
        second = operated.dais("up", "--port", "0", *how)
        assert second.returncode == 1
        assert str(started["pid"]) in second.stderr
        assert started["url"] in second.stderr
        assert len(second.stderr.splitlines()) == 1
    assert operated.status()[0] == 0


def test_of_many_at_once_one_comes_up(operated: Operated) -> None:
    command = [sys.executable, "-m", "dais", "up", "--detach", "--port", "0"]
    many = [subprocess.Popen(command, env=operated.environment, stdout=-1, stderr=-1, text=True) for _ in range(4)]
    said = [process.communicate(timeout=PATIENCE) for process in many]
    assert sorted(process.returncode for process in many) == [0, 1, 1, 1], said
    assert operated.status()[0] == 0


def test_a_killed_server_is_seen_and_comes_back_at_once(operated: Operated) -> None:
    operated.up()
    operated.kill()
    code, status = operated.status()
    assert (code, status["state"], status["stale"]) == (3, "stopped", True)
    assert "without tidying up" in operated.dais("status").stdout
    operated.up()
    assert operated.status()[0] == 0
    assert operated.dais("me").returncode == 0


def test_a_server_that_is_told_to_stop_while_it_is_followed_stops(operated: Operated) -> None:
    operated.up()
    client = """
import dais, sys
with dais.Client() as client:
    job = client.jobs.submit(command=["sleep", "1000"])
    print(job.id, flush=True)
    for _ in client.jobs.logs(job.id, follow=True): pass
"""
    follower = subprocess.Popen(
        [sys.executable, "-c", client], env=operated.environment, stdout=-1, stderr=-1, text=True
    )
    try:
        assert follower.stdout is not None
        assert follower.stdout.readline()
        down = operated.dais("down")
        assert down.returncode == 0, down.stderr
    finally:
        follower.kill()
        follower.communicate()


def test_the_log_is_json_and_holds_no_secret(operated: Operated) -> None:
    started = operated.up()
    profiles = (operated.config_dir / "profiles.toml").read_text()
    secret = next(line for line in profiles.splitlines() if line.startswith("token")).split('"')[1]
    asked = operated.dais("version", DAIS_URL=f"{started['url']}")
    assert asked.returncode == 0
    connection = http.client.HTTPConnection("localhost", int(started["url"].rpartition(":")[2]), timeout=PATIENCE)
    connection.request("GET", f"/v1/me?token={secret}&private=words")
    assert connection.getresponse().status == 401
    connection.close()
    lines = Path(started["log"]).read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert any("has been revoked" in event["event"] for event in events)
    assert not [line for line in lines if secret in line or "private" in line]


def test_it_works_on_postgresql(operated: Operated, postgres_cluster: Cluster) -> None:
    with postgres_cluster.database() as url:
        try:
            operated.up(DAIS_DATABASE_URL=url)
            result = operated.dais("run", "--no-source", "--", "echo", "hello")
            assert (result.returncode, "hello" in result.stdout) == (0, True), result.stderr
            operated.kill()
            operated.up(DAIS_DATABASE_URL=url)
            again = operated.dais("run", "--no-source", "--", "echo", "again")
            assert (again.returncode, "again" in again.stdout) == (0, True), again.stderr
        finally:
            operated.close()
    assert not (operated.data_dir / "dais.db").exists()


def test_a_missing_server_extra_is_named(operated: Operated) -> None:
    blocked = operated.home / "blocked"
    (blocked / "sqlalchemy").mkdir(parents=True)
    (blocked / "sqlalchemy" / "__init__.py").write_text("raise ModuleNotFoundError('no', name='sqlalchemy')")
    result = operated.dais("up", PYTHONPATH=f"{blocked}:{ROOT / 'src'}")
    assert result.returncode == 1
    assert "dais-platform[server]" in result.stderr
    assert "Traceback" not in result.stderr
