"""Runs the attacks: once for each level, by the user of that level, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.fortress import PROGRAMS, Outcome
from tests.support.needs import needs_bwrap, needs_program, needs_root

ROOT = Path(__file__).resolve().parents[2]
USER = 61_777
"""Who is an ordinary user when the tests run as root; nobody else's processes are near."""
SECONDS = 240
_SYS_ADMIN = 1 << 21

Strike = Callable[[str, bool, bool], dict[str, Outcome]]


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A place outside of /tmp, which sandboxes cover, that other users may pass through."""
    place = Path(tempfile.mkdtemp(prefix="dais-attacks-", dir="/var/tmp"))
    place.chmod(0o755)
    programs = place / "programs"
    programs.mkdir()
    if os.geteuid() == 0:
        for name in ("setuid", "capable"):
            shutil.copy("/bin/cat", programs / name)
        (programs / "setuid").chmod(0o4755)
        capability = struct.pack("<5I", 0x02000001, _SYS_ADMIN, 0, 0, 0)
        try:
            os.setxattr(programs / "capable", "security.capability", capability)
        except OSError:
            (programs / "capable").unlink()
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def strike(ground: Path) -> Strike:
    """Everything that was tried at a level: (level, as root, with protections taken away) → outcomes by name."""
    made: dict[tuple[str, bool, bool], dict[str, Outcome]] = {}

    def run(level: str, root: bool, weakened: bool) -> dict[str, Outcome]:
        key = (level, root, weakened)
        if key not in made:
            made[key] = _drive(ground, level, root=root, weakened=weakened)
        return made[key]

    return run


def _drive(ground: Path, level: str, *, root: bool, weakened: bool) -> dict[str, Outcome]:
    if level != "process":
        needs_bwrap()
    if root:
        needs_root()
    argv: list[str] = [sys.executable, "-m", "tests.attacks.drive", level]
    place = ground / f"{level}-{root}-{weakened}"
    place.mkdir()
    if not root and os.geteuid() == 0:
        setpriv = needs_program("setpriv", "util-linux")
        os.chown(place, USER, USER)
        argv = [str(setpriv), "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--", *argv]
        if subprocess.run([*argv[:6], sys.executable, "-c", "import dais.engines.local"], env=_environment(ground),
                          capture_output=True, check=False, timeout=60).returncode:  # fmt: skip
            pytest.skip(f"needs a Python and sources that user {USER} may read ({sys.executable}, {ROOT})")
    argv += [str(place / "fortress"), *(["--mutations"] if weakened else [])]
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=ROOT, env=_environment(ground), check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: Outcome(**outcome) for name, outcome in found.items()}


def _environment(ground: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "HOME": "/nonexistent",
        PROGRAMS: str(ground / "programs"),
    }
