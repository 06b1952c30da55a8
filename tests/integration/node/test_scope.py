"""The supervisor's scope below systemd. No systemd runs here: what is asked of `systemd-run` is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.node.launcher import connect, start_supervisor
from dais.node.scope import scope_command
from tests.support.supervisor import Control, until

RUN = """#!/bin/sh
echo "$@" > {asked}
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def listens(node: Path) -> bool:
    try:
        connect(str(node)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with a `systemd-run` that notes what it was asked, and runs the command."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "systemd-run").write_text(RUN.format(asked=tmp_path / "asked"))
    (directory / "systemd-run").chmod(0o755)
    return directory


@pytest.mark.parametrize(
    "own, options",
    [
        ("/system.slice/dais.service", ["--scope"]),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/dais.service", ["--user", "--scope"]),
    ],
)
def test_in_a_service_the_supervisor_gets_a_delegated_scope(
    programs: Path, tmp_path: Path, own: str, options: list[str]
) -> None:
    command = scope_command(own, booted=str(tmp_path), path=f"/nowhere:{programs}")
    assert command[0] == f"{programs}/systemd-run"
    assert command[1 : len(options) + 1] == options
    assert command[-3:] == ["-p", "Delegate=yes", "--"]


def test_elsewhere_it_gets_none(programs: Path, tmp_path: Path) -> None:
    path = str(programs)
    assert scope_command("/user.slice/session-3.scope", booted=str(tmp_path), path=path) == []
    assert scope_command("/", booted=str(tmp_path), path=path) == []
    assert scope_command("/system.slice/dais.service", booted=str(tmp_path / "no"), path=path) == []
    assert scope_command("/system.slice/dais.service", booted=str(tmp_path), path="/nowhere") == []


@pytest.mark.parametrize("works", [True, False])
def test_a_supervisor_starts_in_its_scope_and_without_where_that_fails(
    programs: Path, tmp_path: Path, works: bool
) -> None:
    node = tmp_path / "node"
    if not works:
        (programs / "systemd-run").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    start_supervisor(str(node), scope=scope_command("/x/dais.service", booted=str(tmp_path), path=str(programs)))
    until(lambda: listens(node), "the supervisor listens")
    asked = tmp_path / "asked"
    assert asked.exists() == works
    if works:
        assert "--scope" in asked.read_text()
    else:
        assert "no bus" in (node / "supervisor.log").read_text()
    control = Control(node)
    control.send(op="shutdown", kill=True)
    control.close()
    until(lambda: not (node / "supervisor.sock").exists(), "the supervisor has ended")
