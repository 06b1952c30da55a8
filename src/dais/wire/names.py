"""What may be called how."""

from __future__ import annotations

import re

from dais.wire.problems import SpecError, shown

JOB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
# A name, or a branch of it. Numbers are versions, and these two words mean what is in a folder now, and nothing.
FOLDER_NAME = re.compile(
    r"(?=.{1,64}\Z)\.?[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(@(?!(latest|empty|[0-9]+)\Z)[A-Za-z0-9_][A-Za-z0-9_-]*)?",
    re.ASCII,
)
VERSION = re.compile(r"([^@]*)@([1-9][0-9]{0,8})", re.ASCII)
"""`code@3`: the third version of a folder, which can only be read."""

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9][A-Za-z0-9_-]{0,62}){0,31}", re.ASCII)
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,254}", re.ASCII)
SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
RESERVED_PREFIXES = ("DAIS_", "EAI_")


def check_job_name(name: str, path: str = "name") -> str:
    """The name itself. Raises SpecError."""
    if JOB_NAME.fullmatch(name):
        return name
    proposal = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63]
    raise SpecError(
        path,
        f"{shown(name)} cannot name a job",
        given=name,
        expected="1 to 63 of a-z, 0-9, _ and -, beginning with a letter or digit",
        hint=f"write {proposal!r}" if JOB_NAME.fullmatch(proposal) else "use 1 to 63 of a-z, 0-9, _ and -",
    )


def check_folder_name(name: str, path: str = "name") -> str:
    """The short name itself. Raises SpecError."""
    if FOLDER_NAME.fullmatch(name):
        return name
    raise SpecError(
        path,
        f"{shown(name)} cannot name a folder",
        given=name,
        expected="1 to 63 letters, digits, _ and -, after at most one leading dot; a branch is NAME@BRANCH",
        hint="use letters, digits, _ and -; dots stand between account and folder, as in acme.joe.home",
    )


def check_environment_name(name: str, path: str) -> str:
    """The name of an environment variable that a user may set. Raises SpecError."""
    if not ENVIRONMENT_NAME.fullmatch(name):
        raise SpecError(
            path,
            f"{shown(name)} cannot name an environment variable",
            given=name,
            expected="letters, digits and _, not beginning with a digit",
            hint="write it as NAME=VALUE",
        )
    if name.upper().startswith(RESERVED_PREFIXES):
        raise SpecError(
            path,
            f"{shown(name)} is a name that Dais itself sets in jobs",
            given=name,
            expected="a name that does not begin with DAIS_ or EAI_",
            hint="choose another name",
        )
    return name


def split_folder(reference: str) -> tuple[str, str]:
    """A folder's name and the path below its root: `home/a/b` and `acme.joe./.ssh/keys` are split after the name."""
    first = reference.partition("/")[0]
    start = len(first) + 1 if first.endswith(".") and reference[len(first) : len(first) + 2] == "/." else 0
    name, _, below = reference[start:].partition("/")
    return reference[:start] + name, below


def branch_of(name: str) -> str | None:
    """The folder that a branch is of: `code` for `code@next`; None for what is no branch."""
    base, at, _ = name.partition("@")
    return base if at else None


def split_version(name: str) -> tuple[str, int | None]:
    """A folder's name, and the number of its version: `code@3`; None for what is in a folder, or a branch, now."""
    found = VERSION.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)
