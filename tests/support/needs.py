"""What a test needs from the system: each helper returns when it is there, and else skips the test with the reason."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

UNPRIVILEGED = 65534
"""The user that probes are run as when the tests run as root."""


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")


def needs_ordinary_user() -> None:
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user, and these tests run as root")


def needs_program(name: str, package: str | None = None) -> Path:
    """The path of a program on PATH."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs the program {name} (package {package or name})")
    return Path(found)


def needs_bwrap() -> Path:
    """The path of a bubblewrap that has been seen to make a sandbox as an ordinary user."""
    program = needs_program("bwrap", "bubblewrap")
    problem = _bwrap_problem(str(program))
    if problem:
        pytest.skip(f"needs a working bwrap: {problem}")
    return program


def needs_postgres() -> Path:
    """The directory with PostgreSQL's server programs (the newest version found)."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server programs (package postgresql)")
    if os.geteuid() == 0:
        needs_program("setpriv", "util-linux")
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        pytest.skip(f"needs a user that has a name, for PostgreSQL, and user {os.geteuid()} has none")
    return programs


def needs_chromium() -> Path:
    """The path of a Chromium that a browser test can drive."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    pytest.skip("needs a browser (package chromium)")


def needs_cgroups(*controllers: str) -> None:
    """Control groups that these tests may create, with the controllers named (`memory` unless told)."""
    for controller in controllers or ("memory",):
        problem = _cgroup_problem(controller)
        if problem:
            pytest.skip(f"needs the cgroup controller {controller}: {problem}")


@functools.cache
def postgres_programs() -> Path | None:
    """The directory that holds `initdb` and `postgres`; None where PostgreSQL is not installed."""
    homes = Path("/usr/lib/postgresql").glob("[0-9]*")
    versions = sorted((int(home.name) for home in homes if home.name.isdigit()), reverse=True)
    places = [Path(f"/usr/lib/postgresql/{version}/bin") for version in versions]
    on_path = shutil.which("initdb")
    if on_path is not None:
        places.append(Path(on_path).resolve().parent)
    for place in places:
        if all(os.access(place / name, os.X_OK) for name in ("initdb", "postgres")):
            return place
    return None


@functools.cache
def _bwrap_problem(program: str) -> str | None:
    command = [program, "--unshare-user", "--unshare-pid", "--unshare-net", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        link = Path("/") / name
        if link.is_symlink():
            command += ["--symlink", str(link.readlink()), str(link)]
        elif link.is_dir():
            command += ["--ro-bind", str(link), str(link)]
    command += ["--proc", "/proc", "--dev", "/dev", "/bin/true"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            return "setpriv (package util-linux) is missing"
        user = ["--reuid", str(UNPRIVILEGED), "--regid", str(UNPRIVILEGED), "--clear-groups"]
        command = ["setpriv", *user, "--", *command]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd="/")
    return None if result.returncode == 0 else result.stderr.strip() or f"it ended with {result.returncode}"


@functools.cache
def _cgroup_problem(controller: str) -> str | None:
    parent = cgroup_directory(controller)
    if parent is None:
        return "it is not mounted, or not handed down to this process"
    probe = parent / f"dais-test-{os.getpid()}"
    try:
        probe.mkdir()
    except OSError as error:
        return f"{probe} cannot be created ({error.strerror})"
    try:
        probe.rmdir()
    except OSError as error:
        return f"{probe} cannot be removed ({error.strerror})"
    return None


def cgroup_directory(controller: str) -> Path | None:
    """The root directory of a mounted controller: its own hierarchy (v1), or the unified one that has it (v2)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        point, fields = Path(head.split()[4]), tail.split()
        if fields[0] == "cgroup" and controller in fields[2].split(","):
            return point
        if fields[0] == "cgroup2":
            try:
                available = (point / "cgroup.controllers").read_text().split()
            except OSError:
                continue
            if controller in available:
                return point
    return None
