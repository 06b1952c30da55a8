"""Started as root: the server is another user, jobs are users of their own, and only the supervisor is root."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation, script
from tests.support.needs import needs_bwrap, needs_root
from tests.support.places import open_place
from tests.support.supervisor import until

SERVER, OLD_JOB_UID = 13010, 13011
HELD = "echo ready; until [ -e /data/go ]; do sleep 0.02; done"


@pytest.fixture(autouse=True)
def _root() -> None:
    needs_root()
    needs_bwrap()


@pytest.fixture
def apart(own: Installation) -> Installation:
    """An installation whose server is not root. Only what the machine lacks is a reason to skip."""
    (node,) = until(lambda: own.ask("GET", "/v1/nodes").json["items"], "the node is known")
    if node["isolation"]["uid_lease"] is not True:
        pytest.skip(f"needs id-mapped mounts: {node['isolation']['uid_lease']}")
    if _uid(own.pid) == 0 and "install Dais where everybody may" in own.log() + own.said():
        pytest.skip("needs a program that every user may read, not one below a private directory")
    assert _uid(own.pid) == SERVER, own.log()[-600:] + own.said()[-600:]
    return own


def _status(pid: int) -> dict[str, str]:
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))


def _uid(pid: int) -> int:
    return int(_status(pid)["Uid"].split()[0])


def _owners(top: Path) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in (top, *top.rglob("*"))}


def _pid_of(installed: Installation, run_id: str) -> int:
    """A process of a run, seen from outside."""
    marked = f"DAIS_ATTEMPT={run_id}".encode()
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _has(entry, marked)]
    assert found, installed.log()
    return found[0]


def _has(entry: Path, marked: bytes) -> bool:
    try:
        return marked in (entry / "environ").read_bytes()
    except OSError:
        return False


def test_the_server_has_no_privileges_and_the_supervisor_is_root(apart: Installation) -> None:
    status = _status(apart.pid)
    assert status["Uid"].split() == status["Gid"].split() == [str(SERVER)] * 4
    assert status["Groups"] == ""
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert _uid(apart.supervisor()) == 0
    assert apart.server is not None
    assert (_uid(apart.server.pid), int(status["PPid"])) == (0, apart.server.pid)
    for path in apart.data.iterdir():
        assert path.lstat().st_uid == (0 if path.name == "node" else SERVER), path
    assert (apart.data.stat().st_uid, apart.data.stat().st_mode & 0o7777) == (0, 0o1770)


def _doctor(installed: Installation, name: str) -> dict[str, str]:
    told = json.loads(installed.dais("doctor", "--json").stdout)
    found: dict[str, str] = next(finding for finding in told["findings"] if finding["name"] == name)
    return found


def test_the_doctor_says_so_and_a_configuration_of_root_s_alone_is_used(apart: Installation) -> None:
    assert _doctor(apart, "split")["state"] == "fine"
    apart.stop()
    assert _doctor(apart, "split")["state"] == "fine"
    config = apart.data / "dais.toml"
    config.write_text("[local]\nfirst_job_uid = 1700000000\n[compute]\nstop_grace = 3\n")
    config.chmod(0o600)
    until(lambda: not (apart.node / "supervisor.sock").exists(), "the idle supervisor has ended")
    apart.start()
    assert _uid(apart.pid) == SERVER
    assert apart.output(apart.run("id", "-u").id) in (b"1700000000\n", b"1700000001\n")


def test_two_jobs_are_two_users_and_files_in_a_folder_are_the_server_s(apart: Installation) -> None:
    client = apart.client()
    folder = apart.data / "folders" / client.folders.create("shared").id
    one = apart.submit(*script(f"umask 077; id -u > /data/uid; mkdir /data/d; {HELD}"), data=["shared:/data"])
    two = apart.submit(*script(HELD), data=["shared:/data"])
    runs = [apart.wait_running(job) for job in (one, two)]
    for job in (one, two):
        apart.wait_output(job, b"ready")
    uids = {_uid(_pid_of(apart, run)) for run in runs}
    assert len(uids) == 2
    assert not uids & {0, SERVER, OLD_JOB_UID}
    assert int((folder / "uid").read_text()) in uids
    assert _owners(folder) == {(SERVER, SERVER)}
    later = apart.run(*script("cat /data/uid; id -u >> /data/uid; touch /data/d/new /data/go"), data=["shared:/data"])
    assert later.state == "SUCCEEDED", apart.output(later.id)
    assert [apart.wait(job.id).state for job in (one, two)] == ["SUCCEEDED", "SUCCEEDED"]
    # What a job has closed to everybody the server can still read, and remove.
    assert apart.get(client.folders.get("shared").id, "uid").count(b"\n") == 2
    client.folders.remove("shared")
    until(lambda: not folder.exists(), "the folder's files are gone")
    apart.wait_nothing_left(one, two, later)


def test_a_killed_supervisor_comes_back_as_root_and_its_jobs_are_lost(apart: Installation) -> None:
    job = apart.submit(*script("echo ready; sleep 1000"))
    apart.wait_output(job, b"ready")
    before = apart.supervisor()
    apart.kill_supervisor()
    assert apart.wait(job.id).reason == "node-lost"
    assert apart.run("true").state == "SUCCEEDED"
    assert apart.supervisor() != before
    assert _uid(apart.supervisor()) == 0
    assert _uid(apart.pid) == SERVER


def test_killed_the_server_takes_its_keeper_along_and_jobs_go_on(apart: Installation) -> None:
    apart.client().folders.create("gate")
    job = apart.submit(*script(f"{HELD}; echo went on"), data=["gate:/data"])
    apart.wait_output(job, b"ready")
    supervisor, keeper = apart.supervisor(), apart.server
    apart.kill()
    assert keeper is not None
    assert keeper.returncode == -signal.SIGKILL
    apart.start()
    assert apart.supervisor() == supervisor
    apart.put(apart.client().folders.get("gate").id, "go", b"")
    assert apart.wait(job.id).state == "SUCCEEDED"
    assert b"went on" in apart.output(job.id)


def test_without_its_keeper_there_is_no_server(apart: Installation) -> None:
    assert apart.server is not None
    fd = os.pidfd_open(apart.pid)
    apart.server.kill()
    until(lambda: _gone(fd), "the server has ended")
    os.close(fd)
    assert apart.server.wait(10) == -signal.SIGKILL
    assert apart.server.stdout is not None
    apart.server.stdout.close()
    apart.server = None


def _gone(fd: int) -> bool:
    try:
        signal.pidfd_send_signal(fd, 0)
    except ProcessLookupError:
        return True
    return False


def test_root_ends_no_process_that_the_server_s_user_has_made_up(apart: Installation) -> None:
    lock = apart.data / "dais.lock"
    before = lock.read_text()
    with subprocess.Popen(["sleep", "1000"]) as other:
        lock.write_text(f"{other.pid}\n")
        done = apart.dais("down")
        assert done.returncode == 1
        assert b"it is not Dais" in done.stderr
        assert other.poll() is None
        other.kill()
    lock.write_text(before)
    assert apart.dais("down").returncode == 0
    assert apart.server is not None
    assert apart.server.wait(30) == 0
    assert apart.server.stdout is not None
    apart.server.stdout.close()
    apart.server = None


def test_root_never_serves_what_was_another_user_s(apart: Installation) -> None:
    """Else who has taken the server over needs only to see to it that it cannot be apart the next time."""
    apart.stop()
    trap = apart.data / "server.log"
    trap.unlink()
    trap.symlink_to("/etc/dais-was-here")
    refused = apart.dais("up", "--port", "0", DAIS_LOCAL_ISOLATION="process")
    assert refused.returncode == 1
    assert b"chown -hR root:root" in refused.stderr
    assert not Path("/etc/dais-was-here").exists()
    trap.unlink()
    apart.start()
    assert _uid(apart.pid) == SERVER


@pytest.fixture
def closed() -> Iterator[Path]:
    """A place that only root may enter, as a home of root's is."""
    with open_place() as place:
        (place / "root").mkdir(mode=0o700)
        yield place / "root"


