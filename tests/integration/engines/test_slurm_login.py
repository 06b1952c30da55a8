"""Slurm's commands are on a login node alone, which OpenSSH's own server lets us into."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dais.engines.contract import LaunchSpec, Phase
from dais.engines.slurm import SlurmEngine, SlurmOptions, check
from dais.engines.slurm.commands import Commands, Failed, Unreachable
from dais.kit.ids import new_id
from tests.support.engines import read_log, shell, watching
from tests.support.slurm import Cluster
from tests.support.sshd import LoginNode, login_node
from tests.support.users import local_user

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def node() -> Iterator[LoginNode]:
    with local_user() as user, login_node(user) as made:
        yield made


@pytest.fixture
def directory(slurm: Cluster, node: LoginNode) -> Iterator[Path]:
    """One for a group of the login node's user."""
    made = slurm.place / f"of-{node.user.pw_name}"
    made.mkdir()
    shutil.chown(made, node.user.pw_uid, node.user.pw_gid)
    yield made
    shutil.rmtree(made)


def options(slurm: Cluster, node: LoginNode, **fields: Any) -> SlurmOptions:
    """Ssh belongs to the user that it logs in as, which the server would be."""
    ours = {"login": node.name, "ssh": node.options(), "user": node.user.pw_name}
    return slurm.options(**(ours | fields))


async def test_jobs_run_through_a_login_node_by_one_connection(
    slurm: Cluster, node: LoginNode, directory: Path
) -> None:
    before = node.connections
    engine = SlurmEngine(options(slurm, node), directory)
    await engine.start()
    try:
        words = [*(shell(("print", f"job {number}")) for number in range(3)), shell(("sleep-forever",))]
        isolation = (await engine.host_tools()).isolation
        specs = [
            LaunchSpec(attempt_id=new_id(), argv=argv, env={"PATH": "/usr/bin:/bin"}, isolation=isolation)
            for argv in words
        ]
        async with watching(engine) as watcher:
            handles = await engine.launch(specs)
            ends = [await watcher.over(spec.attempt_id) for spec in specs[:3]]
            await watcher.running(specs[3].attempt_id)
            await engine.stop(handles[3], grace=1, reason="user-request")
            stopped = await watcher.over(specs[3].attempt_id)
        assert [(end.phase, end.exit_code) for end in ends] == [(Phase.ENDED, 0)] * 3
        assert stopped.stop_reason == "user-request"
        logs = [await read_log(engine, handle) for handle in handles[:3]]
        assert [b"".join(frame.data for frame in log) for log in logs] == [b"job 0\n", b"job 1\n", b"job 2\n"]
    finally:
        await engine.close()
    assert sum(engine.commands.calls.values()) > 6
    # Some that begin at the same time each find that there is none yet.
    assert node.connections - before < 6


async def test_a_login_node_that_works_is_sound(slurm: Cluster, node: LoginNode, directory: Path) -> None:
    report = await check(options(slurm, node), data_dir=directory)
    assert report.sound, report.findings
    assert f"on {node.name}" in report.findings[2].detail


async def test_why_a_login_node_cannot_be_used_is_told_with_what_mends_it(
    slurm: Cluster, node: LoginNode, directory: Path
) -> None:
    stranger = node.new_key("stranger")
    unknown, changed = node.place / "unknown", node.place / "changed"
    unknown.touch()
    kind, content, *_ = stranger.with_suffix(".pub").read_text().split()
    changed.write_text(f"[127.0.0.1]:{node.port} {kind} {content}\n")
    cases: dict[str, dict[str, Any]] = {
        "is not known to the server's user: log in once": {"ssh": node.options(known=unknown)},
        "is not the one that is known": {"ssh": node.options(known=changed)},
        "does not let the server's user in": {"ssh": node.options(key=stranger)},
        "cannot be reached by ssh": {"ssh": (*node.options()[1:], "-oPort=1")},
        "is not found among the commands": {"bin": "/nothing"},
    }
    for words, fields in cases.items():
        report = await check(options(slurm, node, **fields), data_dir=directory)
        assert not report.sound
        last = report.findings[-1]
        assert (last.name, last.ok) == ("commands", False)
        assert words in last.detail, last.detail
        assert last.remedy


async def test_a_command_that_hangs_there_is_given_up(slurm: Cluster, node: LoginNode) -> None:
    commands = Commands(options(slurm, node, bin="/usr/bin"), seconds=1)
    try:
        with pytest.raises(Unreachable, match="sleep did not end within 1 s"):
            await commands.run("sleep", "600")
        with pytest.raises(Failed):
            await commands.run("false")
    finally:
        commands.close()
