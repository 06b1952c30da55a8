"""From facts to a report: every check of the table is asked."""

from __future__ import annotations

from pathlib import Path

from dais.app.doctor.attached import attached
from dais.app.doctor.facts import gather
from dais.app.doctor.isolation import ISOLATION, LIMITS, others
from dais.app.doctor.machine import DATA, GRAPHICS, MACHINE
from dais.app.doctor.running import RUNNING
from dais.app.doctor.types import Answer, Check, Facts, Finding, Report
from dais.engines.local.levels import LEVELS, level

TABLE: dict[str, tuple[Check, ...]] = {
    "Isolation": ISOLATION,
    "Limits": LIMITS,
    "GPUs": GRAPHICS,
    "Machine": MACHINE,
    "Data directory": DATA,
    "Dais": RUNNING,
    "Attached engines": (),
}
"""Everything that is looked at, by section. A new check is one row here and one function."""

_MORE = {"Isolation": others, "Attached engines": attached}
"""Checks of a section that depend on what is there."""


def examine(data_dir: Path, config: Path | None = None) -> Report:
    """Look at this machine, with Dais running on `data_dir` or not. Raises Unavailable when it cannot be tried."""
    return report(gather(data_dir, config))


def report(facts: Facts) -> Report:
    """What follows from facts."""
    findings = [
        _finding(check, section, answer)
        for section, checks in TABLE.items()
        for check in (*checks, *(_MORE[section](facts) if section in _MORE else ()))
        if (answer := check.look(facts)) is not None
    ]
    name = level(facts.probed, facts.isolation)
    return Report(
        level=name,
        summary=LEVELS[name],
        sound=not any(finding.state == "bad" for finding in findings),
        asked="running" if facts.supervisor is not None and facts.supervisor.isolation else "tried",
        data_dir=str(facts.data_dir),
        findings=findings,
    )


def _finding(check: Check, section: str, answer: Answer) -> Finding:
    return Finding(
        name=check.name,
        title=check.title,
        section=section,
        state=answer.state,
        finding=answer.finding,
        consequence=answer.consequence,
        remedy=answer.remedy,
    )