@pytest.mark.slow
def test_where_it_cannot_be_apart_it_says_why_and_an_upgrade_hands_everything_over(closed: Path) -> None:
    """First as before: root's server, in a place that nobody else may enter; then as a newer Dais finds it."""
    with installation(closed) as installed:
        assert _uid(installed.pid) == 0
        answer = installed.dais("up", "--detach", "--data-dir", str(closed / "other"), "--port", "0", "--json")
        said = answer.stdout.decode()
        assert f"may not enter {closed}" in said
        assert "--data-dir" in said
        found = _doctor(installed, "split")
        assert (found["state"], f"may not enter {closed}" in found["finding"]) == ("weak", True)
        installed.dais("down", "--data-dir", str(closed / "other"))
        folder = installed.folder("old")
        installed.put(folder, "file", b"of before\n")
        ran = installed.run(*script("echo x > /data/made; id -u"), data=["old:/data"])
        assert ran.state == "SUCCEEDED"
        assert _uid(installed.supervisor()) == 0
        installed.stop()
        place = installed.data / "folders" / folder
        for path in (place, *place.rglob("*")):  # as the versions with one user for all jobs left it
            os.chown(path, OLD_JOB_UID, OLD_JOB_UID)
        (place / "out").symlink_to("/etc/hostname")
        closed.chmod(0o755)
        until(lambda: not (installed.node / "supervisor.sock").exists(), "the idle supervisor has ended")
        installed.start()
        assert _uid(installed.pid) == SERVER
        assert _owners(place) == {(SERVER, SERVER)}
        assert Path("/etc/hostname").stat().st_uid == 0
        assert installed.get(folder, "file") == b"of before\n"
        assert b"of before" in installed.output(installed.run("cat", "/data/file", data=["old:/data"]).id)
        assert installed.output(ran.id).strip().isdigit()
        assert installed.run(*script("echo y >> /data/made"), data=["old:/data"]).state == "SUCCEEDED"
