"""A secret reaches its job and nothing else: no file, no command line, no other process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.node.processes import MARK
from tests.support.installation import Installation, script

VALUE = b"kept-to-itself-4711"
DIGEST = hashlib.sha256(VALUE).hexdigest()
HOLD = "until [ -e /gate/open ]; do sleep 0.05; done"


def holders(running: Installation) -> Iterator[str]:
    """Files of the installation and command lines that hold the value, and processes whose environment does."""
    for top in (running.data, running.config, running.words.parent):
        for path in top.rglob("*"):
            if path.is_file() and not path.is_symlink() and VALUE in path.read_bytes():
                yield f"file {path}"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if VALUE in (entry / "cmdline").read_bytes():
                yield f"command line of {entry.name}"
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if VALUE in environment:
            yield "environment of the job" if MARK.encode() in environment else f"environment of {entry.name}"


@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_a_secret_is_the_jobs_alone(own: Installation, tmp_path: Path, isolation: str) -> None:
    if isolation == "process":
        own.stop()
        own.close()
        own = Installation(tmp_path / "second", settings={"DAIS_LOCAL_ISOLATION": "process"})
        own.start()
    try:
        _secret_is_the_jobs_alone(own, files=isolation != "process")
    finally:
        own.close()


def _secret_is_the_jobs_alone(own: Installation, *, files: bool) -> None:
    assert own.dais("secret", "set", "TOKEN", stdin=VALUE + b"\n").returncode == 0
    told = 'printf %s "$TOKEN" | sha256sum; printf %s "$OTHER" | sha256sum'
    uses, mounts = ["TOKEN", "TOKEN:OTHER"], []
    hold = "sleep 1000"
    if files:
        own.folder("gate")
        told += "; sha256sum < /run/secrets/token; stat -c %a /run/secrets/token; touch /run/secrets/token || echo kept"
        uses, mounts, hold = [*uses, "TOKEN:/run/secrets/token"], ["gate:/gate"], HOLD
    job = own.submit(*script(f"{told}; echo done; {hold}"), secrets=uses, data=mounts)
    own.wait_output(job, b"done\n")
    lines = own.output(job.id).decode().split("\n")
    assert [line.split()[0] for line in lines[:2]] == [DIGEST] * 2
    if files:
        assert lines[2].split()[0] == DIGEST
        assert "400\n" in own.output(job.id).decode()
        assert "kept\n" in own.output(job.id).decode()
    assert set(holders(own)) == {"environment of the job"}

    inside = own.dais("job", "exec", job.id, "--", "/bin/sh", "-c", 'printf %s "$TOKEN" | sha256sum')
    assert inside.stdout.split()[0].decode() == DIGEST, inside.stderr
    info = own.dais("job", "info", job.id, "--json").stdout
    assert [use["name"] for use in json.loads(info)["spec"]["secrets"]] == ["TOKEN"] * len(uses)
    for told_ in (info, own.dais("secret", "ls", "--json").stdout, own.dais("job", "info", job.id).stdout):
        assert VALUE not in told_

    own.kill()
    own.start()
    assert set(holders(own)) == {"environment of the job"}, "nothing of it is written by a restart"
    own.client().jobs.kill(job.id)
    own.wait(job.id)
    own.wait_nothing_left(own.client().jobs.get(job.id))
    assert not set(holders(own))
    assert own.is_well()


def test_what_the_command_says(own: Installation) -> None:
    refused = own.dais("run", "--no-source", "--secret", "TOKEN", "--", "true")
    assert refused.returncode == 125
    assert b"dais secret set TOKEN --account" in refused.stderr
    bad = own.dais("secret", "set", "MY-TOKEN", stdin=VALUE)
    assert bad.returncode != 0
    assert b"cannot name a secret" in bad.stderr
    assert VALUE not in bad.stderr + bad.stdout
    key = own.data / "key"
    key.write_bytes(b"\0\1\2")
    assert own.dais("secret", "set", "KEY", "--file", str(key)).returncode == 0
    ran = own.dais(
        "run", "--no-source", "--secret", "KEY:/run/secrets/key", "--", "od", "-An", "-tx1", "/run/secrets/key"
    )
    assert (ran.returncode, ran.stdout.split()) == (0, [b"00", b"01", b"02"]), ran.stderr
    assert b"1 secrets are encrypted" in own.dais("secret", "rotate-key").stderr
    assert own.dais("secret", "rm", "KEY").returncode == 0
    gone = own.dais("secret", "rm", "KEY")
    assert gone.returncode == 1
    assert b"no secret 'KEY'" in gone.stderr
