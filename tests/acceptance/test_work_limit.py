"""A job that fills the disk from its working directory is ended, and told why; with and without a sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import SOON
from tests.support.installation import Installation, installation, script

LIMIT = 32 << 20
BOMB = "while :; do head -c 1000000 /dev/urandom >> {file} || exit 3; done"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["auto", "process"])
def limited(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """As root with `auto` each job has a user of its own, and the server is not root."""
    settings = {**SOON, "DAIS_LOCAL_ISOLATION": request.param, "DAIS_COMPUTE_WORK_LIMIT": str(LIMIT)}
    with installation(settings=settings) as running:
        yield running


@pytest.mark.parametrize(
    "attack",
    [
        BOMB.format(file="bomb"),
        "mkdir -p a/b/c; " + BOMB.format(file="a/b/c/.bomb"),
        "mkdir closed; exec > closed/bomb; chmod 0 closed; exec cat /dev/urandom",
        "i=0; while :; do i=$((i+1)); head -c 100000 /dev/urandom > f$i || exit 3; done",
    ],
    ids=["one file", "hidden", "in a closed directory", "many files"],
)
def test_a_disk_bomb_ends(limited: Installation, attack: str) -> None:
    job = limited.run(*script(attack))
    assert (job.state, job.reason) == ("FAILED", "disk-limit"), limited.output(job.id)[-200:]
    assert job.detail is not None
    assert "32 MiB is allowed" in job.detail
    assert "keep large files in a folder" in job.detail
    limited.wait_nothing_left(job)


def test_what_stays_within_the_limit_is_left_alone(limited: Installation) -> None:
    made = "head -c 20000000 /dev/urandom > kept; truncate -s 10G sparse; ln kept again; sleep 12; echo fine"
    job = limited.run(*script(made))
    assert job.state == "SUCCEEDED", job.detail
    assert limited.output(job.id) == b"fine\n"
