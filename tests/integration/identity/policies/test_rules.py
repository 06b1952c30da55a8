"""What somebody may do and through what, who may do something, and what a policy would change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dais.identity import (
    Actor,
    Link,
    Organization,
    add_role_member,
    add_team_member,
    create_account,
    create_policy,
    create_role,
    disable_user,
    explain,
    list_rules,
    list_users,
    simulate,
    who_is_allowed,
)
from dais.identity.queries.access import named
from dais.identity.rules import rules_of_subject
from dais.kit.database import UnitOfWork
from dais.kit.errors import Forbidden, Invalid
from tests.support.people import People, refused

JOB = "0193a1b2-77c1-7d1e-9f00-3f1f2a5c8d10"


def way(links: Iterable[Link]) -> list[str]:
    return [f"{link.type} {link.name}" for link in links]


def test_ones_rules_tell_through_what_they_are_held(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    outer, inner = people.teams(chief, "outer", "inner")
    db.write_sync(add_team_member, chief, outer, team_id=inner.id)
    db.write_sync(add_team_member, chief, inner, user_id=joe.id)
    db.write_sync(add_role_member, chief, people.role("account", lab.id, "user"), team_id=outer.id)
    found = db.read_sync(list_rules, joe)
    assert ("user:set", f"{acme.id}:user:{joe.id}") in {(one.action, one.expression) for one in found}
    (mine,) = [one for one in found if one.action == "job:*" and one.expression == f"{acme.id}:account:{lab.id}:*"]
    assert way(mine.through) == ["user acme.joe", "team acme.inner", "team acme.outer", "role acme.lab.user"]
    assert db.read_sync(list_rules, chief, ("user", joe.id)) == found
    of_team = db.read_sync(list_rules, chief, ("team", inner.id))
    assert {way(one.through)[0] for one in of_team} == {"team acme.inner"}
    refused("not-allowed", lambda: db.read_sync(list_rules, joe, ("user", chief.id)))
    assert db.read_sync(list_rules, people.root)[0].action == "*"


def test_what_comes_by_several_ways_counts_once(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    outer, inner, other = people.teams(chief, "outer", "inner", "other")
    role = db.write_sync(create_role, chief, "organization", acme.id, "watcher")
    db.write_sync(create_policy, chief, "role", role.id, ["job:get@*"])
    db.write_sync(create_policy, chief, "team", outer.id, ["image:get@*"])
    for team in (inner, other):
        db.write_sync(add_team_member, chief, outer, team_id=team.id)
        db.write_sync(add_team_member, chief, team, user_id=joe.id)
        db.write_sync(add_role_member, chief, role, team_id=team.id)
    db.write_sync(add_role_member, chief, role, user_id=joe.id)
    rules = db.read_sync(lambda uow: rules_of_subject(uow, "user", joe.id).all)
    said = [rule.subject for rule in rules]
    assert [said.count(one) for one in (("role", role.id), ("team", outer.id))] == [1, 1], said


def test_a_roles_key_has_the_roles_rules(people: People, acme: Organization, chief: Actor) -> None:
    role = people.db.write_sync(create_role, chief, "organization", acme.id, "watcher")
    people.db.write_sync(create_policy, chief, "role", role.id, ["job:get@*"])
    key = people.key(chief, role)
    found = people.db.read_sync(list_rules, key)
    assert [(one.action, way(one.through)) for one in found] == [("job:get", ["role acme.watcher"])] * 2


def test_an_answer_names_the_statements(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    deep = db.write_sync(create_account, chief, "deep", lab.id)
    db.write_sync(create_policy, chief, "user", joe.id, [f"job:get+job:new@*:account:{lab.id}+*:account:{lab.id}:*"])
    urn = f"{acme.id}:account:{deep.id}:job:{JOB}"
    yes = db.read_sync(explain, joe, "job:get", urn)
    assert yes.allowed
    assert [one.action for one in yes.rules] == ["job:get+job:new"]
    assert not db.read_sync(explain, joe, "job:kill", urn).allowed
    assert db.read_sync(explain, chief, "job:kill", urn, ("user", joe.id)).rules == ()
    for action, place, expected in (
        ("job:new", f"{acme.id}:account:{deep.id}", True),
        ("job:list", f"{acme.id}:account:{deep.id}", True),
        ("account:new", f"{acme.id}:account:{deep.id}", False),
        ("account:get", f"{acme.id}:account:{joe.account_id}", True),
        ("token:new", f"{acme.id}:user:{joe.id}", True),
        ("token:new", f"{acme.id}:user:{chief.id}", False),
        ("team:new", acme.id, False),
        ("organization:get", acme.id, True),
        ("node:get", "installation:node:n1", True),
        ("node:set", "installation:node:n1", False),
        ("job:get", f"{people.root.organization_id}:account:{lab.id}:job:{JOB}", False),
    ):
        assert db.read_sync(explain, joe, action, place).allowed == expected, (action, place)
    narrowed = people.narrowed(joe, "job:new@*")
    told = db.read_sync(explain, narrowed, "job:get", urn)
    assert (told.allowed, told.narrowed, len(told.rules)) == (False, True, 1)


@pytest.mark.parametrize(
    "action, urn, code",
    [
        ("job:made", "installation:node:x", "unknown-action"),
        ("job:*", "installation:node:x", "unknown-action"),
        ("job:get", "nowhere:job:x", "bad-urn"),
        ("job:get", "installation:job:*", "bad-urn"),
        ("job:get", "installation:job", "bad-urn"),
        ("job:get", "", "bad-urn"),
        ("job:get", "installation:" + "x:" * 500, "bad-urn"),
    ],
)
def test_a_question_that_cannot_be_asked(people: People, action: str, urn: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        people.db.read_sync(explain, people.root, action, urn)
    assert caught.value.code == code


def test_who_is_allowed_is_everybody_whose_own_answer_is_yes(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe, mia, eve, gone = (people.user(name, acme.id) for name in ("joe", "mia", "eve", "gone"))
    umbrella = people.organization("umbrella")
    other = people.chief("other", umbrella.id)
    lab = db.write_sync(create_account, chief, "lab")
    deep = db.write_sync(create_account, chief, "deep", lab.id)
    outer, inner = people.teams(chief, "outer", "inner")
    db.write_sync(add_team_member, chief, outer, team_id=inner.id)
    db.write_sync(add_team_member, chief, inner, user_id=joe.id)
    db.write_sync(add_team_member, chief, inner, user_id=gone.id)
    db.write_sync(add_role_member, chief, people.role("account", lab.id, "user"), team_id=outer.id)
    db.write_sync(create_policy, chief, "user", mia.id, [f"job:get@{acme.id}:account:{deep.id}:job:{JOB}"])
    db.write_sync(create_policy, chief, "team", outer.id, ["team:*@*:team:*"])
    db.write_sync(create_policy, people.root, "user", other.id, ["job:list@*"])
    role = db.write_sync(create_role, chief, "account", lab.id, "keyed")
    db.write_sync(create_policy, chief, "role", role.id, [f"job:*@*:account:{lab.id}:*"])
    people.key(chief, role)
    db.write_sync(disable_user, chief, gone.id)
    everybody = [user for user in db.read_sync(list_users, people.root).items if not user.disabled]
    for action, urn in (
        ("job:get", f"{acme.id}:account:{deep.id}:job:{JOB}"),
        ("job:list", f"{acme.id}:account:{deep.id}"),
        ("job:kill", f"{acme.id}:account:{lab.id}:job:{JOB}"),
        ("job:new", f"{acme.id}:account:{joe.account_id}"),
        ("team:rm", f"{acme.id}:team:{inner.id}"),
        ("user:set", f"{acme.id}:user:{eve.id}"),
        ("organization:get", acme.id),
        ("node:get", "installation:node:n1"),
        ("node:set", "installation:node:n1"),
    ):

        def expected(uow: UnitOfWork, action: str = action, urn: str = urn) -> set[str]:
            resource = named(uow, action, urn)
            root = {user.id for user in everybody if user.administrator}
            rules = {user.id: rules_of_subject(uow, "user", user.id) for user in everybody}
            return root | {one for one, its in rules.items() if its.allows(action, resource)}

        found = db.read_sync(who_is_allowed, people.root, action, urn)
        assert {one.id for one in found.items if one.type == "user"} == db.read_sync(expected), (action, urn)
        assert found.total == len(found.items)
        keyed = [one for one in found.items if one.type == "role"]
        in_lab = action.startswith("job:") and (lab.id in urn or deep.id in urn)
        assert [(one.name, one.keys) for one in keyed] == ([("acme.lab.keyed", 1)] if in_lab else [])
    found = db.read_sync(who_is_allowed, chief, "job:get", f"{acme.id}:account:{deep.id}:job:{JOB}")
    by_name = {one.name: one for one in found.items}
    assert way(by_name["acme.joe"].through) == ["role acme.lab.user"]
    assert by_name["acme.mia"].statements == (f"job:get@{acme.id}:account:{deep.id}:job:{JOB}",)
    assert way(by_name["local.root"].through) == ["installation administrator"]
    for one in (mia, other):  # joe may get all that is in the account, its policies too
        with pytest.raises(Forbidden):
            db.read_sync(who_is_allowed, one, "job:get", f"{acme.id}:account:{deep.id}:job:{JOB}")


def test_a_simulation_changes_nothing_and_tells_what_would(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    helper, joe, mia = (people.user(name, acme.id) for name in ("helper", "joe", "mia"))
    db.write_sync(create_policy, chief, "user", helper.id, ["policy:*+user:get+account:get@*", "job:get@*"])
    (team,) = people.teams(chief, "lab")
    for one in (joe, mia):
        db.write_sync(add_team_member, chief, team, user_id=one.id)
    lab = db.write_sync(create_account, chief, "lab")
    before = db.read_sync(list_rules, chief, ("team", team.id))
    found = db.read_sync(
        simulate, helper, "team", team.id, ["job:get+job:kill@*:account:*", f"account:get@*:account:{lab.id}"]
    )
    assert {(one.action, one.outcome) for one in found.pairs} == {
        ("job:get", "new"),
        ("job:kill", "refused"),
        ("account:get", "new"),
    }
    assert all("cannot grant" in one.why for one in found.pairs if one.outcome == "refused")
    assert (found.users, found.names) == (2, ("acme.joe", "acme.mia"))
    assert [(one.type, one.name, one.actions) for one in found.reachable] == [("account", "acme.lab", ("account:get",))]
    assert db.read_sync(list_rules, chief, ("team", team.id)) == before
    held = db.read_sync(simulate, chief, "user", joe.id, [f"user:set@*:user:{joe.id}"])
    assert [(one.outcome, way(one.through)) for one in held.pairs] == [("held", ["user acme.joe"])]
    assert held.reachable == ()
    refused("not-allowed", lambda: db.read_sync(simulate, joe, "user", mia.id, ["job:get@*"]))
