"""What an engine finds when it is asked, before a group is attached, whether it could work with these options.

The package of each kind of engine that can be attached offers two things beside the engine itself: a struct of its
options (strict: `forbid_unknown_fields`; no secret is among them), and

    async def check(options: ItsOptions, *, data_dir: Path) -> CheckReport

which starts nothing, leaves nothing behind, waits for nothing longer than a few seconds, and raises nothing for what
is missing: that is what its findings are for. It is asked again by `dais doctor` and on the group's page.
"""

from __future__ import annotations

from typing import Any

import msgspec


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: a short name for programs ("socket", "version"), and in `detail` what was found.

    `needed`: the group cannot be attached while this is not `ok`; else something is lost by it, as `detail` says.
    `remedy` is for what is not ok: a command that mends it, or what to do.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that was looked at, in the order in which people would mend it.

    `options` are those that were not given and have been found instead (the socket of a daemon, a partition): they
    are kept with the group as if they had been given, so that a later start finds the same.
    `default_image` is what jobs start from that name none, where the engine knows one ("host"); else "".
    """

    findings: tuple[CheckFinding, ...] = ()
    options: dict[str, Any] = {}
    default_image: str = ""

    @property
    def sound(self) -> bool:
        """Whether a group could be attached."""
        return all(finding.ok or not finding.needed for finding in self.findings)
