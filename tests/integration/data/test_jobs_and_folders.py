"""Folders and sources inside real jobs, on a whole installation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.sdk.errors import Conflict
from tests.integration.data.conftest import same
from tests.support.installation import Installation, installation
from tests.support.needs import needs_bwrap
from tests.support.supervisor import until

GATED = "echo started; until [ -e /gate/open ]; do sleep 0.02; done"


@pytest.fixture(scope="module")
def running() -> Iterator[Installation]:
    needs_bwrap()
    with installation(settings={"DAIS_COMPUTE_STOP_GRACE": "1"}) as made:
        yield made


def test_a_job_reads_what_was_pushed_and_what_it_writes_is_pulled(
    running: Installation, tree: Path, tmp_path: Path
) -> None:
    client = running.client()
    client.folders.create("input", tree)
    client.folders.create("output")
    script = """
        set -e
        /in/sub/run.sh; cat /in/link /in/sub/up; stat -c %s /in/large.bin
        ! touch /in/new 2>/dev/null
        mkdir -p /out/deep/er; cp -a /in/. /out/deep/er; echo made > /out/result; chmod 755 /out/result
        ln -s /etc/passwd /out/passwd; ln -s ../result /out/deep/link; mkfifo /out/pipe
        chmod 700 /out/deep/er/sub
    """
    job = running.run("sh", "-c", script, data=["input:/in:ro", "output:/out"])
    assert job.state == "SUCCEEDED", running.output(job.id)
    assert running.output(job.id) == b"#!/bin/sh\nhello3000000\n"
    pulled = client.folders.pull("output", tmp_path / "out")
    assert sorted(line.split(":")[0] for line in pulled.left_out)[0].startswith("'pipe'"), pulled.left_out
    assert len(pulled.left_out) == 2
    assert (tmp_path / "out/result").read_text() == "made\n"
    assert (tmp_path / "out/result").stat().st_mode & 0o100
    assert (tmp_path / "out/deep/link").read_text() == "made\n"
    assert same(tree, tmp_path / "out/deep/er")
    client.folders.push("output", tree / "hello.txt", "result")
    client.folders.push("output", tree, "deep/er")
    client.folders.remove_entries("output", ".", recursive=True)
    assert list(client.folders.entries("output")) == []
    client.folders.remove("output")


def test_a_large_file_goes_past_the_api(running: Installation, tree: Path) -> None:
    """`dais up` listens for it, and counts it."""

    def taken() -> float:
        text = running.ask("GET", "/metrics").body.decode()
        counted = re.search(r'method="PUT",route="/v1/uploads/{key}",status="200"} (\S+)', text)
        return float(counted[1]) if counted is not None else 0.0

    client, before = running.client(), taken()
    made = client.folders.create("large", tree)
    assert (running.data / "folders" / made.id / "large.bin").read_bytes() == (tree / "large.bin").read_bytes()
    until(lambda: taken() == before + 1, "it is counted")
    client.folders.remove("large")


def test_a_job_writes_into_what_was_pushed(running: Installation, tree: Path) -> None:
    client = running.client()
    client.folders.create("shared", tree)
    script = "echo more >> /data/hello.txt && touch /data/sub/deep/new && rm /data/nothing && mv /data/empty /data/sub"
    job = running.run("sh", "-c", script, data=["shared:/data"])
    assert job.state == "SUCCEEDED", running.output(job.id)
    assert running.get("shared", "hello.txt") == b"hellomore\n"


def test_a_directory_of_a_folder_is_mounted_and_links_in_its_path_are_not_followed(
    running: Installation, tree: Path
) -> None:
    client = running.client()
    client.folders.create("parts", tree)
    job = running.run("ls", "/data", data=["parts/sub/deep:/data:ro"])
    assert running.output(job.id) == b"data.bin\n"
    job = running.run("sh", "-c", "ln -s /etc /data/host; ln -s sub /data/alias", data=["parts:/data"])
    assert job.state == "SUCCEEDED"
    for path in ("host", "alias/deep", "hello.txt", "nope"):
        refused = running.run("ls", "/data", data=[f"parts/{path}:/data:ro"])
        assert refused.state == "FAILED", path
        assert refused.detail is not None
        assert path in refused.detail, refused.detail


def test_a_folder_in_use_is_not_removed(running: Installation) -> None:
    client = running.client()
    client.folders.create("gate")
    job = running.submit("sh", "-c", GATED, data=["gate:/gate"])
    running.wait_output(job, b"started")
    with pytest.raises(Conflict) as refused:
        client.folders.remove("gate")
    assert (refused.value.code, refused.value.fields["jobs"]) == ("folder-in-use", [job.id])
    assert running.put("gate", "open", b"").status == 200
    assert running.wait(job.id).state == "SUCCEEDED"
    client.folders.remove("gate")


def test_a_file_that_is_pushed_while_a_job_reads_is_seen_whole(running: Installation, tmp_path: Path) -> None:
    """The job reads the same path again and again: each time it is one of the two contents, never a mixture."""
    client = running.client()
    client.folders.create("live")
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1" * 3_000_000)
    two.write_bytes(b"2" * 2_000_000)
    client.folders.push("live", one, "file")
    script = """
        echo started
        while [ ! -e /data/open ]; do
            seen=$(tr -d '\\n' < /data/file | md5sum)
            [ "$seen" = "$ONE" ] || [ "$seen" = "$TWO" ] || { echo "mixture: $seen"; exit 1; }
        done
    """
    sums = {
        name: f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  -"
        for name, path in (("ONE", one), ("TWO", two))
    }
    job = running.submit("sh", "-c", script, data=["live:/data"], environment=sums)
    running.wait_output(job, b"started")
    for _ in range(15):
        client.folders.push("live", two, "file")
        client.folders.push("live", one, "file")
    running.put("live", "open", b"")
    ended = running.wait(job.id)
    assert ended.state == "SUCCEEDED", running.output(job.id)


def test_a_source_is_the_working_directory(running: Installation, tree: Path) -> None:
    (tree / ".daisignore").write_text("large.bin\n")
    ran = running.dais("run", "--", "sh", "-c", "sub/run.sh && cat link && ls -a && echo x >> hello.txt", cwd=tree)
    assert ran.returncode == 0, ran.stderr
    names = ran.stdout.decode().removeprefix("#!/bin/sh\n").split("\n")
    assert "large.bin" not in names
    assert {"hello.txt", "sub", "empty", "link"} <= set(names)
    assert (tree / "hello.txt").read_text() == "hello", "the job has a copy"
