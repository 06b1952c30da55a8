"""`dais doctor` as a person runs it: before Dais is up, while it runs, and where something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dais.app.doctor.facts import ask_supervisor, probe_now
from dais.engines.local import LocalSettings
from dais.node import start_supervisor, supervisor_command
from tests.support.needs import needs_bwrap, needs_root
from tests.support.operator import Operated, operated
from tests.support.supervisor import Control, Node, node

__all__ = ["node", "operated"]


def examined(operated: Operated, *options: str, **environment: str) -> tuple[int, dict[str, Any]]:
    done = operated.dais("doctor", "--json", *options, **environment)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def by_name(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in report["findings"]}


def test_before_the_first_start_it_tries_and_later_it_asks(operated: Operated) -> None:
    needs_bwrap()
    _, before = examined(operated)
    assert before["asked"] == "tried"
    assert before["level"] == ("strong" if os.geteuid() == 0 else "sandbox")
    assert not (operated.data_dir).exists(), "looking makes nothing"
    operated.up()
    _, running = examined(operated)
    assert (running["asked"], running["level"]) == ("running", before["level"])
    assert "runs at http" in by_name(running)["server"]["finding"]
    assert by_name(running)["supervisor"]["state"] == "fine"
    assert by_name(running)["bwrap"]["finding"] == by_name(before)["bwrap"]["finding"]
    assert "port" not in by_name(running)


def test_the_page_is_aligned_and_says_the_level_first(operated: Operated) -> None:
    lines = operated.dais("doctor").stdout.splitlines()
    assert lines[0].split() == ["isolation", json.loads(operated.dais("doctor", "--json").stdout)["level"]]
    marked = [line for line in lines if line[:2] == "  " and line[2] in "✓!✕·"]
    assert len(marked) > 10
    assert len({line.index(line[4:].split("  ")[-1].strip(), 4) for line in marked if line.count("  ") > 1}) == 1


def test_jobs_that_are_not_isolated_are_code_1_with_the_setting_that_does_it(operated: Operated) -> None:
    needs_bwrap()
    code, report = examined(operated, DAIS_LOCAL_ISOLATION="process")
    assert (code, report["level"], report["sound"]) == (1, "process", False)
    assert "DAIS_LOCAL_ISOLATION" in by_name(report)["mode"]["remedy"]


def test_a_wrong_setting_is_a_finding_and_no_crash(operated: Operated) -> None:
    code, report = examined(operated, DAIS_SERVER_PROT="1")
    assert code == 1
    assert "DAIS_SERVER_PORT" in by_name(report)["settings"]["finding"]


def test_a_database_that_does_not_answer_is_a_finding(operated: Operated) -> None:
    code, report = examined(operated, DAIS_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert code == 1
    assert by_name(report)["database"]["state"] == "bad"


def test_root_is_told_why_the_server_would_stay_root(operated: Operated) -> None:
    needs_root()
    needs_bwrap()
    closed = operated.home / "closed"
    closed.mkdir(mode=0o700)
    _, report = examined(operated, "--data-dir", str(closed / "data"))
    split = by_name(report)["split"]
    assert split["state"] == "weak"
    assert str(closed) in split["finding"] or "may not enter" in split["finding"]
    assert split["remedy"] == "dais up --data-dir /var/lib/dais"


def test_looking_does_not_disturb_the_server_s_connection(node: Node) -> None:
    start_supervisor(str(node.directory))
    control: Control = node.connect()
    told = ask_supervisor(node.directory)
    assert told is not None
    assert (told.pid, told.isolation) == (control.hello["pid"], control.hello["isolation"])
    control.sync()


def test_trying_leaves_no_control_group_and_no_process(tmp_path: Path) -> None:
    def groups() -> set[str]:
        return {name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith("dais-probe-")}

    before = groups()
    assert "bwrap" in probe_now(tmp_path, LocalSettings())
    assert groups() <= before


@pytest.mark.parametrize("identity", [61_234])
def test_an_ordinary_user_is_told_what_is_missing_to_be_root(identity: int) -> None:
    needs_root()
    needs_bwrap()
    command = ["setpriv", "--reuid", str(identity), "--regid", str(identity), "--clear-groups"]
    argv = [*command, "/usr/bin/python3", *supervisor_command(sys.executable)[1:], "--probe"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd="/", env={})
    found = json.loads(done.stdout)
    assert found["bwrap"] is True
    assert "not root" in found["uid_drop"]
