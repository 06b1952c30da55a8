"""kill -9 of the node supervisor: its runs are lost and said to be, nothing of them is left, what may runs again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from tests.support.installation import Installation, alive, installation, script, told
from tests.support.supervisor import until

DAEMON = """
setsid sh -c 'sleep 1000 & sleep 1000' </dev/null >/dev/null 2>&1 &
echo ready
sleep 1000
"""
BRIEF = """
echo "$DAIS_RUN_INDEX" >> /shared/$NAME
i=0
while [ $i -lt $LINES ]; do echo "$NAME line $i"; i=$((i+1)); sleep 0.01; done
exit $CODE
"""
AGAIN = '[ "$DAIS_RUN_INDEX" = 0 ] && { echo first; sleep 1000; }; echo "run $DAIS_RUN_INDEX"'


def test_runs_are_lost_cleanly_and_the_restartable_run_again(own: Installation) -> None:
    lost = [own.submit(*script(DAEMON)) for _ in range(3)]
    again = [own.submit(*script(AGAIN), restartable=True) for _ in range(3)]
    waiting = own.submit(*script("echo late"), cpu=2)
    for job in lost:
        own.wait_output(job, b"ready")
    for job in again:
        own.wait_output(job, b"first")
    before = own.supervisor()

    own.kill_supervisor()

    ended = [own.wait(job.id) for job in lost]
    assert [(job.state, job.reason, job.exit_code) for job in ended] == [("FAILED", "node-lost", None)] * 3
    assert [run.state for job in ended for run in job.runs] == ["INTERRUPTED"] * 3
    assert [own.output(job.id) for job in ended] == [b"ready\n"] * 3, "what they had printed is kept"
    repeated = [own.wait(job.id) for job in again]
    assert [(job.state, job.exit_code, job.run_index) for job in repeated] == [("SUCCEEDED", 0, 1)] * 3
    for job in repeated:
        assert [(run.state, run.reason) for run in job.runs] == [
            ("INTERRUPTED", "node-lost"),
            ("SUCCEEDED", "completed"),
        ]
        assert own.output(job.id).endswith(b"run 1\n")
    assert own.wait(waiting.id).state == "SUCCEEDED", "what waited was not started"
    assert own.supervisor() != before
    own.wait_nothing_left(*ended, *repeated)
    assert own.is_well()


def test_what_ended_while_the_server_was_away_is_not_lost_with_the_supervisor(own: Installation) -> None:
    client = own.client()
    folder = own.folder("gate")
    wait = "echo started; until [ -e /gate/open ]; do sleep 0.02; done; echo through; exit 5"
    jobs = [own.submit(*script(wait), data=["gate:/gate"]) for _ in range(5)]
    for job in jobs:
        own.wait_output(job, b"started")
    runs = [client.jobs.get(job.id).runs[0].id for job in jobs]

    assert own.put(folder, "open", b"").status == 200  # they end from now on, and nobody may be told
    own.kill()
    until(lambda: not any(map(alive, runs)), "every job has ended")
    # What has ended is in the supervisor's journal before anything else is done about it.
    until(lambda: all(_told(own, run) for run in runs), "every end is on record")
    own.kill_supervisor()
    own.start()

    for job in jobs:
        ended = own.wait(job.id)
        assert (ended.state, ended.reason, ended.exit_code) == ("FAILED", "exit-code", 5)
        assert own.output(job.id) == b"started\nthrough\n"
    own.wait_nothing_left(*(client.jobs.get(job.id) for job in jobs))


def test_server_and_supervisor_killed_together(own: Installation) -> None:
    job = own.submit(*script(DAEMON))
    own.wait_output(job, b"ready")
    run = own.client().jobs.get(job.id).runs[0].id
    own.kill_supervisor()
    own.kill()
    # The guard cleans up although nobody has started anything again.
    until(lambda: not alive(run), "its processes are gone")
    own.start()
    ended: JobDetail = own.wait(job.id)
    assert (ended.state, ended.reason) == ("FAILED", "node-lost")
    own.wait_nothing_left(ended)


def _told(installed: Installation, run: str) -> bool:
    """Whether the server knew the end before it was killed, or the supervisor's journal has it."""
    lines = (installed.node / "journal").read_text(errors="replace").splitlines()
    return any(run in line and '"ended"' in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_server_and_supervisor_killed_at_random_lose_and_double_nothing(
    database_url: str, tmp_path: Path, chance: random.Random
) -> None:
    url = "" if database_url.startswith("sqlite") else database_url
    with installation(tmp_path / "home", database_url=url) as installed, told(installed.log):
        folder = installed.folder("shared")
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "brief.sh").write_text(BRIEF)
        source = installed.client().sources.capture(tmp_path / "source")
        expected: dict[str, tuple[str, int, int, bool]] = {}
        for turn in range(6):
            for number in range(6):
                name, lines, code = f"job{turn}-{number}", chance.choice((0, 1, 5, 30, 80)), chance.choice((0, 3))
                staged, restartable = chance.random() < 0.5, chance.random() < 0.7
                job = installed.submit(
                    *(("sh", "brief.sh") if staged else script(BRIEF)),
                    source=source if staged else None,
                    restartable=restartable,
                    name=name,
                    cpu=0.25,
                    data=["shared:/shared"],
                    environment={"NAME": name, "LINES": str(lines), "CODE": str(code)},
                )
                expected[job.id] = (name, lines, code, restartable)
            installed.live(chance.uniform(0.0, 0.6))
            if chance.random() < 0.5:
                installed.kill_supervisor()
                installed.live(chance.choice((0.0, chance.uniform(0.0, 0.3))))
            installed.kill()
            installed.start()
        for job_id, (name, lines, code, restartable) in expected.items():
            ended = installed.wait(job_id)
            begun = installed.get(folder, name).split() if (installed.data / "folders" / folder / name).exists() else []
            assert len(begun) == len(set(begun)), f"{name}: a run began twice: {begun}"
            if not restartable and ended.reason == "node-lost":
                assert len(ended.runs) == 1
                continue
            assert ended.exit_code == code, (name, ended.reason, ended.detail)
            assert {run.reason for run in ended.runs[:-1]} <= {"node-lost"}
            wanted = b"".join(b"%s line %d\n" % (name.encode(), i) for i in range(lines))
            last = [frame_bytes(frame) for frame in installed.client().jobs.logs(job_id, run=ended.run_index)]
            assert b"".join(last) == wanted, name
        installed.wait_nothing_left(*map(installed.client().jobs.get, expected))
        assert not list((installed.data / "jobs").glob("[!.]*")), "something staged is left"
        assert "Traceback" not in installed.said() + installed.log()
