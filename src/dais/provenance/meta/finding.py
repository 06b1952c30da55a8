"""Finding entities by conditions on their metadata and on what they tell of themselves.

Which way is quick depends on the data. Where many entities meet the conditions, walking the index of the order meets
some soon; where few do, those are gathered and sorted. So the walk comes first, in growing steps, and as soon as one
was in vain the rarest condition is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dais.identity import Account, Actor, listed, may, may_see, resolve_account, resource_at, visible
from dais.kit.database import Row, UnitOfWork, within
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor
from dais.provenance.meta.asking import Extreme, asked, check_sort_key
from dais.provenance.meta.conditions import OnFact, OnTag, OnValue, Test, shape_of, values_of
from dais.provenance.meta.reading import described
from dais.provenance.meta.searching import ORDER, WHOLE, Plan, Way, counted, in_order_of_age, position_names, statement
from dais.provenance.meta.types import Described, Kind
from dais.provenance.meta.values import RANKS, TEXT
from dais.wire.meta import Condition

STEPS = (8, 32, 512, 8_192, 131_072)
"""Entries of the order's index that are looked at, step by step."""

GLIMPSE = STEPS[0]
"""A step that costs less than to ask whether the next one is worth it."""

FEW = 5_000
"""Entities that are rather gathered and sorted."""

SOME = 2 * STEPS[-1]
"""Entities that are rather gathered and sorted than to take the last step, where those before were in vain."""

MANY = 500_000
"""Entities that are gathered and sorted where walking was in vain."""

MOST_COUNTED = 1_000_000

MOST_SECONDS = 10.0
"""How long a query may take in all; what no index serves among very many ends with an error."""

_ALL = frozenset({""})
"""The shape of a reader who sees everything, where that is to be asked of the entities themselves."""


_POSITIONS: dict[str, Any] = {"newest": tuple[str], "key": tuple[int, float, str, str]}


