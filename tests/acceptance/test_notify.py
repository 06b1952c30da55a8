"""A job's end reaches whoever wants to hear of it, also across a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation, script
from tests.support.receivers import Hooks, Mailbox, hooks, mailbox
from tests.support.supervisor import until


@pytest.fixture
def hook() -> Iterator[Hooks]:
    with hooks() as receiver:
        yield receiver


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture
def telling(tmp_path: Path, box: Mailbox) -> Iterator[Installation]:
    """An installation that may reach this machine, and has a mail server."""
    settings = {
        "DAIS_NOTIFY_INTERNAL_HOSTS": "127.0.0.1",
        "DAIS_NOTIFY_SMTP_HOST": "127.0.0.1",
        "DAIS_NOTIFY_SMTP_PORT": str(box.port),
        "DAIS_NOTIFY_SMTP_SECURITY": "none",
    }
    with installation(tmp_path, settings=settings) as running:
        yield running


def test_the_end_is_told_by_webhook_and_mail(telling: Installation, hook: Hooks, box: Mailbox) -> None:
    made = telling.dais("notify", "secret")
    assert made.stdout.startswith(b"whsec_"), made.stderr
    ran = telling.dais(
        *("run", "--no-source", "--name", "told", "--notify", hook.url, "--notify", "mail:ann@example.org"),
        *("--", "/bin/sh", "-c", "exit 7"),
    )
    assert ran.returncode == 7, ran.stderr
    came = hook.next()
    job = telling.client().jobs.get("told")
    assert (came.json["data"]["id"], came.json["data"]["exit_code"]) == (job.id, 7)
    assert came.json["data"]["url"] == f"{telling.url}/jobs/{job.id}"
    assert came.headers["webhook-signature"].startswith("v1,")
    recipients, text = box.next()
    assert recipients == ["ann@example.org"]
    assert b"Subject: Job told: FAILED (exit-code)" in text
    until(
        lambda: [one.state for one in telling.client().jobs.get("told").notifications] == ["DELIVERED"] * 2,
        "both are noted",
    )
    assert made.stdout.strip() not in telling.log().encode()
    assert b"DELIVERED" in telling.dais("job", "info", "told").stdout

    refused = telling.dais("job", "submit", "--notify", "https://169.254.169.254/", "--", "true")
    assert refused.returncode == 1
    assert b"internal address" in refused.stderr
    wrong = telling.dais("job", "submit", "--notify", "ann@example.org", "--", "true")
    assert b"--notify" in wrong.stderr
    assert telling.is_well()


def test_a_job_that_ends_while_the_server_is_down_is_told_after_it(telling: Installation, hook: Hooks) -> None:
    set_ = telling.dais("notify", "set", hook.url, "--json")
    assert json.loads(set_.stdout)["targets"] == [hook.url], set_.stderr
    gate = telling.folder("gate")
    job = telling.submit(*script("echo on; until [ -e /gate/open ]; do sleep 0.05; done"), data=["gate:/gate"])
    telling.wait_output(job, b"on")
    telling.kill()
    (telling.data / "folders" / gate / "open").touch()
    assert hook.count == 0
    telling.start()
    assert telling.wait(job.id).state == "SUCCEEDED"
    assert hook.next().json["data"]["id"] == job.id
    until(lambda: telling.client().jobs.get(job.id).notifications[0].state == "DELIVERED", "it is noted")
    assert hook.count == 0
    assert telling.dais("notify", "set", "none").returncode == 0
    assert json.loads(telling.dais("notify", "show", "--json").stdout) == {"targets": [], "signed": False}
