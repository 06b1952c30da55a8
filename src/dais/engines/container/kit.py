"""The runner kit: an interpreter with its libraries and its loader, and our programs, in one directory.

It is mounted read-only into every container, so that images need neither Python nor the same C library. It is a copy of
what the server itself runs on; made once for each version of both, in some seconds and 40 MB.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from dais.node import logs

RUNNER = "/opt/dais/runner"
"""Where it is in containers."""
PYTHON = (f"{RUNNER}/ld.so", "--library-path", f"{RUNNER}/lib/shared", f"{RUNNER}/bin/python3")
"""What runs its interpreter there."""

_left_out = ("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "pydoc_data")
_left_out_of_stdlib = (*_left_out, "dist-packages", "__pycache__", "config-*", "EXTERNALLY-MANAGED")
_seconds = 60.0
_inside = Path(__file__).with_name("inside")


class NoKit(OSError):
    """The kit cannot be made here; `args[0]` says why."""


def command(program: str, *arguments: str) -> list[str]:
    """What runs one of our programs in a container."""
    # Imported, for what is run as a file is compiled each time.
    line = f"import sys; sys.path.insert(0, '{RUNNER}/inside'); import {program}; {program}.main()"
    return [*PYTHON, "-I", "-S", "-B", "-c", line, *arguments]


def make_kit(parent: Path) -> Path:
    """The kit's directory below `parent`; makes it when there is none of this version. Raises NoKit. Blocks."""
    interpreter = Path(getattr(sys, "_base_executable", sys.executable) or sys.executable).resolve()
    directory = parent / _key(interpreter)
    if directory.is_dir():
        return directory
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=parent))
    try:
        _fill(made, interpreter)
        made.chmod(0o755)
        made.rename(directory)
    except (OSError, subprocess.SubprocessError) as error:
        if directory.is_dir():  # another server was faster
            return directory
        raise NoKit(f"the runner kit cannot be made from {interpreter}: {error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return directory


def remove_kits(parent: Path, keep: set[str]) -> None:
    """Remove the kits of earlier versions, but for those of these names. Blocks."""
    for other in parent.iterdir():
        if other.name not in keep:
            shutil.rmtree(other, ignore_errors=True)


def _key(interpreter: Path) -> str:
    digest = hashlib.sha256(f"{interpreter} {interpreter.stat().st_mtime_ns} {sys.version}".encode())
    for file in _programs():
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _programs() -> list[Path]:
    return [*sorted(_inside.glob("[a-z]*.py")), Path(logs.__file__)]


def _fill(made: Path, interpreter: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library, shared = made / "lib" / version, made / "lib" / "shared"
    (made / "bin").mkdir()
    shared.mkdir(parents=True)
    shutil.copy(interpreter, made / "bin/python3")
    shutil.copytree(
        sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}),
        library,
        ignore=shutil.ignore_patterns(*_left_out_of_stdlib),
        symlinks=False,
        ignore_dangling_symlinks=True,
    )
    loader = _loader(interpreter)
    shutil.copy(loader, made / "ld.so")
    needed: set[Path] = set()
    for binary in [interpreter, *library.glob("lib-dynload/*.so")]:
        needed |= _libraries(loader, binary)
    for path in needed:
        shutil.copy(path, shared / path.name)
    inside = made / "inside"
    inside.mkdir()
    for file in _programs():
        shutil.copy(file, inside / file.name)
    compileall.compile_dir(inside, quiet=2, workers=1)
    compileall.compile_dir(library, quiet=2, workers=1)
    for path in [made, *made.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) or path.parent == shared else 0o644)


def _loader(interpreter: Path) -> Path:
    """The program that the kernel starts for the interpreter, as its header names it."""
    head = interpreter.read_bytes()[:8192]
    found = re.search(rb"/[\w./-]*ld-[\w.-]+\.so[\w.]*", head)
    if found is None:
        raise NoKit(f"{interpreter} names no loader; install a Python that is linked dynamically")
    return Path(os.fsdecode(found[0])).resolve()


def _libraries(loader: Path, binary: Path) -> set[Path]:
    done = subprocess.run(
        [loader, "--list", binary], capture_output=True, text=True, timeout=_seconds, check=False, env={}
    )
    found = re.findall(r"=> (/\S+)", done.stdout)
    # Its name is what others ask for; what it is a link to is what is copied.
    return {Path(name) for name in found}
