"""Decisions a second with 10,000 users, 1,000 teams and 100,000 statements, and what asking costs a request.

One process, one core, CPU time: what else the machine does matters little. Cached: what is known of a user is
remembered. Cold: each decision is the first about its user, and reads the policies from SQLite.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import create_engine, insert

from bench.harness import Aim, Bench, Row, main, ratios
from dais.api import Application, Authenticator, Services, all_routes
from dais.compute.jobs.tables import jobs
from dais.identity import Actor, may, resource_at, who_is_allowed
from dais.identity.predefined import of_account, of_oneself, of_organization, of_team
from dais.identity.queries.tokens import authenticate
from dais.identity.secrets import hash_of, new_secret
from dais.identity.tables import (
    account_ancestors,
    accounts,
    organizations,
    policies,
    role_teams,
    role_users,
    roles,
    team_ancestors,
    team_teams,
    team_users,
    teams,
    tokens,
    users,
)
from dais.identity.topics import CHANGED
from dais.kit.clock import SystemClock
from dais.kit.database import Database, UnitOfWork, open_database
from dais.kit.database.ends import driver_url
from dais.kit.ids import new_id
from tests.support.database import create_tables

BATCH = 5_000


class Population:
    """An organization of so many users and teams with their policies, and the jobs of one account."""

    def __init__(self, url: str, people: int, groups: int, statements: int, some_jobs: int) -> None:
        self.chance = random.Random(1)
        self.organization = new_id()
        self.rows: dict[Any, list[dict[str, Any]]] = {}
        self.lines = 0
        self.secrets: dict[str, str] = {}
        self.tables = (
            organizations, accounts, account_ancestors, users, teams, team_users, team_teams, team_ancestors, roles,
            role_users, role_teams, policies, tokens, jobs,
        )  # fmt: skip
        self.put(organizations, id=self.organization, name="acme", mfa_required=0, created_at=1)
        self.roles = self.role_of("organization", self.organization, of_organization(self.organization))
        self.labs = [self.account(f"lab{number}") for number in range(max(1, groups // 10))]
        self.people = [self.user(number) for number in range(people)]
        self.root, _ = self.user(people, administrator=True)
        self.groups = [self.team(number) for number in range(groups)]
        while self.lines < statements:
            self.more()
        for number in range(some_jobs):
            self.job(number)
        engine = create_engine(driver_url(url))
        with engine.begin() as connection:
            for table in self.tables:
                rows = self.rows.get(table, [])
                for start in range(0, len(rows), BATCH):
                    connection.execute(insert(table), rows[start : start + BATCH])
            connection.exec_driver_sql("ANALYZE")
        engine.dispose()
        self.rows.clear()  # they are the measurement's, and would be gone through at every collection of garbage

    def put(self, table: Any, **values: Any) -> None:
        self.rows.setdefault(table, []).append(values)

    def policy(self, kind: str, subject: str, lines: list[str]) -> None:
        owner = {f"{one}_id": subject if one == kind else None for one in ("user", "team", "role")}
        self.put(
            policies, id=new_id(), organization_id=self.organization, statements="\n".join(lines), everywhere=0,
            created_by=None, created_at=1, **owner,
        )  # fmt: skip
        self.lines += len(lines)

    def role_of(self, kind: str, parent: str, predefined: dict[str, list[str]]) -> dict[str, str]:
        made = {}
        for name, lines in predefined.items():
            made[name] = new_id()
            self.put(
                roles, id=made[name], organization_id=self.organization, parent_type=kind, parent_id=parent, name=name,
                predefined=1, created_at=1,
            )  # fmt: skip
            self.policy("role", made[name], lines)
        return made

    def account(self, name: str, owner: str | None = None) -> tuple[str, dict[str, str]]:
        made = new_id()
        self.put(
            accounts, id=made, organization_id=self.organization, parent_id=None, name=name, full_name=f"acme.{name}",
            created_at=1,
        )  # fmt: skip
        self.put(account_ancestors, account_id=made, ancestor_id=made)
        its_roles = self.role_of("account", made, of_account(self.organization, made))
        if owner is not None:
            self.put(role_users, role_id=its_roles["admin"], user_id=owner, created_at=1)
        return made, its_roles

    def user(self, number: int, *, administrator: bool = False) -> tuple[str, str]:
        made, secret = new_id(), new_secret("user")
        account, _ = self.account(f"u{number}", made)
        self.put(
            users, number=10 + number, id=made, organization_id=self.organization, name=f"u{number}",
            account_id=account, administrator_at=1 if administrator else None, created_at=1,
        )  # fmt: skip
        self.put(role_users, role_id=self.roles["user"], user_id=made, created_at=1)
        self.policy("user", made, of_oneself(self.organization, made))
        self.put(tokens, id=new_id(), user_id=made, kind="user", hash=hash_of(secret), created_at=1)
        self.secrets[made] = secret
        return made, account

    def team(self, number: int) -> str:
        made = new_id()
        self.put(teams, id=made, organization_id=self.organization, name=f"t{number}", created_at=1)
        above = [made]
        if number % 10:  # nine of ten lie in one that is there, up to three deep
            outer = self.rows[teams][number - number % 10]["id"]
            self.put(team_teams, team_id=outer, member_id=made, created_at=1)
            above.append(outer)
        for one in above:
            self.put(team_ancestors, team_id=made, ancestor_id=one)
        self.role_of("team", made, of_team(self.organization, made))
        for user, _ in self.chance.sample(self.people, min(20, len(self.people))):
            self.put(team_users, team_id=made, user_id=user, created_at=1)
        _, lab_roles = self.labs[number % len(self.labs)]
        self.put(role_teams, role_id=lab_roles["user"], team_id=made, created_at=1)
        return made

    def more(self) -> None:
        """A policy of a user or team that names a few things."""
        lab, _ = self.chance.choice(self.labs)
        below = f"{self.organization}:account:{lab}"
        lines = [f"job:get+job:logs@{below}:job:{new_id()}", f"data:*@{below}:data:*", f"job:*@{below}:*"]
        user, team = self.chance.choice(self.people)[0], self.chance.choice(self.groups)
        kind, subject = self.chance.choice((("user", user), ("team", team)))
        self.policy(kind, subject, lines[: self.chance.randint(1, 3)])

    def job(self, number: int) -> None:
        needed = {
            column.name: "" if str(column.type).upper().startswith(("VARCHAR", "TEXT", "CHAR")) else 0
            for column in jobs.c
            if not column.nullable
        }
        lab, _ = self.labs[number % len(self.labs)]
        job = new_id()
        self.put(
            jobs,
            **needed | {
                "number": number + 1, "id": job, "short_id": job[-8:], "account_id": lab, "owner_id": self.people[0][0],
                "state": "SUCCEEDED", "type": "batch", "group_name": "default", "image": "host",
                "spec": '{"command":["true"]}', "warnings": "[]", "mounts": "[]", "ended_at": 1,
            },
        )  # fmt: skip


@contextmanager
def populated(bench: Bench) -> Iterator[tuple[Database, Population, Path]]:
    """A database with all of them."""
    with TemporaryDirectory(prefix="dais-bench-") as directory:
        url = f"sqlite:///{directory}/dais.db"
        create_tables(url)
        size = bench.pick(10_000, 500), bench.pick(1_000, 50), bench.pick(100_000, 5_000), bench.pick(100_000, 2_000)
        made = Population(url, *size)
        db = open_database(url, SystemClock())
        try:
            yield db, made, Path(directory)
        finally:
            db.close()


def run(bench: Bench) -> None:
    with populated(bench) as (db, made, directory):
        count = bench.pick(5_000, 400)
        actors = [actor_of(db, made, user) for user, _ in made.chance.sample(made.people, min(count, len(made.people)))]
        questions = [(actor, made.chance.choice(made.labs)[0]) for actor in actors]
        cached, cold = bench.repeat(lambda: decisions(db, questions * 5)), bench.repeat(lambda: first(db, questions))
        bench.report(
            Row(
                figure=f"decisions a second and core, {made.lines:,} statements, remembered",
                ours=cached, unit="decisions/s", aim=Aim(number="", must=100_000),
            ),
            Row(
                figure="the same, each the first about its user", ours=cold, unit="decisions/s",
                aim=Aim(number="", must=5_000),
            ),
            Row(figure="who is allowed, of all", ours=bench.repeat(lambda: who(db, made)), unit="ms of CPU"),
            Row(
                figure="a page of 50 jobs that one may see", unit="ms of CPU",
                ours=bench.repeat(lambda: page(db, actors[:100])),
            ),
        )  # fmt: skip
        asyncio.run(request_cost(bench, db, made, directory, actors[0]))


def actor_of(db: Database, made: Population, user: str) -> Actor:
    found: Actor = db.read_sync(authenticate, made.secrets[user]).actor
    return found


def per_second(verb: Callable[[], int]) -> float:
    begun = time.thread_time()
    count = verb()
    return count / (time.thread_time() - begun)


def asked(uow: UnitOfWork, questions: list[tuple[Actor, str]]) -> int:
    for actor, account in questions:
        may(uow, actor, "job:get", resource_at(uow, "job", "0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10", account_id=account))
    return len(questions)


def decisions(db: Database, questions: list[tuple[Actor, str]]) -> float:
    """Decisions a second about users that are remembered."""
    found: float = db.read_sync(lambda uow: (asked(uow, questions[:]), per_second(lambda: asked(uow, questions)))[1])
    return found


def first(db: Database, questions: list[tuple[Actor, str]]) -> float:
    """Decisions a second where nothing is remembered."""
    db.write_sync(lambda uow: uow.hint(CHANGED))
    found: float = db.read_sync(lambda uow: per_second(lambda: asked(uow, questions)))
    return found


def milliseconds(db: Database, verb: Callable[[UnitOfWork], object]) -> float:
    def timed(uow: UnitOfWork) -> float:
        begun = time.thread_time()
        verb(uow)
        return (time.thread_time() - begun) * 1e3

    found: float = db.read_sync(timed)
    return found


def who(db: Database, made: Population) -> float:
    root = Actor(
        id=new_id(), number=1, name="root", organization_id=made.organization, organization="acme", account_id="",
        administrator=True,
    )  # fmt: skip
    urn = f"{made.organization}:account:{made.labs[0][0]}:job:0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10"
    return milliseconds(db, lambda uow: who_is_allowed(uow, root, "job:get", urn))


def page(db: Database, actors: list[Actor]) -> float:
    """A page of the jobs that each may see, the rules remembered."""
    from dais.compute import JobFilter, list_jobs

    def all_of_them(uow: UnitOfWork) -> None:
        for actor in actors:
            list_jobs(uow, actor, JobFilter(), limit=50)

    milliseconds(db, all_of_them)
    return milliseconds(db, all_of_them) / len(actors)


async def request_cost(bench: Bench, db: Database, made: Population, directory: Path, actor: Actor) -> None:
    """The CPU of one GET that asks, beside the same as an administrator of the installation, and of asking alone."""
    services = Services(db=db, clock=db.clock, data_dir=directory, authenticator=Authenticator(db))
    api = Application(all_routes(), services)
    account = next(account for user, account in made.people if user == actor.id)
    count = bench.pick(5_000, 300)

    async def get(secret: str) -> float:
        scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": f"/v1/accounts/{account}",
            "raw_path": f"/v1/accounts/{account}".encode(), "query_string": b"", "client": ("127.0.0.1", 1),
            "headers": [(b"authorization", f"Bearer {secret}".encode())], "extensions": {},
        }  # fmt: skip
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        begun = time.process_time()
        for _ in range(count):
            await api(dict(scope), receive, send)
            await asyncio.sleep(0)
        assert status == 200, status
        return (time.process_time() - begun) / count * 1e6

    theirs, roots, asking = [], [], []
    for _ in range(bench.rounds):
        theirs.append(await get(made.secrets[actor.id]))
        roots.append(await get(made.secrets[made.root]))

        def ask(uow: UnitOfWork) -> float:
            return 1e6 / per_second(lambda: asked(uow, [(actor, account)] * count))

        asking.append(await db.read(ask))
    bench.report(
        Row(figure="a GET that asks once", ours=theirs, unit="µs of CPU", peer="an administrator's", theirs=roots,
            ratios=ratios(theirs, roots)),
        Row(figure="asking, of that GET", ours=asking, unit="µs of CPU", peer="the GET", theirs=theirs,
            ratios=ratios(asking, theirs), aim=Aim(number="", must=0.1, at_most=True)),
    )  # fmt: skip


if __name__ == "__main__":
    main(run)
