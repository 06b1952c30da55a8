"""Teams, roles and policies: who is in what, what that allows, and who must stay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from dais.identity import (
    Actor,
    Organization,
    add_role_member,
    add_team_member,
    create_account,
    create_policy,
    create_role,
    create_team,
    disable_user,
    enable_user,
    get_policy,
    list_policies,
    list_users,
    remove_policy,
    remove_role,
    remove_role_member,
    remove_team,
    remove_team_member,
    rename_role,
    rename_team,
    role_members,
    set_administrator,
    team_members,
)
from dais.kit.errors import DaisError
from tests.support.people import People, refused

# -- teams ---------------------------------------------------------------------------------------------------------


def test_membership_is_transitive_and_ends_at_once(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    outer, middle, inner = people.teams(chief, "outer", "middle", "inner")
    db.write_sync(add_team_member, chief, outer, team_id=middle.id)
    db.write_sync(add_team_member, chief, middle, team_id=inner.id)
    db.write_sync(add_team_member, chief, inner, user_id=joe.id)
    assert not people.may_do(joe, "job:get", lab.id)
    db.write_sync(create_policy, chief, "team", outer.id, [f"job:get@*:account:{lab.id}:*"])
    assert people.may_do(joe, "job:get", lab.id)
    assert not people.may_do(joe, "job:kill", lab.id)
    db.write_sync(add_role_member, chief, people.role("account", lab.id, "user"), team_id=middle.id)
    assert people.may_do(joe, "job:kill", lab.id)
    db.write_sync(remove_team_member, chief, outer, team_id=middle.id)
    assert people.may_do(joe, "job:kill", lab.id)
    db.write_sync(remove_team_member, chief, middle, team_id=inner.id)
    assert not people.may_do(joe, "job:get", lab.id)
    db.write_sync(add_team_member, chief, middle, team_id=inner.id)
    assert people.may_do(joe, "job:get", lab.id)
    db.write_sync(remove_team, chief, middle)
    assert not people.may_do(joe, "job:get", lab.id)
    assert [one.name for one in db.read_sync(team_members, chief, inner).items] == ["joe"]


def test_two_ways_into_a_team_are_one_and_the_other_stays(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    top, left, right, low = people.teams(chief, "top", "left", "right", "low")
    for above, below in ((top, left), (top, right), (left, low), (right, low), (right, low)):
        db.write_sync(add_team_member, chief, above, team_id=below.id)
    db.write_sync(add_team_member, chief, low, user_id=joe.id)
    db.write_sync(create_policy, chief, "team", top.id, [f"job:get@*:account:{lab.id}:*"])
    db.write_sync(remove_team_member, chief, left, team_id=low.id)
    assert people.may_do(joe, "job:get", lab.id)
    db.write_sync(remove_team_member, chief, right, team_id=low.id)
    assert not people.may_do(joe, "job:get", lab.id)


def test_cycles_are_refused(people: People, chief: Actor) -> None:
    a, b, c = people.teams(chief, "a", "b", "c")
    people.db.write_sync(add_team_member, chief, a, team_id=b.id)
    people.db.write_sync(add_team_member, chief, b, team_id=c.id)
    for outer, inner in ((a, a), (b, a), (c, a), (c, b)):
        refused("team-cycle", partial(people.db.write_sync, add_team_member, chief, outer, team_id=inner.id))


def test_two_that_join_each_other_at_once_do_not_make_a_cycle(people: People, chief: Actor) -> None:
    one, other = people.teams(chief, "one", "other")
    outcomes = at_once(
        lambda: people.db.write_sync(add_team_member, chief, one, team_id=other.id),
        lambda: people.db.write_sync(add_team_member, chief, other, team_id=one.id),
    )
    assert sorted(map(str, outcomes)) == ["None", "team-cycle"]


def test_a_team_of_another_organization_does_not_join(people: People, chief: Actor) -> None:
    (mine,) = people.teams(chief, "mine")
    elsewhere = people.chief("other", people.organization("umbrella").id)
    (theirs,) = people.teams(elsewhere, "theirs")
    refused("no-such-team", lambda: people.db.write_sync(add_team_member, chief, mine, team_id=theirs.id))
    refused("foreign-team", lambda: people.db.write_sync(add_team_member, people.root, mine, team_id=theirs.id))
    refused("no-such-user", lambda: people.db.write_sync(add_team_member, chief, mine, user_id=elsewhere.id))
    refused("one-member", lambda: people.db.write_sync(add_team_member, chief, mine))


def test_names_of_teams_are_taken_once(people: People, chief: Actor) -> None:
    a, _ = people.teams(chief, "a", "b")
    refused("team-exists", lambda: people.db.write_sync(create_team, chief, "a"))
    refused("team-exists", lambda: people.db.write_sync(rename_team, chief, a, "b"))
    assert people.db.write_sync(rename_team, chief, a, "c").full_name == "acme.c"


# -- roles and policies --------------------------------------------------------------------------------------------


def test_roles_are_assumed_renamed_and_removed(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    role = db.write_sync(create_role, chief, "account", lab.id, "watcher")
    assert role.full_name == "acme.lab.watcher"
    db.write_sync(create_policy, chief, "role", role.id, [f"job:get@*:account:{lab.id}:*"])
    db.write_sync(add_role_member, chief, role, user_id=joe.id)
    assert people.may_do(joe, "job:get", lab.id)
    assert [one.name for one in db.read_sync(role_members, chief, role).items] == ["joe"]
    refused("role-exists", lambda: db.write_sync(create_role, chief, "account", lab.id, "watcher"))
    other = db.write_sync(create_role, chief, "account", lab.id, "other")
    refused("role-exists", lambda: db.write_sync(rename_role, chief, other, "watcher"))
    assert db.write_sync(rename_role, chief, role, "viewer").name == "viewer"
    key = people.key(chief, role)
    assert people.may_do(key, "job:get", lab.id)
    db.write_sync(remove_role, chief, role)
    assert not people.may_do(joe, "job:get", lab.id)
    assert not people.may_do(key, "job:get", lab.id)
    for predefined in ("admin", "user"):
        found = people.role("account", lab.id, predefined)
        refused("predefined-role", partial(db.write_sync, remove_role, chief, found))
        refused("predefined-role", partial(db.write_sync, rename_role, chief, found, "x"))


def test_policies_come_and_go(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    joe = people.user("joe", acme.id)
    lab = db.write_sync(create_account, chief, "lab")
    made = db.write_sync(create_policy, chief, "user", joe.id, ["job:get+job:logs@*", f"job:kill@*:account:{lab.id}:*"])
    assert made.statements[0] == f"job:get+job:logs@{acme.id}+{acme.id}:*"
    assert people.may_do(joe, "job:kill", lab.id)
    assert made in db.read_sync(list_policies, chief, "user", joe.id)
    db.write_sync(remove_policy, chief, made)
    assert not people.may_do(joe, "job:get", lab.id)
    refused("no-such-policy", lambda: db.read_sync(get_policy, made.id))
    predefined = db.read_sync(list_policies, chief, "role", people.role("account", lab.id, "user").id)
    refused("predefined", lambda: db.write_sync(remove_policy, chief, predefined[0]))
    refused("bad-policy", lambda: db.write_sync(create_policy, chief, "user", joe.id, []))
    refused("bad-policy", lambda: db.write_sync(create_policy, chief, "user", joe.id, ["*@*"] * 101))
    refused("bad-statement", lambda: db.write_sync(create_policy, chief, "user", joe.id, ["*@a*:job:*"]))
    refused("bad-subject", lambda: db.write_sync(create_policy, chief, "job", joe.id, ["*@*"]))


def test_a_statement_that_names_another_organizations_things_reaches_none(
    people: People, acme: Organization, chief: Actor
) -> None:
    umbrella = people.organization("umbrella")
    elsewhere = people.chief("other", umbrella.id)
    theirs = people.db.write_sync(create_account, elsewhere, "lab")
    people.db.write_sync(
        create_policy, chief, "user", chief.id, [f"*@{acme.id}:account:{theirs.id}:*+{acme.id}:user:{elsewhere.id}"]
    )
    assert not people.may_do(chief, "job:get", theirs.id)
    assert "other" not in [user.name for user in people.db.read_sync(list_users, chief).items]
    refused(
        "beyond-own",
        lambda: people.db.write_sync(create_policy, chief, "user", chief.id, [f"job:get@{umbrella.id}:*"]),
    )
    refused("not-allowed", lambda: people.db.write_sync(create_policy, chief, "user", elsewhere.id, ["*@*"]))


# -- the last administrator ----------------------------------------------------------------------------------------


def test_the_last_administrator_stays(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    admin = people.role("organization", acme.id, "admin")
    refused("last-administrator", lambda: db.write_sync(remove_role_member, chief, admin, user_id=chief.id))
    refused("last-administrator", lambda: db.write_sync(disable_user, chief, chief.id))
    refused("last-administrator", lambda: db.write_sync(disable_user, people.root, people.root.id))
    refused("last-administrator", lambda: db.write_sync(set_administrator, people.root, people.root.id, False))
    joe = people.user("joe", acme.id)
    db.write_sync(add_role_member, chief, admin, user_id=joe.id)
    db.write_sync(disable_user, chief, joe.id)  # who is not let in does not count
    refused("last-administrator", lambda: db.write_sync(remove_role_member, chief, admin, user_id=chief.id))
    db.write_sync(enable_user, chief, joe.id)
    db.write_sync(remove_role_member, chief, admin, user_id=chief.id)
    refused("not-allowed", lambda: db.write_sync(disable_user, chief, joe.id))


def test_the_last_way_through_a_team_stays(people: People, acme: Organization, chief: Actor) -> None:
    db = people.db
    admin = people.role("organization", acme.id, "admin")
    joe = people.user("joe", acme.id)
    outer, inner = people.teams(chief, "outer", "inner")
    db.write_sync(add_team_member, chief, outer, team_id=inner.id)
    db.write_sync(add_team_member, chief, inner, user_id=joe.id)
    db.write_sync(add_role_member, chief, admin, team_id=outer.id)
    db.write_sync(remove_role_member, chief, admin, user_id=chief.id)
    root = people.root
    for verb in (
        lambda: db.write_sync(remove_team_member, root, inner, user_id=joe.id),
        lambda: db.write_sync(remove_team_member, root, outer, team_id=inner.id),
        lambda: db.write_sync(remove_team, root, inner),
        lambda: db.write_sync(remove_team, root, outer),
        lambda: db.write_sync(disable_user, root, joe.id),
        lambda: db.write_sync(remove_role_member, root, admin, team_id=outer.id),
    ):
        refused("last-administrator", verb)
    assert people.may_do(joe, "job:kill", joe.account_id)


def test_two_that_leave_at_once_do_not_leave_nobody(people: People, acme: Organization, chief: Actor) -> None:
    joe = people.user("joe", acme.id)
    admin = people.role("organization", acme.id, "admin")
    people.db.write_sync(add_role_member, chief, admin, user_id=joe.id)
    outcomes = at_once(
        *(partial(people.db.write_sync, remove_role_member, people.root, admin, user_id=one.id) for one in (joe, chief))
    )
    assert sorted(map(str, outcomes)) == ["None", "last-administrator"]
    second = people.user("second", administrator=True)
    outcomes = at_once(
        *(
            partial(people.db.write_sync, set_administrator, one, other.id, False)
            for one, other in ((second, people.root), (people.root, second))
        )
    )
    assert sorted(map(str, outcomes)) == ["None", "last-administrator"]


def at_once(*verbs: Callable[[], Any]) -> list[Any]:
    """What each came to, begun together: its result, or the code of its error."""
    together = threading.Barrier(len(verbs))
    found: list[Any] = [None] * len(verbs)

    def run(place: int, verb: Callable[[], Any]) -> None:
        together.wait(10)
        try:
            found[place] = verb()
        except DaisError as error:
            found[place] = error.code
        else:
            found[place] = None

    threads = [threading.Thread(target=run, args=(place, verb)) for place, verb in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found
