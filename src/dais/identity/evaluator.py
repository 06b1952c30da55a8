"""The evaluator: what a set of rules allows. Pure; `rules` loads the rules, everything else asks there.

Three questions, one answer: `Rules.allows` decides, `Rules.seen` says which things of a type may be listed (as sets
that SQL can use), `Rules.reasons` explains. Rules only ever allow: adding one takes nothing away.

A rule belongs to an organization and reaches nothing outside of it, whatever its pattern says; except that one granted
by an administrator of the installation may reach everywhere, and that the name `installation` may be written out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from dais.identity.actions import asked_for
from dais.identity.statements import Statement, actions_of, matches, stored, within
from dais.identity.urns import INSTALLATION, Resource, escaped

_UUID = 36


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One statement, and where it comes from. `organization_id` None: it reaches everywhere.

    `subject` is whom the policy is attached to: `("user", id)`, `("team", id)`, `("role", id)`.
    """

    statement: Statement
    organization_id: str | None
    policy_id: str | None = None
    subject: tuple[str, str] = ("user", "")

    def matches(self, action: str, resource: Resource) -> bool:
        """Whether this rule alone allows it."""
        if not _allows(self.statement.actions, action):
            return False
        return any(
            _reaches(self.organization_id, pattern, resource.organization_id)
            and any(matches(pattern, name) for name in resource.names)
            for pattern in self.statement.urns
        )

    def covers(self, action_pattern: str, urn_pattern: str, organization_id: str | None, names: Iterable[str]) -> bool:
        """Whether whoever has this rule may grant the pair to others: it lies within this one statement.

        `organization_id` is the organization of the URN pattern, None when it may be several. `names` are the forms of
        the URN pattern, one for each ancestor of its account.
        """
        if not any(_holds_action(held, action_pattern) for held in self.statement.actions):
            return False
        return any(
            self._grants_in(held, organization_id) and any(within(name, held) for name in names)
            for held in self.statement.urns
        )

    def _grants_in(self, pattern: str, organization_id: str | None) -> bool:
        return self.organization_id is None or (
            organization_id is not None and _reaches(self.organization_id, pattern, organization_id)
        )


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The statements of one policy, a line each, as they are stored: rules of which few are looked at one by one.

    `organization_id`, `policy_id` and `subject` are those of each `Rule`.
    """

    lines: str
    organization_id: str | None
    policy_id: str | None = None
    subject: tuple[str, str] = ("user", "")

    @property
    def rules(self) -> Iterator[Rule]:
        """Its statements, one by one."""
        return (
            Rule(
                statement=stored(line),
                organization_id=self.organization_id,
                policy_id=self.policy_id,
                subject=self.subject,
            )
            for line in self.lines.split("\n")
        )

    def patterns(self, action: str) -> Iterator[str]:
        """The URN patterns of what is about an action."""
        for line in self.lines.split("\n"):
            actions, _, urns = line.partition("@")
            if _allows_text(actions, action):
                yield from urns.split("+")


def _as_held(rule: Rule) -> Held:
    return Held(
        lines=str(rule.statement),
        organization_id=rule.organization_id,
        policy_id=rule.policy_id,
        subject=rule.subject,
    )


@dataclass(slots=True)
class _Patterns:
    """The URN patterns that some rules have for one action, sorted by how quickly they are matched."""

    everything: bool = False
    exact: set[str] = field(default_factory=set)
    prefixes: tuple[str, ...] = ()
    other: list[tuple[str | None, str]] = field(default_factory=list)  # (organization, pattern)

    def match(self, place: str, names: tuple[str, ...]) -> bool:
        """Whether one of the names of a thing in the organization `place` matches."""
        if self.everything:
            return True
        for name in names:
            if name in self.exact or name.startswith(self.prefixes):
                return True
        for organization_id, pattern in self.other:
            inside = organization_id is None or organization_id == place
            if inside and any(matches(pattern, name) for name in names):
                return True
        return False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Which things of one type somebody may see, in sets that a query can use.

    `everything`; else whatever lies in one of `organizations` (ids; also `installation`), or in one of `accounts`
    (pairs of an organization and an account) or below, or is named by one of `names` (organization, holder or "", id),
    or whose URN matches one of `patterns` (pairs of an organization, None for any, and a pattern). An id counts only
    with its own organization: a statement may name another's account, and reaches nothing by it.
    """

    everything: bool = False
    organizations: frozenset[str] = frozenset()
    accounts: frozenset[tuple[str, str]] = frozenset()
    names: frozenset[tuple[str, str, str]] = frozenset()
    patterns: tuple[tuple[str | None, str], ...] = ()


