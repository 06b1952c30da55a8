"""kill -9 of the server at any moment: jobs go on, nothing is lost, nothing runs twice."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from tests.support.installation import PATIENCE, Installation, installation, script, told
from tests.support.supervisor import until

JOBS = 20
RESTART_SECONDS = 10.0
"""A generous bound for what takes about a second."""

PRINT = """
echo "$DAIS_RUN_INDEX" >> /shared/$NAME
i=0
while [ $i -lt $LINES ]; do
  echo "$NAME line $i"
  [ $((i % 10)) -eq 0 ] && echo "$NAME says $i" >&2
  i=$((i+1))
  sleep 0.02
done
exit $CODE
"""


class Follower(threading.Thread):
    """A client that follows a job's log from its beginning to its end."""

    def __init__(self, installed: Installation, job_id: str) -> None:
        super().__init__(name=f"follow {job_id}", daemon=True)
        self._client = installed.client(patience=PATIENCE)
        self._job_id = job_id
        self.stdout = b""
        self.ended: JobDetail | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for item in self._client.jobs.follow(self._job_id):
                if isinstance(item, JobDetail):
                    self.ended = item
                elif item.stream == "stdout":
                    self.stdout += frame_bytes(item)
        except BaseException as error:
            self.error = error


@pytest.mark.slow
def test_twenty_printing_jobs_survive_kills_of_the_server(
    database_url: str,
    tmp_path: Path,
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    url = "" if database_url.startswith("sqlite") else database_url
    with installation(tmp_path / "home", database_url=url) as installed, told(installed.log):
        folder = installed.folder("shared")
        expected: dict[str, tuple[str, int, int]] = {}
        followers = []
        client = installed.client()
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "print.sh").write_text(PRINT)
        source = client.sources.capture(tmp_path / "source")
        for number in range(JOBS):
            name, lines, code = f"job{number}", chance.randrange(20, 250), chance.choice((0, 0, 3, 77))
            staged = number % 3 == 1
            command = ["sh", "print.sh"] if staged else script(PRINT)
            job = installed.submit(
                *command,
                source=source if staged else None,
                restartable=number % 3 == 2,
                name=name,
                data=["shared:/shared"],
                environment={"NAME": name, "LINES": str(lines), "CODE": str(code)},
            )
            expected[job.id] = (name, lines, code)
            if number % 4 == 0:
                followers.append(Follower(installed, job.id))
                followers[-1].start()
            if number in (5, 12):
                installed.kill()
                installed.start()
        for _ in range(4):
            installed.live(chance.uniform(0.0, 1.2))
            installed.kill()
            if chance.random() < 0.5:  # once more, while it is coming up
                installed.launch()
                installed.live(chance.uniform(0.0, 0.6))
                installed.kill()
            installed.start()

        for job_id, (name, lines, code) in expected.items():
            ended = installed.wait(job_id)
            assert (ended.state, ended.exit_code) == ("SUCCEEDED" if code == 0 else "FAILED", code), name
            assert [run.index for run in ended.runs] == [0], f"{name} ran again"
            assert installed.get(folder, name) == b"0\n", f"{name} ran twice"
            wanted = b"".join(b"%s line %d\n" % (name.encode(), i) for i in range(lines))
            frames = list(client.jobs.logs(job_id))
            assert b"".join(frame_bytes(f) for f in frames if f.stream == "stdout") == wanted
            told_too = b"".join(b"%s says %d\n" % (name.encode(), i) for i in range(0, lines, 10))
            assert b"".join(frame_bytes(f) for f in frames if f.stream == "stderr") == told_too
        for follower, (job_id, (name, lines, _)) in zip(followers, list(expected.items())[::4], strict=True):
            follower.join(PATIENCE)
            assert follower.error is None, f"following {name} failed: {follower.error!r}"
            assert follower.ended is not None
            assert follower.ended.id == job_id
            assert follower.stdout == b"".join(b"%s line %d\n" % (name.encode(), i) for i in range(lines))
        installed.wait_nothing_left(*(client.jobs.get(job_id) for job_id in expected))
        restarts = [round(seconds, 2) for seconds in installed.starts[1:]]
        record_property("restart_seconds", restarts)
        assert max(restarts) < RESTART_SECONDS, f"restarts took {restarts} s"
        assert "Traceback" not in installed.said() + installed.log()


def test_a_kill_between_a_launch_and_its_record_leaves_the_running_job_alone(own: Installation) -> None:
    """The server cannot know whether the launch arrived: it stages and launches again what runs already."""
    folder = own.folder("gate")
    text = (
        "echo $DAIS_RUN_INDEX >> /gate/ran; echo mine > kept; echo started; "
        "until [ -e /gate/open ]; do sleep 0.02; done; cat kept"
    )
    job = own.submit(*script(text), data=["gate:/gate"])
    own.wait_output(job, b"started")
    own.kill()
    with contextlib.closing(sqlite3.connect(own.data / "dais.db", isolation_level=None)) as database:
        assert database.execute("UPDATE runs SET handle = NULL").rowcount == 1
        own.start()
        until(lambda: database.execute("SELECT handle FROM runs").fetchone()[0], "it was launched again")
    assert own.put(folder, "open", b"").status == 200
    ended = own.wait(job.id)
    assert (ended.state, ended.exit_code, len(ended.runs)) == ("SUCCEEDED", 0, 1), own.output(job.id)
    assert own.output(job.id) == b"started\nmine\n"
    assert own.get(folder, "ran") == b"0\n"
    own.wait_nothing_left(ended)
