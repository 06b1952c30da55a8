"""What the doctor looks at, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from dais.kit.errors import DaisError
from dais.sdk.installation import Installation
from dais.wire.groups import Group

State = Literal["fine", "weak", "bad", "absent"]
"""fine: as it should be. weak: it works, and something is lost. bad: it matters, see to it. absent: not there, and
nothing is lost by it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `consequence` and `remedy` (a command, or what to do) are for what is not fine."""

    name: str
    title: str
    section: str
    state: State
    finding: str
    consequence: str = ""
    remedy: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found. `level` is the strongest isolation that jobs get here; `sound` that nothing is bad.

    `asked` is "running" when a running supervisor told what it had found, "tried" when it was tried just now.
    """

    level: str
    summary: str
    sound: bool
    asked: Literal["running", "tried"]
    data_dir: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """A supervisor that answers. `version` is empty when it is too old to tell."""

    pid: int
    version: str
    running: int
    isolation: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What several checks need. `settings` are by package, or the error that kept them from being read.

    `groups` are those that were attached, where a server runs that tells them.
    """

    data_dir: Path
    installation: Installation | None
    supervisor: Supervisor | None
    probed: dict[str, Any]
    settings: dict[str, Any] | DaisError
    root: bool
    groups: tuple[Group, ...] = ()

    @property
    def isolation(self) -> str:
        """How jobs run, as the local engine decides it: sandbox or process."""
        wanted = "auto" if isinstance(self.settings, DaisError) else self.settings["local"].isolation
        return wanted if wanted != "auto" else "sandbox" if self.probed.get("bwrap") is True else "process"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found."""

    state: State
    finding: str
    consequence: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the doctor's table: a name for programs, a title for people, and who looks.

    `look` returns None where the question does not arise.
    """

    name: str
    title: str
    look: Callable[[Facts], Answer | None]