@dataclass(slots=True)
class _Sets:
    """What `Seen` is made of."""

    organizations: set[str] = field(default_factory=set)
    accounts: set[tuple[str, str]] = field(default_factory=set)
    names: set[tuple[str, str, str]] = field(default_factory=set)
    patterns: set[tuple[str | None, str]] = field(default_factory=set)

    def add(self, fence: str | None, pattern: str, kind: str, holder: str | None) -> None:
        """Add what a pattern of a rule shows of a type. `fence` is the rule's organization."""
        organization_id = _organization_of(fence, pattern)
        if organization_id is None:
            self.patterns.add((fence, pattern))
            return
        if not _reaches(fence, pattern, organization_id):
            return
        if kind == "organization":  # it has no other name than its id
            if matches(pattern, organization_id):
                self.organizations.add(organization_id)
            return
        rest = pattern[len(organization_id) :] if pattern != "*" else "*"
        whole = _whole(rest, kind, holder)
        if whole is True:
            self.organizations.add(organization_id)
        elif isinstance(whole, str):
            self.accounts.add((organization_id, whole))
        elif whole is False and "*" in rest:
            self.patterns.add((organization_id, pattern))
        elif whole is False and (named := _named(rest, kind, holder)) is not None:
            self.names.add((organization_id, *named))


class Rules:
    """The rules that one actor has, prepared for questions: its own, and those of `parts`, which others have, too.

    Most are `held` as text: of a thousand statements a question is about few.
    """

    def __init__(self, rules: Iterable[Rule] = (), parts: Iterable[Rules] = (), *, held: Iterable[Held] = ()) -> None:
        self._held = (*held, *map(_as_held, rules))
        self._parts = tuple(parts)
        self._by_action: dict[str, _Patterns] = {}
        self._apart: dict[str, list[_Patterns]] = {}
        self._seen: dict[tuple[str, str | None], Seen] = {}

    @functools.cached_property
    def all(self) -> tuple[Rule, ...]:
        """Every rule."""
        return tuple(rule for held in self._all_held() for rule in held.rules)

    def allows(self, action: str, resource: Resource) -> bool:
        """Whether any rule allows it."""
        found = self._by_action.get(action)
        if found is not None and found.everything:  # an administrator's: what it is called does not matter
            return True
        place, names = resource.organization_id, resource.names
        if found is not None:
            return found.match(place, names)
        # Many are asked about once: to put the parts together is for whoever comes again.
        apart = self._apart.pop(action, None)
        if apart is None:
            apart = self._apart[action] = self._in_parts(action)
            return any(one.match(place, names) for one in apart)
        found = self._by_action[action] = _merged(apart)
        return found.match(place, names)

    def reasons(self, action: str, resource: Resource) -> Iterator[Rule]:
        """The rules that allow it."""
        return (rule for rule in self.all if rule.matches(action, resource))

    def seen(self, action: str, holder: str | None) -> Seen:
        """What may be seen of the things of the action's type; `holder` is the type of what they lie in, None: they lie
        right in an organization.
        """
        found = self._seen.get((action, holder))
        if found is None:
            found = self._seen[action, holder] = self._find_seen(action, holder)
        return found

    def _find_seen(self, action: str, holder: str | None) -> Seen:
        found = _Sets()
        kind = action.partition(":")[0]
        for fence, pattern in self._pairs(action):
            if fence is None and pattern == "*":
                return Seen(everything=True)
            found.add(fence, pattern, kind, holder)
        return Seen(
            organizations=frozenset(found.organizations),
            accounts=frozenset(found.accounts),
            names=frozenset(found.names),
            patterns=tuple(sorted(found.patterns, key=lambda pair: (pair[0] or "", pair[1]))),
        )

    def covers(self, action_pattern: str, urn_pattern: str, organization_id: str | None, names: Iterable[str]) -> bool:
        """Whether some one rule lets its holder grant the pair."""
        names = tuple(names)
        return any(rule.covers(action_pattern, urn_pattern, organization_id, names) for rule in self.all)

    def _pairs(self, action: str) -> Iterator[tuple[str | None, str]]:
        """The URN patterns of the rules that are about an action, each with its rule's organization."""
        for held in self._all_held():
            for pattern in held.patterns(action):
                yield held.organization_id, pattern

    def _all_held(self) -> Iterable[Held]:
        """Ours and those of the parts, once each: parts may have parts in common."""
        found = {id(held): held for held in self._held}
        for part in self._parts:
            found |= {id(held): held for held in part._all_held()}
        return found.values()

    def _in_parts(self, action: str) -> list[_Patterns]:
        """The patterns for an action: our own, and those of each part, which prepares them once for all who have it."""
        own = _prepared(self._held, action)
        return [own, *(part._prepared_part(action) for part in self._parts)]

    def _prepared_part(self, action: str) -> _Patterns:
        found = self._by_action.get(action)
        if found is None:
            found = self._by_action[action] = _merged(self._in_parts(action))
        return found


