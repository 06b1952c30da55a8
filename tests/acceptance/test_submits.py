"""A submit that was answered is never lost; one that was not is whole or absent; a key makes one job."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.support.installation import PATIENCE, Installation, installation, script
from tests.support.supervisor import until

SUBMITS = 1_000
CLIENTS = 24


class Submitter(threading.Thread):
    """Submits jobs over one connection until none is left to submit or the server is gone."""

    def __init__(self, installed: Installation, todo: list[int], answered: dict[int, str]) -> None:
        super().__init__(daemon=True)
        self._port, self._token = installed.port, installed.token
        self._todo = todo
        self._answered = answered
        self.refusals: list[bytes] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            while True:
                try:
                    number = self._todo.pop()
                except IndexError:
                    return
                connection.request("POST", "/v1/jobs", _body(number), _headers(self._token, number))
                answer = connection.getresponse()
                text = answer.read()
                if answer.status == 201:
                    self._answered[number] = json.loads(text)["id"]
                else:
                    self.refusals.append(text)
        except (OSError, http.client.HTTPException):
            return  # killed
        finally:
            connection.close()


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_a_kill_during_a_thousand_submits_loses_none_and_doubles_none(
    database_url: str, tmp_path: Path, chance: random.Random
) -> None:
    url = "" if database_url.startswith("sqlite") else database_url
    with installation(tmp_path / "home", database_url=url) as installed:
        client = installed.client()
        blocker = installed.submit(*script("sleep 1000"), cpu=2)  # so that all others wait
        until(lambda: client.jobs.get(blocker.id).state == "RUNNING", "the machine is taken")
        answered: dict[int, str] = {}
        todo = list(range(SUBMITS))
        kills = sorted(chance.randrange(50, SUBMITS - 50) for _ in range(2))
        for kill in kills:
            submitters = [Submitter(installed, todo, answered) for _ in range(CLIENTS)]
            for submitter in submitters:
                submitter.start()
            until(partial(_reached, answered, kill), f"{kill} submits are answered")
            installed.kill()
            for submitter in submitters:
                submitter.join(PATIENCE)
                assert not submitter.refusals
            installed.start()
            found = _jobs(installed)
            assert not [n for n in answered if found.get(n) != [answered[n]]], "an answered submit was lost or doubled"
            assert not [n for n, ids in found.items() if len(ids) > 1], "a submit made two jobs"
            unanswered = set(found) - set(answered)
            assert len(unanswered) <= CLIENTS * len(kills)
            for number in unanswered:  # nobody was told, but it is whole
                job = client.jobs.get(found[number][0])
                assert (job.state, list(job.command), job.tags) == ("PENDING", ["true"], {"n": str(number)})
                assert [line.state for line in job.history] == ["PENDING"]

        # Every key again, whether it was answered or not: each makes the job it made, or makes it now.
        rest: dict[int, str] = {}
        todo[:] = range(SUBMITS)
        submitters = [Submitter(installed, todo, rest) for _ in range(CLIENTS)]
        for submitter in submitters:
            submitter.start()
        for submitter in submitters:
            submitter.join(PATIENCE)
            assert not submitter.refusals
        assert {n: rest[n] for n in answered} == answered
        assert {n: ids[0] for n, ids in found.items()} == {n: rest[n] for n in found}
        assert Counter(len(ids) for ids in _jobs(installed).values()) == {1: SUBMITS}


def test_the_same_key_makes_one_job_and_another_body_is_a_conflict(shared: Installation) -> None:
    first = shared.dais("job", "submit", "--idempotency-key", "k1", "--field", "id", "--", "true")
    again = shared.dais("job", "submit", "--idempotency-key", "k1", "--field", "id", "--", "true")
    other = shared.dais("job", "submit", "--idempotency-key", "k1", "--", "false")
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert first.stdout == again.stdout
    assert other.returncode == 1
    assert b"'k1' was used for another spec" in other.stderr
    client = shared.client()
    mine = client.jobs.submit(["true"], idempotency_key="k2")
    assert shared.wait(mine.id).state == "SUCCEEDED"
    assert client.jobs.submit(["true"], idempotency_key="k2").id == mine.id, "also once the job has ended"
    assert len([job for job in client.jobs.list(state="all") if list(job.command) == ["true"]]) == 2


def test_the_same_key_at_the_same_time_makes_one_job(shared: Installation) -> None:
    answers: list[tuple[int, str]] = []

    def submit() -> None:
        answer = shared.ask("POST", "/v1/jobs", {"command": ["true"]}, headers={"Idempotency-Key": "same"})
        answers.append((answer.status, answer.json.get("id", answer.json)))

    threads = [threading.Thread(target=submit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert answers[0][0] == 201


def _reached(answered: dict[int, str], count: int) -> bool:
    return len(answered) >= count


def _body(number: int) -> bytes:
    return json.dumps({"command": ["true"], "tags": {"n": str(number)}}).encode()


def _headers(token: str, number: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": f"submit-{number}"}


def _jobs(installed: Installation) -> dict[int, list[str]]:
    """The ids of the jobs by their submit's number."""
    found: dict[int, list[str]] = {}
    for job in installed.client().jobs.list(state="all"):
        if "n" in job.tags:
            found.setdefault(int(job.tags["n"]), []).append(job.id)
    return found


def test_who_submits_too_much_is_told_when_to_come_back(tmp_path: Path) -> None:
    with installation(tmp_path, settings={"DAIS_LIMITS_SUBMITS_PER_MINUTE": "2"}) as running:
        answers = [running.ask("POST", "/v1/jobs", {"command": ["true"]}) for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 201, 429]
        assert answers[2].json["code"] == "too-many-submits"
        assert 1 <= int(answers[2].headers["retry-after"]) <= 30
        assert running.ask("POST", "/v1/jobs?dry_run=true", {"command": ["true"]}).status == 200
        said = running.dais("job", "submit", "--", "true")
        assert said.returncode == 1
        assert b"2 submits in a minute, which is the limit; slow down" in said.stderr
        assert running.ask("GET", "/v1/jobs").json["items"], "reading goes on"
