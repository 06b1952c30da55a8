"""What other modules see of secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from dais.engines.contract import File


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without its value, which nobody can read back. `size` is in bytes, `set_at` in µs."""

    id: str
    name: str
    account: str
    account_id: str
    organization_id: str
    size: int
    set_by: str
    set_at: int


@dataclass(frozen=True, slots=True)
class Given:
    """The values that one launch is given; they are never shown, not even in a traceback's `repr`."""

    variables: dict[str, str] = field(default_factory=dict, repr=False)
    files: tuple[File, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a run cannot be given its secrets: a reason for its job, and words for its owner."""

    reason: str
    detail: str
