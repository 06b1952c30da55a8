"""What a daemon is asked for, and what is believed of what a container tells: pure functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dais.engines.container.calls import narrowed, podman_profile
from dais.engines.container.document import Host, Places, create_document, refuse, user_of
from dais.engines.container.machine import gpu_problem, limits_of
from dais.engines.container.memory import environment
from dais.engines.container.options import ContainerOptions, Kind
from dais.engines.container.outcome import Facts, facts_of, outcome
from dais.engines.container.store import Stop
from dais.engines.container.usage import as_usage
from dais.engines.contract import Bind, LaunchRefused, LaunchSpec, Phase, Status
from dais.engines.contract.status import Others

PLACES = Places("/kit", "/dev/shm/dais-x/a", "/data/attempts/a/log")
IMAGE = {"Id": "sha256:1", "Config": {"Env": ["PATH=/bin", "LD_PRELOAD=/lib/evil.so"], "Entrypoint": ["/entry"]}}
UUIDS = ("GPU-11111111-2222-3333-4444-555555555555", "GPU-99999999-2222-3333-4444-555555555555")


def document(kind: Kind = "docker", image: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    values = {"attempt_id": "a", "argv": ("true",), "env": {"SECRET": "hidden"}, "image": "x", "uid": 7, "gid": 8}
    spec = LaunchSpec(**{**values, **fields})
    return create_document(spec, image or IMAGE, PLACES, ContainerOptions(), Host(kind))


def test_exactly_the_gpus_of_the_job_are_asked_for() -> None:
    assert "DeviceRequests" not in document()["HostConfig"]
    [request] = document(gpus=UUIDS)["HostConfig"]["DeviceRequests"]
    assert request["DeviceIDs"] == list(UUIDS)
    assert "Count" not in request
    assert request["Driver"] == "nvidia"
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]
    [request] = document("podman", gpus=UUIDS)["HostConfig"]["DeviceRequests"]
    assert request == {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={uuid}" for uuid in UUIDS]}


def test_a_podman_that_would_give_no_gpus_offers_none() -> None:
    assert gpu_problem("docker", "20.10.24") is None
    assert gpu_problem("podman", "5.4.0-dev") is None
    assert "4.3.1" in (gpu_problem("podman", "4.3.1") or "")


def test_secrets_and_the_images_loader_variables_are_not_in_what_the_daemon_keeps() -> None:
    made = document()
    assert "hidden" not in json.dumps(made)
    assert made["Env"] == ["LD_PRELOAD="]
    assert made["User"] == "7:8"
    assert environment(IMAGE["Config"]["Env"], {"PATH": "/own"})[b"PATH"] == b"/own"  # type: ignore[index]


def test_an_image_may_ask_for_a_root_that_can_be_written() -> None:
    assert document()["HostConfig"]["ReadonlyRootfs"] is True
    writable = {**IMAGE, "Config": {"Labels": {"dais.root": "writable"}}}
    assert document(image=writable)["HostConfig"]["ReadonlyRootfs"] is False


@pytest.mark.parametrize("target", ["/", "/opt/dais/run", "/opt/dais/launch/", "relative"])
def test_nothing_is_mounted_over_what_dais_needs(target: str) -> None:
    with pytest.raises(LaunchRefused, match="nothing can be mounted"):
        document(binds=(Bind(source="/data/x", target=target),))


def test_who_may_not_be_the_user_of_a_container() -> None:
    spec = LaunchSpec(attempt_id="a", argv=("true",), env={}, image="x")
    assert user_of(spec, Host("docker", uid=1000, gid=1001)) == (1000, 1001)
    with pytest.raises(LaunchRefused, match="do not run as root"):
        user_of(spec, Host("docker", uid=0))
    other = LaunchSpec(attempt_id="a", argv=("true",), env={}, image="x", uid=5)
    with pytest.raises(LaunchRefused, match="as that user only"):
        user_of(other, Host("docker", uid=1000))
    assert user_of(spec, Host("docker", rootless=True, uid=1000)) == (0, 0)
    with pytest.raises(LaunchRefused, match="needs an image"):
        refuse(LaunchSpec(attempt_id="a", argv=("true",), env={}), ContainerOptions())


def test_podmans_list_of_system_calls_is_narrowed(tmp_path: Path) -> None:
    own = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["read", "mount", "clone", "clone3"], "action": "x"}],
    }
    rules = narrowed(own)["syscalls"]
    assert rules[0]["names"] == ["read"]
    assert [rule["args"] for rule in rules if rule["names"] == ["clone"]] == [
        [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    ]
    (tmp_path / "own.json").write_text(json.dumps(own))
    assert podman_profile(tmp_path, [str(tmp_path / "absent"), str(tmp_path / "own.json")]) == tmp_path / "seccomp.json"
    assert podman_profile(tmp_path, [str(tmp_path / "absent")]) is None


BEFORE = Status(attempt_id="a", phase=Phase.RUNNING, started_at=10)
ENDED = Facts(running=False, exit_code=137, ended_at=20)
REPORT = {"reason": "", "exit_code": 3, "signal": None, "oom": False, "at": 30, "log_bytes": 4, "log_truncated": False}


def ends(report: Any, facts: Facts | None = ENDED, stop: Stop | None = None) -> Status:
    return outcome(BEFORE, report, facts, stop, 64, 40)


def test_how_an_attempt_ended() -> None:
    assert (ends(REPORT).reason, ends(REPORT).exit_code, ends(REPORT).ended_at) == ("exit-code", 3, 30)
    assert ends({**REPORT, "exit_code": None, "signal": 9}).reason == "signal"
    assert ends({**REPORT, "exit_code": None, "signal": 9, "oom": True}).reason == "out-of-memory"
    assert ends({**REPORT, "exit_code": 0, "oom": True}).reason == "exit-code"
    assert ends({**REPORT, "reason": "time-limit"}).reason == "time-limit"
    stopped = ends({**REPORT, "reason": "stopped"}, stop=Stop(cause="stopped", reason="why"))
    assert (stopped.reason, stopped.stop_reason) == ("stopped", "why")
    lost = ends(None)
    assert (lost.phase, lost.reason) == (Phase.LOST, "node-lost")
    assert ends(None, None).phase is Phase.LOST
    assert ends(None, Facts(running=False, exit_code=137, out_of_memory=True)).reason == "out-of-memory"
    failed = ends(None, Facts(running=False, exit_code=126, words="no loader"))
    assert failed.reason == "launch-failed"
    assert "no loader" in (failed.detail or "")


@pytest.mark.parametrize(
    "forged",
    [
        [],
        {},
        {"reason": "won"},
        {**REPORT, "exit_code": "0"},
        {**REPORT, "exit_code": None},
        {**REPORT, "exit_code": -1},
    ],
)
def test_a_report_that_cannot_be_is_none(forged: Any) -> None:
    assert ends(forged).reason == "node-lost"


def test_a_report_lies_about_numbers_in_vain() -> None:
    end = ends({**REPORT, "memory_peak": "much", "cpu_seconds": -5, "log_bytes": 1 << 70, "at": True})
    assert (end.reason, end.memory_peak, end.cpu_seconds, end.ended_at) == ("exit-code", None, None, 20)


def test_facts_of_both_daemons() -> None:
    state = {"Status": "exited", "Running": False, "ExitCode": 1, "StartedAt": "2026-11-26T21:37:35.527251143Z"}
    facts = facts_of({"State": {**state, "FinishedAt": "0001-01-01T00:00:00Z"}})
    assert (facts.running, facts.exit_code, facts.ended_at) == (False, 1, None)
    assert facts.started_at == 1795729055527251
    zoned = facts_of({"State": {"StartedAt": "2026-11-26T22:37:35.5+01:00", "Status": "stopping"}})
    assert (zoned.started_at, zoned.running) == (1795729055500000, True)


def test_what_others_may_use_counts() -> None:
    assert limits_of({"NanoCpus": 1_500_000_000, "Memory": 64}, 0) == Others(cpu_millis=1500, memory=64)
    assert limits_of({"CpuQuota": 50_000, "CpuPeriod": 100_000}, 0).cpu_millis == 500
    assert limits_of({"DeviceRequests": [{"Count": -1}]}, 4).gpu == 4
    assert limits_of({"DeviceRequests": [{"DeviceIDs": ["a", "b"]}]}, 4).gpu == 2


def test_pages_that_can_be_dropped_are_not_used() -> None:
    stats = {
        "memory_stats": {"usage": 100, "max_usage": 150, "stats": {"total_inactive_file": 40}},
        "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        "pids_stats": {"current": 3},
    }
    used = as_usage(stats)
    assert (used.memory, used.memory_peak, used.cpu_seconds, used.pids) == (60, 150, 2.5, 3)
