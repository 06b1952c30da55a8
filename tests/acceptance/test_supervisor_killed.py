"""kill -9 of the node supervisor: its runs are lost and said to be, nothing of them is left, what may runs again."""

from __future__ import annotations

from dais.wire.answers import JobDetail
from tests.support.installation import Installation, alive, script
from tests.support.supervisor import until

DAEMON = """
setsid sh -c 'sleep 1000 & sleep 1000' </dev/null >/dev/null 2>&1 &
echo ready
sleep 1000
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
