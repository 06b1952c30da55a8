"""Lists by SQL show exactly what the evaluator allows, on random policies and both databases."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, literal, select

from dais.compute.groups.tables import nodes, resource_groups
from dais.compute.jobs.tables import jobs
from dais.identity.evaluator import Rule, Rules
from dais.identity.seeing import as_visible, conditions
from dais.identity.tables import account_ancestors, accounts, organizations, teams, users
from dais.identity.urns import INSTALLATION, Resource
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork, open_database
from dais.kit.database.ends import driver_url
from tests.support.database import create_tables
from tests.support.policies import ORGANIZATIONS, WORLD, rules

ACTIONS = ("job:list", "job:get", "account:list", "user:list", "team:list", "organization:list", "node:list")


def whole(table: Any, **known: Any) -> dict[str, Any]:
    """A row that says what is known, and nothing else."""
    needed = (column for column in table.c if not column.nullable and column.name != "number")
    texts = ("VARCHAR", "TEXT", "CHAR")
    return {column.name: "" if str(column.type).upper().startswith(texts) else 0 for column in needed} | known


@pytest.fixture
def world(database_url: str) -> Iterator[Database]:
    """The small world as rows."""
    create_tables(database_url)
    engine = create_engine(driver_url(database_url))
    with engine.begin() as connection:

        def put(table: Any, *rows: dict[str, Any]) -> None:
            connection.execute(insert(table), list(rows))

        put(organizations, *({"id": one, "name": f"o{one[7]}", "created_at": 1} for one in ORGANIZATIONS))
        for one, parent in WORLD.parents.items():
            organization = WORLD.organization_of[one]
            put(
                accounts,
                {"id": one, "organization_id": organization, "parent_id": parent, "name": one, "full_name": one,
                 "created_at": 1},
            )  # fmt: skip
            put(account_ancestors, *({"account_id": one, "ancestor_id": above} for above in WORLD.above(one)))
        some = next(iter(WORLD.parents))
        for one, organization in WORLD.users.items():
            put(
                users,
                {"id": one, "organization_id": organization, "name": one, "account_id": some, "created_at": 1},
            )
        for one, organization in WORLD.teams.items():
            put(teams, {"id": one, "organization_id": organization, "name": one, "created_at": 1})
        for one, account in WORLD.jobs.items():
            put(jobs, whole(jobs, id=one, account_id=account))
        put(resource_groups, whole(resource_groups, name="g"))
        put(nodes, *(whole(nodes, group_name="g", name=one) for one in WORLD.nodes))
    engine.dispose()
    opened = open_database(database_url, ManualClock())
    yield opened
    opened.close()


@functools.cache
def listing(action: str, shape: frozenset[str]) -> Statement:
    """The query of a list of the action's type."""
    kind = action.partition(":")[0]
    lists: dict[str, tuple[Any, dict[str, Any]]] = {
        "job": (jobs, {"id": jobs.c.id, "account": jobs.c.account_id}),
        "account": (accounts, {"id": accounts.c.id, "account": accounts.c.id}),
        "user": (users, {"id": users.c.id, "organization": users.c.organization_id}),
        "team": (teams, {"id": teams.c.id, "organization": teams.c.organization_id}),
        "organization": (organizations, {"id": organizations.c.id, "organization": organizations.c.id}),
        "node": (nodes, {"id": nodes.c.name, "organization": literal(INSTALLATION)}),
    }
    table, columns = lists[kind]
    return Statement(select(columns["id"].label("id")).select_from(table).where(*conditions(shape, kind, **columns)))


def listed(uow: UnitOfWork, action: str, found: Rules, narrowed: Rules | None) -> list[str]:
    holder = "account" if action.startswith("job") else None
    narrow = None if narrowed is None else narrowed.seen(action, holder)
    seen = as_visible(found.seen(action, holder), narrow, uow.dialect)
    return sorted(row.id for row in uow.all(listing(action, seen.shape), **seen.values))


def name_of(resource: Resource) -> str:
    return resource.organization_id if resource.type == "organization" else resource.id


def test_a_list_shows_exactly_what_may_be_seen(world: Database) -> None:
    things = [one for one in WORLD.resources() if not one.new]

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(rules(), max_size=4), st.none() | st.lists(rules(), min_size=1, max_size=2))
    def check(given_rules: list[Rule], narrowed_to: list[Rule] | None) -> None:
        found = Rules(given_rules)
        narrowed = None if narrowed_to is None else Rules(narrowed_to)

        def read(uow: UnitOfWork) -> None:
            for action in ACTIONS:
                kind = action.partition(":")[0]
                expected = sorted(
                    name_of(one)
                    for one in things
                    if one.type == kind
                    and found.allows(action, one)
                    and (narrowed is None or narrowed.allows(action, one))
                )
                assert listed(uow, action, found, narrowed) == expected, action

        world.read_sync(read)

    check()
