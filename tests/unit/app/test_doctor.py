"""What the doctor concludes from what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.app.build import load_settings
from dais.app.doctor.remedies import install
from dais.app.doctor.report import TABLE, report
from dais.app.doctor.types import Facts, Finding, Report, Supervisor
from dais.sdk.installation import Installation

SOUND: dict[str, Any] = {
    "bwrap": True,
    "user_namespace": True,
    "cgroup": "v2",
    "controllers": ["cpu", "memory", "pids"],
    "uid_drop": True,
    "uid_lease": True,
    "idmapped_mounts": True,
    "bind_staging": True,
    "terminal": True,
    "kernel": "6.1.0",
}


def concluded(tmp_path: Path, *, root: bool = True, supervisor: Supervisor | None = None, **probed: Any) -> Report:
    return report(
        Facts(
            data_dir=tmp_path,
            installation=Installation(state="stopped", data_dir=str(tmp_path)),
            supervisor=supervisor,
            probed=SOUND | probed,
            settings=load_settings(tmp_path, None),
            root=root,
        )
    )


def finding(found: Report, name: str) -> Finding:
    (one,) = [finding for finding in found.findings if finding.name == name]
    return one


@pytest.mark.parametrize(
    "probed, level",
    [
        ({}, "strong"),
        ({"uid_lease": "its file system has no id-mapped mounts"}, "shared"),
        ({"uid_drop": "not root: everything runs as the user who started it"}, "sandbox"),
        ({"bwrap": "bubblewrap is not installed"}, "process"),
    ],
)
def test_the_level_is_the_strongest_that_jobs_get(tmp_path: Path, probed: dict[str, Any], level: str) -> None:
    assert concluded(tmp_path, **probed).level == level


@pytest.mark.parametrize(
    "probed, name, remedy",
    [
        ({"bwrap": "bubblewrap is not installed (the program bwrap is not found)"}, "bwrap", "bubblewrap"),
        (
            {"bwrap": "AppArmor restricts … (kernel.apparmor_restrict_unprivileged_userns is 1)"},
            "bwrap",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"user_namespace": "user.max_user_namespaces is 0"}, "user_namespace", "sysctl -w user.max_user_namespaces"),
        ({"cgroup": "no control groups are mounted", "controllers": []}, "cgroup", "cgroup"),
        ({"controllers": ["cpu", "pids"]}, "controllers", "cgroup_enable=memory"),
    ],
)
def test_what_matters_is_bad_and_has_a_remedy(tmp_path: Path, probed: dict[str, Any], name: str, remedy: str) -> None:
    found = concluded(tmp_path, **probed)
    assert not found.sound
    assert finding(found, name).state == "bad"
    assert finding(found, name).consequence
    assert remedy in finding(found, name).remedy


def test_weaknesses_alone_are_sound(tmp_path: Path) -> None:
    found = concluded(tmp_path, seccomp="missing", userns_disabled="bwrap is old", idmapped_mounts="none")
    for name in ("userns_disabled", "idmapped_mounts", "seccomp"):
        assert finding(found, name).state == "weak"
        assert finding(found, name).consequence
    assert [one for one in found.findings if one.state == "bad"] == []
    assert found.sound


def test_what_only_a_newer_supervisor_knows_is_shown(tmp_path: Path) -> None:
    found = concluded(tmp_path, time_travel="the flux capacitor is missing")
    assert finding(found, "time_travel").section == "Isolation"
    assert finding(found, "time_travel").finding == "the flux capacitor is missing"


def test_everything_that_is_not_fine_says_what_follows(tmp_path: Path) -> None:
    reasons: dict[str, Any] = {key: f"{key} does not work" for key, value in SOUND.items() if value is True}
    found = concluded(
        tmp_path,
        root=False,
        cgroup="none",
        controllers=[],
        internet="there is no /dev/net/tun",
        split="none",
        **reasons,
    )
    for one in found.findings:
        if one.state in ("weak", "bad"):
            assert one.consequence, one


def test_names_in_the_table_are_unique() -> None:
    names = [check.name for checks in TABLE.values() for check in checks]
    assert len(names) == len(set(names))


def test_another_version_of_the_supervisor_is_told(tmp_path: Path) -> None:
    found = concluded(tmp_path, supervisor=Supervisor(pid=7, version="0.0.9", running=1, isolation=SOUND))
    assert "0.0.9" in finding(found, "supervisor").finding
    assert found.asked == "running"


@pytest.mark.parametrize(
    "release, command",
    [
        ("ID=debian\n", "apt install libseccomp2"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install libseccomp"),
        ("ID=arch\n", "pacman -S libseccomp"),
        ("ID=own\n", "package manager"),
    ],
)
def test_a_package_is_installed_in_the_words_of_the_distribution(tmp_path: Path, release: str, command: str) -> None:
    (tmp_path / "os-release").write_text(release)
    assert command in install("libseccomp2", tmp_path / "os-release")
