"""What lists are asked for: `q=id__in=a,b`, `q=alive_recently=True`, `order=-created`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from dais.compute import JobFilter
from dais.kit.errors import Invalid
from dais.wire.eai import select_states

RECENT_SECONDS = 24 * 3600
KEYS = ("id__in", "alive_recently", "alive", "state", "state__in", "name")
ORDERS = {"-created": False, "created": True, "-createdOn": False, "createdOn": True}


@dataclass(frozen=True, slots=True)
class Asked:
    """A list's conditions: for the database, ids in their order, and which of the states found are meant."""

    filter: JobFilter
    ids: list[str] | None = None
    states: frozenset[str] | None = None

    def means(self, state: str) -> bool:
        """Whether a job of this state is one of those."""
        return self.states is None or state in self.states


def asked(q: str, order: str, now: int, *, account: str | None = None, owner: str | None = None) -> Asked:
    """Read the conditions; `now` in µs. Raises Invalid `bad-query`, `bad-parameter`, `bad-state`."""
    if order not in ORDERS:
        raise Invalid(f"order {order[:40]!r} is not known; use -created or created", code="bad-parameter")
    wanted = dict(parse_qsl(q, keep_blank_values=True))
    unknown = [key for key in wanted if key not in KEYS]
    if unknown or (q and not wanted):
        raise Invalid(f"q {q[:80]!r} is not understood; it takes {', '.join(KEYS)}", code="bad-query")
    states, meant = _states(wanted)
    since = now - RECENT_SECONDS * 1_000_000 if _yes(wanted.get("alive_recently")) else None
    ids = [one for one in wanted["id__in"].split(",") if one] if "id__in" in wanted else None
    kept = JobFilter(
        account=account,
        owner_id=owner,
        states=tuple(states),
        name=wanted.get("name"),
        since=since,
        oldest_first=ORDERS[order],
    )
    return Asked(kept, ids, frozenset(meant) if meant is not None else None)


def _states(wanted: Mapping[str, str]) -> tuple[list[str], set[str] | None]:
    names = [part for key in ("state", "state__in") for part in wanted.get(key, "").split(",") if part]
    if _yes(wanted.get("alive")):
        names.append("alive")
    if not names:
        return [], None
    try:
        return select_states(names)
    except ValueError as error:
        raise Invalid(str(error), code="bad-state") from error


def _yes(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "yes")
