"""Warm sandboxes on a real installation: who opens a session gets one that waits; what becomes of those none takes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import serialization

from dais.sdk import Client
from dais.wire.answers import JobDetail
from tests.acceptance.conftest import SOON
from tests.acceptance.test_watching import figures
from tests.support.cells import Cells
from tests.support.installation import Installation, alive, installation
from tests.support.supervisor import until

SETTINGS = {**SOON, "DAIS_COMPUTE_CODE_POOL": "1", "DAIS_COMPUTE_INTERACTIVE_PER_USER": "0"}


@pytest.fixture
def site() -> Iterator[Installation]:
    with installation(settings=SETTINGS) as running:
        yield running


def warm(site: Installation) -> list[JobDetail]:
    client = site.client()
    return [client.jobs.get(job.id) for job in client.jobs.list(state="alive", type="system", tag="dais-warm=ready")]


def ready(site: Installation) -> JobDetail:
    """The one that is ready, after a session was opened and ended."""
    client = site.client()
    used = client.code.open()
    assert Cells(client, used.id)("secret = 'of the first'\n1") == [("stdout", "1\n")]
    client.jobs.kill(used.id)
    site.wait(used.id)
    return until(lambda: warm(site), "one is ready")[0]


def another(site: Installation, name: str = "ada") -> Client:
    """A user who is no administrator."""
    client = site.client()
    user = client.users.new(f"{name}@example.org")
    return Client(site.url, client.keys.new(holder=user.id).secret)


def test_a_session_is_one_that_waited_and_nothing_of_others_is_in_it(site: Installation) -> None:
    waiting = ready(site)
    assert (waiting.type, waiting.owner) == ("system", "(installation)")
    assert waiting.id not in {job.id for job in site.client().jobs.list(state="alive")}
    with another(site) as ada:
        got = ada.code.open()
        assert (got.id, got.state, got.type, got.tags) == (waiting.id, "RUNNING", "interactive", {"dais-code": ""})
        cells = Cells(ada, got.id)
        assert cells.all("secret")[-1].error is not None
        names = "import os; print(os.environ['DAIS_USER'], os.environ['DAIS_ACCOUNT'], os.environ['EAI_USER'], end='')"
        assert cells(names) == [("stdout", "ada local.ada ada")]
        private = serialization.load_ssh_private_key(ada.code.download(got.id, "id_container"), None)
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        assert ada.code.download(got.id, ".ssh/authorized_keys") == public + f" job-{got.id}\n".encode()
        paths = "('.ssh', '.ssh/authorized_keys', 'id_container')"
        assert cells(f"import os; print(*(oct(os.stat(p).st_mode & 0o777) for p in {paths}))") == [
            ("stdout", "0o700 0o600 0o600\n")
        ]
        ran = ada.code.batch(got.id, exec="echo $DAIS_USER $DAIS_ACCOUNT $DAIS_JOB_ID; ls")
        shown = "".join(data for answer in ran for _, data in answer.console)
        assert shown == f"ada local.ada {got.id}\nid_container\n"
        told = figures(site)
        assert told["dais_code_sessions_total", "warm"] == told["dais_code_sessions_total", "submitted"] == 1
        ada.jobs.kill(got.id)
        site.wait_nothing_left(site.wait(got.id))
        next_one = until(lambda: warm(site), "another is ready")[0]
        assert next_one.id != got.id
        assert figures(site)["dais_warm_sandboxes", "ready"] == 1


def test_a_job_that_needs_the_place_gets_it(site: Installation) -> None:
    waiting = ready(site)
    job = site.run("true", cpu=os.cpu_count())
    assert job.state == "SUCCEEDED"
    until(lambda: not alive(waiting.runs[-1].id), "it has ended")
    assert site.is_well()


@pytest.mark.slow
def test_one_outlives_the_server_and_is_then_taken(site: Installation) -> None:
    waiting = ready(site)
    site.kill()
    site.start()
    client = site.client()
    until(lambda: client.jobs.get(waiting.id).state == "RUNNING", "it is known to run")
    assert client.code.open().id == waiting.id
    assert Cells(client, waiting.id)("6 * 7") == [("stdout", "42\n")]


@pytest.mark.slow
def test_nothing_is_left_after_the_supervisor_was_killed(site: Installation) -> None:
    waiting = ready(site)
    site.kill_supervisor()
    until(lambda: [job for job in warm(site) if job.id != waiting.id], "another is ready")
    site.wait_nothing_left(waiting)
    assert site.ask("GET", f"/v1/jobs/{waiting.id}").status == 404
    assert site.is_well()


@pytest.mark.slow
def test_a_server_that_is_stopped_takes_them_with_it(site: Installation) -> None:
    waiting = ready(site)
    assert site.stop() == 0
    until(lambda: not alive(waiting.runs[-1].id), "it has ended")
    site.start()
    site.wait_nothing_left(waiting)
    assert site.is_well()
