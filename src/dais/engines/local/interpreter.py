"""The Python that jobs of the image `host` run with: the first that the job's user can really execute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

LEAST_VERSION = (3, 9)

_ask = (
    "import json, sys; print(json.dumps([sys.executable, getattr(sys, '_base_executable', sys.executable),"
    " sys.base_prefix, list(sys.version_info[:3])]))"
)


class Interpreter(msgspec.Struct, frozen=True):
    """A Python outside any virtual environment. `prefix` is what must be bound to use it, None when it is in /usr."""

    path: str
    version: str
    prefix: str | None = None


class NoInterpreter(Exception):
    """No Python that the job's user can execute; `args[0]` says what was tried and what to do."""


def candidates() -> list[str]:
    """Where a Python may be, the system's own first: it is there for every user."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = Path(sys.base_prefix) / "bin"
    places = [
        "/usr/bin/python3",
        "/usr/local/bin/python3",
        getattr(sys, "_base_executable", None) or sys.executable,
        str(base / version),
        str(base / "python3"),
        "/opt/conda/bin/python3",
        "/opt/homebrew/bin/python3",
        *(f"/usr/bin/python3.{minor}" for minor in range(14, LEAST_VERSION[1] - 1, -1)),
        *(f"/usr/local/bin/python3.{minor}" for minor in range(14, LEAST_VERSION[1] - 1, -1)),
    ]
    return list(dict.fromkeys(places))


def find_interpreter(uid: int | None, gid: int | None, places: Iterable[str] | None = None) -> Interpreter:
    """Try each place as this user (None: as ourselves) and take the first that works. Blocks for some 50 ms.

    Raises NoInterpreter with what was wrong at each place that was named or exists.
    """
    problems: list[str] = []
    for place in candidates() if places is None else places:
        if not Path(place).exists():
            if places is not None:
                problems.append(f"{place}: there is no such file")
            continue
        found = _try(place, uid, gid)
        if isinstance(found, Interpreter):
            return found
        problems.append(f"{place}: {found}")
    tried = "; ".join(problems) or "none was found"
    version = ".".join(map(str, LEAST_VERSION))
    whom = "" if uid is None else f" that user {uid} can execute"
    raise NoInterpreter(f"no Python >= {version}{whom} ({tried}); install one in /usr/bin (Debian: python3)")


def _try(place: str, uid: int | None, gid: int | None) -> Interpreter | str:
    """The interpreter at a place, or why it cannot be used."""
    try:
        answer = _run([place, "-I", "-S", "-c", _ask], uid, gid)
        executable, base, prefix, version = json.loads(answer)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    except ValueError:
        return "it does not answer like a Python"
    if tuple(version) < LEAST_VERSION:
        return f"it is Python {'.'.join(map(str, version))}"
    # A virtual environment's python is asked for the one behind it, which jobs see under its real name.
    path = place if executable == base else base
    real_prefix = os.path.realpath(prefix)
    text = ".".join(map(str, version))
    if _in_usr(real_prefix) and _in_usr(os.path.realpath(path)):
        return Interpreter(path if _in_usr(path) else os.path.realpath(path), text)
    return Interpreter(os.path.realpath(path), text, real_prefix)


def _in_usr(path: str) -> bool:
    return path == "/usr" or path.startswith("/usr/")


def _run(argv: Sequence[str], uid: int | None, gid: int | None) -> str:
    result = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd="/",
        env={},
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
    if result.returncode != 0:
        last = result.stderr.strip().splitlines()[-1:]
        raise OSError(last[0] if last else f"it ended with {result.returncode}")
    return result.stdout