@functools.lru_cache(maxsize=2048)
def _allows(patterns: tuple[str, ...], action: str) -> bool:
    """Whether one of the patterns of actions means the action, or one that includes it."""
    return any(one in actions_of(pattern) for pattern in patterns for one in asked_for(action))


@functools.lru_cache(maxsize=2048)
def _allows_text(actions: str, action: str) -> bool:
    """The same for patterns as they are stored."""
    return _allows(tuple(actions.split("+")), action)


def _reaches(fence: str | None, pattern: str, organization_id: str) -> bool:
    """Whether a pattern of a rule of the organization `fence` may match things of an organization at all."""
    if fence is None or fence == organization_id:
        return True
    return organization_id == INSTALLATION and pattern.partition(":")[0] == INSTALLATION


def _prepared(held: Iterable[Held], action: str) -> _Patterns:
    found = _Patterns()
    prefixes: set[str] = set()
    for one in held:
        fence = one.organization_id
        for pattern in one.patterns(action):
            if fence is None and pattern == "*":
                found.everything = True
                continue
            organization_id = _organization_of(fence, pattern)
            if organization_id is None:
                found.other.append((fence, pattern))
            elif not _reaches(fence, pattern, organization_id):
                continue
            elif pattern == "*":
                prefixes.add(organization_id)
            elif "*" not in pattern:
                found.exact.add(pattern)
            elif pattern.index("*") == len(pattern) - 1:
                prefixes.add(pattern[:-1])
            else:
                found.other.append((organization_id, pattern))
    found.prefixes = tuple(sorted(prefixes))
    return found


def _merged(patterns: list[_Patterns]) -> _Patterns:
    if len(patterns) == 1:
        return patterns[0]
    return _Patterns(
        everything=any(one.everything for one in patterns),
        exact=set().union(*(one.exact for one in patterns)),
        prefixes=tuple({prefix for one in patterns for prefix in one.prefixes}),
        other=[pair for one in patterns for pair in one.other],
    )


def _holds_action(held: str, wanted: str) -> bool:
    return within(wanted, held) or ("*" not in wanted and wanted in actions_of(held))


def _organization_of(fence: str | None, pattern: str) -> str | None:
    """The one organization whose things a pattern can match; None when its place holds a `*` amid other text."""
    if pattern == "*" and fence is not None:
        return fence
    first = pattern.partition(":")[0]
    if "*" not in first:
        return first
    star = first.index("*")
    # `491e…*`: ids of organizations have one length, so that a whole id before the star is that organization.
    return pattern[:_UUID] if star == _UUID else None


def _whole(rest: str, kind: str, holder: str | None) -> bool | str | None:
    """What a pattern that ends with its only `*` sees of a type: True for all of an organization, else an account's id.

    False: some, by their names. None: nothing, for no URN of the type begins so. `rest` is what follows the
    organization: `*` or `:…`.
    """
    start, star, tail = rest.partition("*")
    middle = bool(tail)
    type_place = f":{holder}:" if holder else f":{kind}:"
    if not (type_place.startswith(start) or start.startswith(type_place)):
        return None
    if type_place.startswith(start):
        return bool(star) and not middle
    name, colon, below = start[len(type_place) :].partition(":")
    if holder is None:
        if colon:
            return None
        whole_account = kind == "account" and len(name) == _UUID and not middle
        return name if whole_account else False
    if colon and not (f"{kind}:".startswith(below) or below.startswith(f"{kind}:")):
        return None
    if holder == "account" and colon and len(name) == _UUID and star and not middle and f"{kind}:".startswith(below):
        return name
    return False


def _named(rest: str, kind: str, holder: str | None) -> tuple[str, str] | None:
    """The thing that a pattern without `*` names: its holder ("" without) and its id; None for another type's."""
    parts = rest.split(":")[1:]
    if holder is None:
        return ("", parts[1]) if len(parts) == 2 and parts[0] == kind else None
    if len(parts) == 4 and parts[0] == holder and parts[2] == kind:
        return parts[1], parts[3]
    return None


def pattern_names(pattern: str, accounts: Iterable[str]) -> tuple[str, ...]:
    """The forms of a URN pattern that names an account: one for each of the account's ancestors, and itself."""
    parts = pattern.split(":", 3)
    if len(parts) < 3 or parts[1] != "account" or "*" in parts[2]:
        return (pattern,)
    rest = parts[3:]
    return tuple(
        ":".join([parts[0], "account", escaped(account), *rest]) for account in dict.fromkeys((parts[2], *accounts))
    )
