"""What monitoring sees: figures for Prometheus, readiness, ids of requests; and who may see it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.installation import PATIENCE, Installation, installation
from tests.support.supervisor import until

SECRET = "watch-" + "w" * 40


@pytest.fixture(scope="module")
def watched() -> Iterator[Installation]:
    settings = {"DAIS_SERVER_METRICS_TOKEN": SECRET, "DAIS_SERVER_ACCESS_LOG": "1"}
    with installation(settings=settings) as running:
        yield running


def figures(of: Installation, token: str | None = None) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    answer = of.ask("GET", "/metrics", token=token)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_figures_tell_of_requests_jobs_database_and_process(watched: Installation) -> None:
    before = figures(watched)
    done = watched.run("true")
    failed = watched.run("false")
    watched.ask("GET", f"/v1/jobs/{done.id}")
    watched.ask("GET", "/v1/nothing/here")
    after = figures(watched)

    def grew(*key: str) -> float:
        return after.get(key, 0.0) - before.get(key, 0.0)

    assert grew("dais_http_requests_total", "POST", "/v1/jobs", "201") == 2
    assert grew("dais_http_requests_total", "", "(none)", "404") == 1
    assert grew("dais_http_request_seconds_count", "POST", "/v1/jobs") == 2
    assert grew("dais_job_changes_total", "completed", "SUCCEEDED") == 1
    assert grew("dais_job_changes_total", "exit-code", "FAILED") == 1
    assert grew("dais_database_commit_seconds_count") > 4
    assert grew("dais_database_commit_verbs_sum") >= grew("dais_database_commit_seconds_count")
    assert grew("dais_tick_seconds_count", "default") > 1
    assert after["dais_engine_connected", "default"] == 1
    assert after["dais_jobs", "default", "RUNNING"] == 0
    assert after["dais_disk_free_bytes",] > 0
    assert after["process_resident_memory_bytes",] > 1 << 20
    assert failed.id not in watched.ask("GET", "/metrics").body.decode()


def test_a_queue_that_waits_shows(watched: Installation) -> None:
    holding = watched.submit("sleep", "60", cpu=os.cpu_count())
    waiting = watched.submit("true", cpu=os.cpu_count())
    until(lambda: figures(watched)["dais_jobs", "default", "RUNNING"] == 1, "the first runs")
    now = figures(watched)
    assert now["dais_jobs", "default", "PENDING"] == 1
    assert now["dais_queue_oldest_seconds", "default"] > 0
    for job in (holding, waiting):
        watched.client().jobs.kill(job.id)
        watched.wait(job.id)


def test_figures_are_for_administrators_and_their_own_token(watched: Installation) -> None:
    assert watched.ask("GET", "/metrics", token="").status == 401
    assert watched.ask("GET", "/metrics", token=SECRET[:-1]).status == 401
    assert figures(watched, SECRET)
    assert watched.ask("GET", "/v1/jobs", token=SECRET).status == 401


def test_every_answer_names_its_request_and_so_do_problems_and_the_log(watched: Installation) -> None:
    good = watched.ask("GET", "/v1/me")
    bad = watched.ask("GET", "/v1/jobs/nothing-of-that-name")
    ids = [answer.headers["x-request-id"] for answer in (good, bad)]
    assert len(set(ids)) == 2
    assert bad.json["instance"] == f"urn:dais:request:{ids[1]}"

    def lines() -> list[Any]:
        said = [json.loads(line) for line in watched.log().splitlines()]
        return [line for line in said if line.get("request") == ids[1] and "route" in line]

    until(lambda: len(lines()) == 1, "the request is logged")
    (found,) = lines()
    assert (found["method"], found["route"], found["status"]) == ("GET", "/v1/jobs/{ref}", 404)
    assert found["ms"] >= 0
    assert re.fullmatch(r"[0-9a-f-]{36}", found["user"])
    assert "nothing-of-that-name" not in json.dumps(found)
    assert watched.token not in watched.log()
    assert SECRET not in watched.log()


def test_ready_says_what_is_not(own: Installation) -> None:
    good = own.ask("GET", "/v1/ready", token="")
    assert good.json == {
        "status": "ready",
        "checks": {"database": "ok", "schema": "ok", "engines": "ok", "server": "ok"},
        "away": [],
    }
    supervisor = own.supervisor()
    os.kill(supervisor, signal.SIGSTOP)  # it keeps its lock, and answers nobody
    own.stop()
    os.kill(supervisor, signal.SIGCONT)
    own.start()
    with sqlite3.connect(own.data / "dais.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        until(lambda: own.ask("GET", "/v1/ready", token="").status == 503, "it sees that the database takes no writes")
        bad = own.ask("GET", "/v1/ready", token="")
        assert bad.json["code"] == "not-ready"
        assert bad.json["fields"]["checks"]["database"] != "ok"
        assert bad.json["fields"]["checks"]["server"] == "ok"
        said = own.dais("status")
        assert said.returncode == 0
        assert b"not ready: database:" in said.stdout
        other.execute("ROLLBACK")
    other.close()
    until(lambda: own.ask("GET", "/v1/ready", token="").status == 200, "it is ready again")
    with sqlite3.connect(own.data / "dais.db") as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()
    until(lambda: own.ask("GET", "/v1/ready", token="").status == 503, "it sees the schema of another version")
    assert "it is 9999" in own.ask("GET", "/v1/ready", token="").json["fields"]["checks"]["schema"]


def test_ready_says_that_the_engine_is_away(own: Installation, tmp_path: Path) -> None:
    node = own.data / "node"
    node.rename(tmp_path / "node")  # no other supervisor can be started
    node.write_text("")
    pid = int((tmp_path / "node" / "supervisor.lock").read_text())
    os.kill(pid, signal.SIGKILL)
    until(lambda: "default" in own.ask("GET", "/v1/ready", token="").body.decode(), "the engine cannot be reached")
    assert figures(own)["dais_engine_connected", "default"] == 0


def test_a_service_manager_hears_of_ready_alive_and_stopping_and_the_log_is_begun_anew(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = f"dais-test-{os.getpid()}"
        manager.bind(f"\0{name}")  # which the server's user can reach, too
        manager.settimeout(PATIENCE)
        settings = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "200000"}
        with installation(tmp_path / "own", settings=settings) as own:
            for wanted in (b"READY=1\n", b"WATCHDOG=1"):
                while not manager.recv(4096).startswith(wanted):
                    pass
            job = own.run("env")
            assert b"NOTIFY_SOCKET" not in own.output(job.id)
            own.data.joinpath("server.log").rename(own.data / "server.log.moved")
            assert own.server is not None
            own.server.send_signal(signal.SIGUSR1)
            until(lambda: (own.data / "server.log").exists(), "the log is begun anew")
            assert own.is_well()
            assert own.stop() == 0
            while not manager.recv(4096).startswith(b"STOPPING=1\n"):
                pass
            assert '"event":"stopped"' in own.log()