@within(MOST_SECONDS)
def find(
    uow: UnitOfWork,
    actor: Actor,
    kind: Kind,
    conditions: Sequence[Condition],
    *,
    account: str | None = None,
    order: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Described]:
    """The entities of an account that meet all conditions and that `actor` may see (`<type>:get`).

    `order` is a key, `-key` downward; those without it are left out. Without one the newest come first; where only
    ranges of keys are asked for, those with the largest values of the first. Raises Invalid `bad-condition`,
    `unknown-key`, `bad-value`, `bad-pattern`, `bad-cursor`, `query-too-slow`, Forbidden.
    """
    check_limit(limit)
    search = _Search(uow, actor, kind, resolve_account(uow, actor, account), conditions)
    way, key, down = _way(kind, order) if order else search.by_itself()
    after = _position(way, kind, cursor) if cursor is not None else None
    if not search.narrow():
        return Page([], None)
    if search.only is not None and not order:
        return Page(described(uow, actor, kind, [search.only] if after is None else []), None)
    rows = search.rows(way, key, down=down, limit=limit + 1, after=after)
    items = described(uow, actor, kind, rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    last = rows[limit - 1]
    return Page(items, encode_cursor(*(getattr(last, f"at_{place}") for place in range(position_names(way)))))


@within(MOST_SECONDS)
def count_found(
    uow: UnitOfWork, actor: Actor, kind: Kind, conditions: Sequence[Condition], *, account: str | None = None
) -> int:
    """How many entities `find` finds, counted up to a million. Raises as `find`."""
    search = _Search(uow, actor, kind, resolve_account(uow, actor, account), conditions)
    return search.count() if search.narrow() else 0


def _way(kind: Kind, order: str) -> tuple[Way, str, bool]:
    down = order.startswith("-")
    key = check_sort_key(kind, order.removeprefix("-"))
    return (("fact", key) if key in kind.facts else ("key", 0)), key, down


def _position(way: Way, kind: Kind, cursor: str) -> tuple[Any, ...]:
    if way[0] == "fact":
        text = kind.facts[way[1]] == "text"
        found: tuple[Any, ...] = decode_cursor(cursor, tuple[str, str] if text else tuple[float, str])
        return found
    return decode_cursor(cursor, _POSITIONS[way[0]])


def _seen(uow: UnitOfWork, actor: Actor, kind: Kind, place: str) -> Mapping[str, Any]:
    """The values of what the actor may see; none where that is everything. Raises Forbidden where it is nothing."""
    action = f"{kind.type}:get"
    if kind.everywhere:
        own, whole = visible(uow, actor, action), visible(uow, actor, action, holder=None)
        if not (own.nothing and whole.nothing):
            return ({} if may_see(uow, actor, action, place) else own.values) | whole.named(WHOLE)
    if kind.holder == "account":
        return {} if may_see(uow, actor, action, place) else listed(uow, actor, action, account_id=place).values
    if may(uow, actor, action, resource_at(uow, kind.type, organization_id=place)):
        return {}
    return listed(uow, actor, action, organization_id=place, holder=None).values


class _Asking(NamedTuple):
    """Which rows are wanted: the order, how many, and after which position."""

    way: Way
    key: str
    down: bool
    limit: int
    after: Sequence[Any] | None


class _Search:
    """One search: what is asked, and what may be seen."""

    def __init__(
        self, uow: UnitOfWork, actor: Actor, kind: Kind, where: Account, conditions: Sequence[Condition]
    ) -> None:
        self._uow, self._kind = uow, kind
        place = kind.place_of(where)
        seen = _seen(uow, actor, kind, place)
        self._shape = frozenset(seen)
        self._values = {**seen, "account_id": place, "kind": kind.name}
        found = asked(uow, kind, place, conditions)
        self._tests: list[Test] = found.tests
        self._extremes = found.extremes
        self._counts: dict[Test, tuple[int, int]] = {}
        self.only: Row | None = None
        """The one entity of the last extreme, where no other has that value."""

    def narrow(self) -> bool:
        """Make each largest or smallest value a condition; False: nothing has one."""
        for extreme in self._extremes:
            top = self._top(extreme)
            if top is None:
                return False
            self._tests.append(top)
        self._extremes = []
        return True

    def by_itself(self) -> tuple[Way, str, bool]:
        """The order where none is asked for: the newest first; where only ranges of keys are asked for, by the first
        of these keys, downward."""
        tests = [self._tests[place] for place in self._indexed()]
        if tests and not any(in_order_of_age(shape_of(test)) for test in tests):
            for test in tests:
                if isinstance(test, OnValue):
                    return ("key", 0), test.key, True
        return ("newest",), "", True

    def rows(self, way: Way, key: str, *, down: bool, limit: int, after: Sequence[Any] | None) -> list[Row]:
        """The first rows in the order, from a position on."""
        asking = _Asking(way, key, down, limit, after)
        driver = self._walked(way)
        if driver is not None and (rows := self._walk(driver, asking)) is not None:
            return rows
        best, entries = self._rarest(FEW)
        if best is None:
            best, entries = self._rarest(MANY) if driver is not None else (next(iter(self._indexed()), None), MANY)
        if best is not None:
            return self._run(best, asking, width=entries + 1 if entries < FEW else None)
        return self._run(driver, asking, width=None)

    def count(self) -> int:
        """How many there are, up to MOST_COUNTED."""
        best, _ = self._rarest(MANY)
        if best is None:
            best = next(iter(self._indexed()), None)
        plan = self._plan(best, _Asking(("newest",), "", True, MOST_COUNTED, None), None, "found")
        return int(self._uow.scalar(statement(plan), **self._all_values("", None), limit=MOST_COUNTED))

    def _walk(self, driver: int, asking: _Asking) -> list[Row] | None:
        """Rows from the beginning of the driver's order; None: it is in vain."""
        looked = False
        for width in STEPS:
            if width < 2 * asking.limit:
                continue
            if width == STEPS[-1] and self._rarest(SOME)[0] is not None:
                return None
            rows = self._run(driver, asking, width=width)
            if len(rows) >= asking.limit:
                return rows
            if width == GLIMPSE:
                continue
            counting = self._plan(driver, asking, width, "driver")
            if int(self._uow.scalar(statement(counting), **self._all_values(asking.key, asking.after))) < width:
                return rows
            if not looked and self._rarest(FEW)[0] is not None:
                return None
            looked = True
        return None

    def _top(self, extreme: Extreme) -> Test | None:
        """The condition that means the largest, or smallest, value among what meets the others."""
        key, down = extreme
        if key in self._kind.facts:
            rows = self.rows(("fact", key), key, down=down, limit=2, after=None)
            self.only = rows[0] if rows and (len(rows) == 1 or rows[1].at_0 != rows[0].at_0) else None
            return OnFact(key, "=", rows[0].at_0) if rows else None
        for rank in RANKS:
            rows = self.rows(("key", rank), key, down=down, limit=2, after=None)
            if rows:
                self.only = rows[0] if len(rows) == 1 or rows[1][-4:-1] != rows[0][-4:-1] else None
                return OnValue(key, "=", rank, rows[0].at_2 if rank == TEXT else rows[0].at_1)
        return None

    def _walked(self, way: Way) -> int | None:
        """The driver whose own order is the one that is wanted."""
        if way[0] == "key":
            return ORDER
        if way[0] == "fact":
            return None
        places = [place for place in self._indexed() if in_order_of_age(shape_of(self._tests[place]))]
        return places[-1] if places else None

    def _indexed(self) -> list[int]:
        """The places of conditions that mean a stretch of an index."""
        return [
            place
            for place, test in enumerate(self._tests)
            if (isinstance(test, OnTag) and test.op != "absent")
            or (isinstance(test, OnValue) and test.op not in ("absent", "!="))
        ]

    def _rarest(self, most: int) -> tuple[int | None, int]:
        """The place of the condition with the fewest entries, and how many; None where all have `most` or more."""
        best, fewest = None, most
        for place in self._indexed():
            found = self._entries(place, most)
            if found < fewest:
                best, fewest = place, found
        return best, fewest

    def _entries(self, place: int, most: int) -> int:
        """How many entries the stretch of a condition has, up to `most`; counted once."""
        test = self._tests[place]
        found, up_to = self._counts.get(test, (0, 0))
        if found == up_to < most:
            values = {"account_id": self._values["account_id"], "kind": self._values["kind"]}
            found = int(self._uow.scalar(counted(self._kind, shape_of(test), most), **values, **values_of(test, "c")))
            self._counts[test] = (found, most)
        return found

    def _run(self, driver: int | None, asking: _Asking, *, width: int | None) -> list[Row]:
        plan = self._plan(driver, asking, width)
        values = self._all_values(asking.key, asking.after)
        rows = self._uow.all(statement(plan), **values, limit=asking.limit)
        if plan.by_metadata and len(rows) < asking.limit:
            counting = plan._replace(counted="candidates")
            if self._uow.scalar(statement(counting), **values, limit=asking.limit) > len(rows):
                # Some of what metadata tells of is gone, and took the place of others.
                return self._uow.all(statement(plan._replace(seen=_ALL)), **values, limit=asking.limit)
        return rows

    def _plan(self, driver: int | None, asking: _Asking, width: int | None, counted: str = "") -> Plan:
        same = tuple(
            place
            for place in self._indexed()
            if isinstance(test := self._tests[place], OnValue) and test.key == asking.key and asking.way[0] == "key"
        )
        after = asking.after is not None
        return Plan(
            self._kind, self._shapes(), self._shape, driver, asking.way, asking.down, after, width, same, counted
        )

    def _shapes(self) -> tuple[Any, ...]:
        return tuple(shape_of(test) for test in self._tests)

    def _all_values(self, key: str, after: Sequence[Any] | None) -> dict[str, Any]:
        values = {**self._values, "order_key": key}
        for place, test in enumerate(self._tests):
            values |= values_of(test, f"c{place}")
        for place, value in enumerate(after or ()):
            values[f"at_{place}"] = value
        return values
