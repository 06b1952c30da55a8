"""Root file systems for tests: small ones, made of what the machine has."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.needs import needs_program

SYSTEM = "A small system"


def small_root(place: Path) -> Path:
    """A root with a shell and a few commands, all of them busybox."""
    busybox = needs_program("busybox", "busybox-static")
    (place / "bin").mkdir(parents=True)
    (place / "etc").mkdir()
    shutil.copy(busybox, place / "bin" / "busybox")
    for name in ("sh", "cat", "ls", "id", "rm", "env", "sleep"):
        (place / "bin" / name).symlink_to("/bin/busybox")
    (place / "etc" / "os-release").write_text(f'NAME=x\nPRETTY_NAME="{SYSTEM}"\n')
    return place


def python_root(place: Path) -> Path:
    """A small root with the machine's own Python."""
    python = Path("/usr/bin/python3").resolve()
    library = Path("/usr/lib") / python.name
    if not python.exists() or not library.is_dir():
        pytest.skip("needs a Python in /usr (package python3)")
    small_root(place)
    unneeded = shutil.ignore_patterns("__pycache__", "test", "dist-packages", "idlelib", "lib2to3", "config-*")
    shutil.copytree(library, place / library.relative_to("/"), symlinks=True, ignore=unneeded)
    (place / "usr" / "bin").mkdir()
    shutil.copy(python, place / "usr" / "bin")
    (place / "usr" / "bin" / "python3").symlink_to(python.name)
    _copy_libraries(place, python, *(library / "lib-dynload").glob("*.so"))
    return place


def glibc_root(place: Path) -> Path:
    """A small root with the machine's C library and a bash that is linked to it; no Python."""
    small_root(place)
    bash = needs_program("bash").resolve()
    shutil.copy(bash, place / "bin" / "bash")
    _copy_libraries(place, bash)
    return place


def archive(root: Path) -> bytes:
    """A root as a tar archive, with the directories that every image has; all of it is root's."""
    for name, mode in (("tmp", 0o1777), ("home", 0o755), ("var", 0o755)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        made.add(root, "")
    return buffer.getvalue()


def _copy_libraries(place: Path, *binaries: Path) -> None:
    """What they are linked to, at the same paths in the root."""
    listed = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=True).stdout.split()
    for word in {word for word in listed if word.startswith("/") and not word.endswith(":")}:
        target = place / word[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(word), target)
