"""What an environment is built from, read out of a job's staged source. Pure functions of files.

Nested `-r` and `-c` files are followed inside the source only. Local paths and editable installs are refused: an
environment is a function of its requirements, and the job's own code is on its path already.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

from dais.kit.errors import Invalid

AUTOMATIC = ("requirements.txt", "pyproject.toml")
"""The files that are looked for when a job names none, in this order."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 8

_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_include = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]+(?P<path>\S+)")
_local = re.compile(r"(?:-e|--editable)\b|\.{0,2}/|file:|[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*@\s*file:")

Reader = Callable[[str], bytes | None]
"""Gives the content of a file of the source by its path, or None when it is not there."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """Files for the builder, by path; `main` is the one to install from."""

    main: str
    files: dict[str, str]

    def digest(self, *context: str) -> str:
        """A hash of what is installed: comments and blank lines do not count. `context`: interpreter, platform."""
        hashed = hashlib.sha256()
        for part in (*context, self.main):
            hashed.update(part.encode() + b"\0")
        for path in sorted(self.files):
            lines = [line for raw in self.files[path].splitlines() if (line := _bare(raw))]
            hashed.update("\0".join([path, *lines, ""]).encode())
        return hashed.hexdigest()


def find_requirements(read: Reader, wanted: str | None) -> Requirements | None:
    """The requirements of a source; None when it has none or the job wants none (`wanted` is "").

    Raises Invalid `bad-requirements` naming file and line.
    """
    if wanted == "":
        return None
    for path in (wanted,) if wanted is not None else AUTOMATIC:
        content = read(path)
        if content is None:
            continue
        if path.endswith(".toml"):
            return _from_pyproject(path, _text(path, content))
        files: dict[str, str] = {}
        _collect(read, path, _text(path, content), files, 0)
        return Requirements(path, files) if any(_bare(line) for line in files[path].splitlines()) else None
    if wanted is not None:
        raise _bad(f"the source has no file {wanted!r} to build the environment from")
    return None


def _from_pyproject(path: str, text: str) -> Requirements | None:
    try:
        project = tomllib.loads(text).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise _bad(f"{path} is not valid TOML: {error}") from error
    lines = project.get("dependencies", []) if isinstance(project, dict) else []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _bad(f"{path}: project.dependencies must be a list of strings")
    for number, line in enumerate(lines, 1):
        _refuse_local(path, number, line)
    return Requirements("requirements.txt", {"requirements.txt": "\n".join(lines) + "\n"}) if lines else None


def _collect(read: Reader, path: str, text: str, files: dict[str, str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _bad(f"{path}: requirement files include each other more than {MAX_DEPTH} deep")
    files[path] = text
    for number, raw in enumerate(text.splitlines(), 1):
        line = _bare(raw)
        include = _include.match(line)
        if include is None:
            _refuse_local(path, number, line)
            continue
        nested = _resolve(path, include["path"], number)
        if nested in files:
            continue
        content = read(nested)
        if content is None:
            raise _bad(f"{path}, line {number}: the source has no file {nested!r}")
        _collect(read, nested, _text(nested, content), files, depth + 1)


def _resolve(path: str, target: str, number: int) -> str:
    """`target` as named in the file `path`, relative to the source's root."""
    parts = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise _bad(f"{path}, line {number}: {target!r} lies outside the source")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if target.startswith("/") or "://" in target:
        raise _bad(f"{path}, line {number}: {target!r} is not a file of the source")
    return "/".join(parts)


def _refuse_local(path: str, number: int, line: str) -> None:
    if _local.match(line):
        raise _bad(
            f"{path}, line {number}: {line!r} is a local path; environments are built from published packages. "
            "Leave it out: the job runs in the directory of its source, so its own modules can be imported"
        )
    if line and not line.startswith("-") and not _name.match(line) and not re.match(r"(?:https?|git\+https)://", line):
        raise _bad(f"{path}, line {number}: {line!r} is not a requirement")


def _bare(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def _text(path: str, content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _bad(f"{path} has {len(content):,} bytes; requirement files may have {MAX_BYTES:,}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _bad(f"{path} is not UTF-8 text: {error}") from error


def _bad(message: str) -> Invalid:
    return Invalid(message, code="bad-requirements")
