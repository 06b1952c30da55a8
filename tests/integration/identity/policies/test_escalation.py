"""Nobody makes themselves or others mightier; what changes is seen at once."""

from __future__ import annotations

import pytest

from dais.identity import (
    Actor,
    Organization,
    add_role_member,
    add_team_member,
    create_account,
    create_policy,
    create_role,
    create_role_key,
    create_token,
    disable_user,
    may,
    remove_policy,
    resource_at,
    set_administrator,
    set_user,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict
from tests.support.people import People, refused


@pytest.fixture
def helper(people: People, acme: Organization, chief: Actor) -> Actor:
    """Somebody who looks after users, teams and roles of the organization, and may read its jobs; no more."""
    made = people.user("helper", acme.id)
    people.db.write_sync(
        create_policy,
        chief,
        "user",
        made.id,
        [
            "user:*+team:*+role:*+policy:*+token:*@*",
            "job:get@*",
        ],
    )
    return made


def test_nobody_grants_what_they_do_not_have(people: People, acme: Organization, chief: Actor, helper: Actor) -> None:
    db = people.db
    lab = db.write_sync(create_account, chief, "lab")
    admin = people.role("organization", acme.id, "admin")
    strong, weak = people.teams(chief, "strong", "weak")
    db.write_sync(create_policy, chief, "team", strong.id, ["job:kill@*"])
    own = db.write_sync(create_role, helper, "organization", acme.id, "own")
    for attack in (
        lambda: db.write_sync(create_policy, helper, "user", helper.id, ["*@*"]),
        lambda: db.write_sync(create_policy, helper, "user", helper.id, ["job:*@*"]),
        lambda: db.write_sync(create_policy, helper, "user", helper.id, [f"job:kill@*:account:{lab.id}:*"]),
        lambda: db.write_sync(create_policy, helper, "user", helper.id, ["job:get@installation:*"]),
        lambda: db.write_sync(create_policy, helper, "role", own.id, ["job:get+job:kill@*"]),
        lambda: db.write_sync(create_policy, helper, "team", weak.id, ["job:get@*", "job:kill@*"]),
        lambda: db.write_sync(add_role_member, helper, admin, user_id=helper.id),
        lambda: db.write_sync(add_role_member, helper, admin, team_id=weak.id),
        lambda: db.write_sync(add_team_member, helper, strong, user_id=helper.id),
        lambda: db.write_sync(add_team_member, helper, strong, team_id=weak.id),
        lambda: db.write_sync(create_role_key, helper, admin),
        lambda: db.write_sync(create_token, helper, user_id=chief.id),
        lambda: db.write_sync(create_token, helper, user_id=chief.id, narrowed=["job:get@*"]),
        lambda: db.write_sync(set_user, helper, chief.id, email="helper@example.org"),
        lambda: db.write_sync(disable_user, helper, chief.id),
    ):
        refused("beyond-own", attack)
    assert not people.may_do(helper, "job:kill", lab.id)
    db.write_sync(create_policy, helper, "role", own.id, ["job:get@*"])
    db.write_sync(add_role_member, helper, own, user_id=helper.id)
    joe = people.user("joe", acme.id)
    db.write_sync(create_policy, helper, "user", joe.id, [f"job:get@*:account:{lab.id}:job:*"])


def test_what_a_team_inherits_counts_when_somebody_joins(people: People, chief: Actor, helper: Actor) -> None:
    db = people.db
    outer, inner = people.teams(chief, "outer", "inner")
    db.write_sync(add_team_member, chief, outer, team_id=inner.id)
    db.write_sync(create_policy, chief, "team", outer.id, ["job:kill@*"])
    refused("beyond-own", lambda: db.write_sync(add_team_member, helper, inner, user_id=helper.id))


def test_an_organizations_administrator_is_not_the_installations(
    people: People, acme: Organization, chief: Actor
) -> None:
    """Root is also a member of the organization, and so within its administrator's reach by name."""
    db = people.db
    boss = people.user("boss", acme.id, administrator=True)
    for attack in (
        lambda: db.write_sync(create_token, chief, user_id=boss.id),
        lambda: db.write_sync(set_user, chief, boss.id, email="x@example.org"),
        lambda: db.write_sync(disable_user, chief, boss.id),
        lambda: db.write_sync(create_token, chief, user_id=boss.id, narrowed=["job:get@*"]),
    ):
        refused("beyond-own", attack)
    refused("not-allowed", lambda: db.write_sync(set_administrator, chief, chief.id, True))
    narrowed = people.narrowed(boss, "*@*")
    refused("beyond-own", lambda: db.write_sync(set_administrator, narrowed, chief.id, True))


def test_a_roles_key_does_not_become_who_made_it(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    role = db.write_sync(create_role, chief, "organization", acme.id, "tokens")
    db.write_sync(create_policy, chief, "role", role.id, ["token:*+user:*@*"])
    key = people.key(chief, role)
    assert key.id == chief.id
    for attack in (
        lambda: db.write_sync(create_token, key),
        lambda: db.write_sync(create_token, key, narrowed=["*@*"]),
        lambda: db.write_sync(create_token, key, user_id=chief.id, narrowed=["job:get@*"]),
        lambda: db.write_sync(set_user, key, chief.id, email="x@example.org"),
    ):
        refused("beyond-own", attack)


def test_a_narrowed_token_only_takes_away(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    lab = db.write_sync(create_account, chief, "lab")
    joe = people.user("joe", acme.id)
    db.write_sync(create_policy, chief, "user", joe.id, ["job:get@*", "policy:*@*"])
    everything = people.narrowed(joe, "*@*")
    reads = people.narrowed(joe, "job:get+token:*@*")
    for action in ("job:get", "job:kill", "job:new"):
        assert people.may_do(everything, action, lab.id) == people.may_do(joe, action, lab.id)
    assert people.may_do(reads, "job:get", lab.id)
    assert not people.may_do(reads, "job:kill", joe.account_id)
    refused("not-allowed", lambda: db.write_sync(create_policy, reads, "user", joe.id, ["job:get@*"]))
    refused("beyond-own", lambda: db.write_sync(create_token, reads))
    refused("beyond-own", lambda: db.write_sync(create_token, reads, narrowed=["*@*"]))
    again = people.narrowed(reads, "job:get@*")
    assert people.may_do(again, "job:get", lab.id)


# -- what is remembered --------------------------------------------------------------------------------------------


def test_a_change_is_seen_by_the_next_request_and_a_failed_one_by_none(
    people: People, acme: Organization, chief: Actor
) -> None:
    joe = people.user("joe", acme.id)
    lab = people.db.write_sync(create_account, chief, "lab")
    assert not people.may_do(joe, "job:get", lab.id)

    def grant_and_fail(uow: UnitOfWork) -> None:
        create_policy(uow, chief, "user", joe.id, ["job:get@*"])
        assert may(uow, joe, "job:get", resource_at(uow, "job", "x", account_id=lab.id)), "the unit sees its own change"
        raise Conflict("no", code="no")

    refused("no", lambda: people.db.write_sync(grant_and_fail))
    assert not people.may_do(joe, "job:get", lab.id)
    made = people.db.write_sync(create_policy, chief, "user", joe.id, ["job:get@*"])
    assert people.may_do(joe, "job:get", lab.id)
    people.db.write_sync(remove_policy, chief, made)
    assert not people.may_do(joe, "job:get", lab.id)
