"""A small world of things, and random policies over it: for tests of who may do what."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from dais.identity.evaluator import Rule
from dais.identity.statements import parse
from dais.identity.urns import INSTALLATION, Resource

ORGANIZATIONS = tuple(f"0000000{number}-0000-7000-8000-00000000000a" for number in (1, 2))
ACTIONS = ("job:get", "job:list", "job:new", "job:kill", "user:list", "user:get", "team:list", "account:list",
           "account:get", "organization:list", "node:list", "token:get")  # fmt: skip


def made_id(kind: str, number: int) -> str:
    """An id that tells its kind apart; some share beginnings."""
    return f"{ord(kind[0]):08x}-0000-7000-8000-{number:012x}"


@dataclass
class SmallWorld:
    """Two organizations with a tree of accounts each, teams, users, and jobs; by id, with where they lie."""

    parents: dict[str, str | None] = field(default_factory=dict)
    organization_of: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    teams: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ("n1", "n2")

    def __post_init__(self) -> None:
        for place, organization in enumerate(ORGANIZATIONS):
            tree = [made_id("account", 16 * place + number) for number in range(5)]
            for child, parent in zip(tree, (None, tree[0], tree[1], tree[0], None), strict=True):
                self.parents[child] = parent
                self.organization_of[child] = organization
                for number in range(2):
                    self.jobs[made_id("job", 256 * place + 16 * len(self.jobs) + number)] = child
            for number in range(3):
                self.teams[made_id("team", 16 * place + number)] = organization
                self.users[made_id("user", 16 * place + number)] = organization

    def above(self, account: str) -> tuple[str, ...]:
        """The account and all that it lies in."""
        found = [account]
        while (parent := self.parents[found[-1]]) is not None:
            found.append(parent)
        return tuple(found)

    def job(self, job: str, account: str | None = None, *, new: bool = False) -> Resource:
        account = account or self.jobs[job]
        return Resource(
            organization_id=self.organization_of[account],
            type="job",
            id=job,
            holder=("account", account),
            accounts=self.above(account),
            new=new,
        )

    def account(self, account: str) -> Resource:
        place = self.organization_of[account]
        return Resource(organization_id=place, type="account", id=account, accounts=self.above(account))

    def resources(self) -> list[Resource]:
        """Everything there is, and what could be made."""
        found = [self.job(job) for job in self.jobs]
        found += [self.job("", account, new=True) for account in self.parents]
        found += [self.account(account) for account in self.parents]
        found += [Resource(organization_id=place, type="user", id=one) for one, place in self.users.items()]
        found += [Resource(organization_id=place, type="team", id=one) for one, place in self.teams.items()]
        found += [Resource(organization_id=place, type="organization") for place in ORGANIZATIONS]
        found += [Resource(organization_id=INSTALLATION, type="node", id=node) for node in self.nodes]
        found += [
            Resource(organization_id=place, type="token", id="t", holder=("user", one))
            for one, place in self.users.items()
        ]
        return found


WORLD = SmallWorld()
_urns = sorted({name for resource in WORLD.resources() for name in resource.names})
_pieces = ("*", ":", "job", "account", "user", "team", "node", "0", "-", "%2A", "x", ":*", "*:", "installation")


def _broken(text: str, cut: tuple[int, int], piece: str) -> str:
    start, end = sorted((cut[0] % (len(text) + 1), cut[1] % (len(text) + 1)))
    return text[:start] + piece + text[end:]


def patterns() -> st.SearchStrategy[str]:
    """URN patterns: of things that are there, with `*` in every place, beginnings, parts of ids, other owners."""
    cut = st.tuples(st.integers(0, 200), st.integers(0, 200))
    urns = st.sampled_from(_urns)
    starred = st.builds(_broken, urns, cut, st.just("*"))
    twice = st.builds(_broken, starred, cut, st.sampled_from(_pieces))
    beginnings = st.builds(lambda text, at: text[: at % (len(text) + 1)] + "*", urns, st.integers(0, 200))
    parts = st.builds(
        lambda text, star, at: ":".join([*text.split(":")[: at % 5], star]),
        urns,
        st.sampled_from(["*", "", "job:*", "*:job:*", "user:*"]),
        st.integers(0, 5),
    )
    foreign = st.builds(
        lambda text, place: ":".join([place, *text.split(":")[1:]]),
        urns,
        st.sampled_from([*ORGANIZATIONS, "*", INSTALLATION, ORGANIZATIONS[0][:9] + "*", "installation*"]),
    )
    return st.one_of(urns, starred, twice, beginnings, parts, foreign, st.sampled_from(["*", "*:*", "installation:*"]))


def action_patterns() -> st.SearchStrategy[str]:
    """Actions, and patterns of them."""
    return st.sampled_from(
        [*ACTIONS, "*", "*:get", "job:*", "*:list", "j*", "*:*", "user:*", "*t:*", "team:get+user:get"]
    )


def statements() -> st.SearchStrategy[str]:
    """Statements that parse."""
    return st.builds(
        lambda actions, urns: f"{'+'.join(actions)}@{'+'.join(urns)}",
        st.lists(action_patterns(), min_size=1, max_size=2),
        st.lists(patterns(), min_size=1, max_size=2),
    ).filter(_parses)


def rules(*, everywhere: bool = True) -> st.SearchStrategy[Rule]:
    """Rules of either organization, or (`everywhere`) of the installation."""
    places = [*ORGANIZATIONS, None] if everywhere else list(ORGANIZATIONS)
    return st.builds(
        lambda text, place: Rule(statement=parse(text), organization_id=place),
        statements(),
        st.sampled_from(places),
    )


def forms(pattern: str) -> tuple[str, ...]:
    """The forms of a pattern that names an account, as `granting` finds them in the database."""
    from dais.identity.evaluator import pattern_names

    parts = pattern.split(":", 3)
    named = len(parts) > 2 and parts[1] == "account" and parts[2] in WORLD.parents
    return pattern_names(pattern, WORLD.above(parts[2]) if named else ())


def _parses(text: str) -> bool:
    from dais.kit.errors import Invalid

    try:
        parse(text)
    except Invalid:
        return False
    return True
