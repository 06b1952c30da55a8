"""Organizations, accounts, users, teams, roles, policies and keys over HTTP: what is refused, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dais.identity import Role, create_account, create_team, list_roles, may, resource_of
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.sdk import AsyncClient, Client
from dais.sdk.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from tests.support.acme import Acme, Somebody, somebody
from tests.support.commands import Commands
from tests.support.serving import Api

Connect = Callable[[Somebody], Client]


def test_a_taken_name_is_told_as_such(acme: Acme, client: Connect) -> None:
    joe, root = client(acme.joe), client(acme.root)
    joe.accounts.new("acme.lab")
    joe.accounts.new("acme.vision")
    joe.teams.new("vision")
    joe.teams.new("sight")
    joe.roles.new("acme.lab.readers")
    joe.roles.new("acme.lab.writers")
    taken: list[Callable[[], object]] = [
        lambda: joe.accounts.new("acme.lab"),
        lambda: joe.accounts.set("acme.lab", {"name": "vision"}),
        lambda: joe.accounts.set("acme.lab", {"name": "sam"}),
        lambda: joe.users.new(name="sam"),
        lambda: joe.users.new(name="lab"),
        lambda: joe.users.set("sam", name="joe"),
        lambda: joe.users.set("sam", name="lab"),
        lambda: joe.teams.new("vision"),
        lambda: joe.teams.set("sight", name="vision"),
        lambda: joe.roles.new("acme.lab.readers"),
        lambda: joe.roles.set("acme.lab.writers", name="readers"),
        lambda: root.organizations.new("acme"),
        lambda: root.organizations.set("other", name="acme"),
    ]
    for attempt in taken:
        with pytest.raises(Conflict, match="a resource with this name already exists") as refused:
            attempt()
        assert refused.value.code.endswith("-exists")


def test_names_follow(acme: Acme, client: Connect) -> None:
    joe, root = client(acme.joe), client(acme.root)
    lab = joe.accounts.new("acme.lab")
    deep = joe.accounts.new("acme.lab.a")
    joe.accounts.set("acme.lab", {"name": "vision"})
    assert joe.accounts.get(deep.id).full_name == "acme.vision.a"
    assert joe.users.set(name="joseph").account == "acme.joseph"
    assert root.organizations.set("acme", name="apex").name == "apex"
    found = joe.accounts.get(deep.id)
    assert (found.full_name, found.parent, found.parent_id) == ("apex.vision.a", "apex.vision", lab.id)
    assert {one.full_name for one in joe.accounts.list(below="apex")} == {"apex.joseph", "apex.sam", "apex.vision"}
    with pytest.raises(Conflict, match="personal account"):
        joe.accounts.set("apex.sam", {"name": "samuel"})


def test_everything_is_named_by_name_and_id(acme: Acme, client: Connect) -> None:
    joe = client(acme.joe)
    organization = acme.joe.user.organization_id
    user = joe.users.new("Mia.Smith@Example.org", full_name="Mia Smith")
    assert (user.name, user.email, user.urn) == ("mia-smith", "mia.smith@example.org", f"{organization}:user:{user.id}")
    for ref in ("mia-smith", "acme.mia-smith", "MIA.smith@example.org", user.id):
        assert joe.users.get(ref) == user
    team = joe.teams.new("acme.vision")
    assert team.urn == f"{organization}:team:{team.id}"
    assert joe.teams.get("vision") == joe.teams.get("acme.vision") == joe.teams.get(team.id) == team
    account = joe.accounts.new("lab")
    role = joe.roles.new("acme.lab.readers")
    assert role.urn == f"{organization}:account:{account.id}:role:{role.id}"
    assert joe.roles.get("lab.readers") == joe.roles.get(role.id) == role
    of_team = joe.roles.new("acme.vision.guests")
    assert (of_team.parent, of_team.parent_type) == ("acme.vision", "team")
    assert of_team.urn == f"{organization}:team:{team.id}:role:{of_team.id}"
    assert [one.full_name for one in joe.roles.list("team", "vision")] == [
        "acme.vision.admin",
        "acme.vision.guests",
        "acme.vision.user",
    ]
    with pytest.raises(NotFound, match="did you mean mia-smith"):
        joe.users.get("mia-smit")


def test_nobody_gets_what_was_meant_for_a_team_by_taking_its_name(
    acme: Acme, client: Connect, dais: Callable[[Somebody], Commands]
) -> None:
    joe, sam, as_joe = client(acme.joe), client(acme.sam), dais(acme.joe)
    joe.teams.new("vision")
    sam.users.set(name="vision")
    for line in ("dais role member add acme.vision.admin --user joe", "dais role new acme.vision.more"):
        assert "is one of an account and one of a team" in as_joe.refused(line)
    of_team = joe.roles.get("acme.vision.admin", parent_type="team")
    assert of_team.parent_type == "team"
    assert as_joe.said("dais team role member add acme.vision.admin --user vision --fields name -H") == "joe\nvision\n"
    assert [one.name for one in joe.roles.members(of_team.id)] == ["joe", "vision"]
    assert "there is no role" in as_joe.refused(f"dais account role member ls {of_team.id}")
    assert as_joe.said("dais role new acme.vision.more --parent-type team --field urn").startswith(
        f"{joe.teams.get('vision').urn}:role:"
    )


def test_names_stand_for_ids_in_statements(acme: Acme, client: Connect) -> None:
    joe = client(acme.joe)
    organization = acme.joe.user.organization_id
    lab = joe.accounts.new("acme.lab")
    made = joe.policies.new(
        "user",
        "sam",
        ["job:get+job:logs@acme:account:acme.lab:job:*", "user:get@acme:user:joe", "node:get@installation:node:*"],
    )
    assert made.statements == [
        f"job:get+job:logs@{organization}:account:{lab.id}:job:*",
        f"user:get@{organization}:user:{acme.joe.user.id}",
        "node:get@installation:node:*",
    ]
    assert made.urn == f"{organization}:user:{acme.sam.user.id}:policy:{made.id}"
    assert made in list(joe.policies.list("user", "sam"))
    joe.policies.rm(made.id)
    assert made not in list(joe.policies.list("user", "sam"))
    with pytest.raises(NotFound, match="organization 'acne'"):
        joe.policies.new("user", "sam", ["job:get@acne:*"])
    with pytest.raises(NotFound, match=r"did you mean acme\.lab"):
        joe.policies.new("user", "sam", ["job:get@acme:account:acme.lap:job:*"])
    with pytest.raises(NotFound, match="organization 'other'"):
        joe.policies.new("user", "sam", ["job:get@other:*"])
    for statement, told in {
        "job:get": "an @",
        "jib:get@acme": "did you mean job:get",
        f"job:get@{'+'.join(['acme'] * 65)}": "at most 64",
        f"job:get@{'x' * 5000}": "at most 4,096",
    }.items():
        with pytest.raises(Invalid, match=told):
            joe.policies.new("user", "sam", [statement])
    urns = "+".join(f"acme:user:{number}*" for number in range(60))
    with pytest.raises(Invalid, match="pair actions and URNs"):
        joe.policies.new("user", "sam", [f"job:get+job:set+job:rm@{urns}"] * 20)


def test_nobody_grants_what_they_have_not(acme: Acme, client: Connect, database: Database) -> None:
    sam, joe, eve = client(acme.sam), client(acme.joe), client(acme.eve)
    joe.accounts.new("acme.lab")
    role = joe.roles.new("acme.lab.reach")
    joe.policies.new("role", role.id, ["role:*@acme:account:acme.lab:role:*", "account:get@acme:account:acme.lab"])
    joe.roles.add_member("acme.lab.reach", user="sam")
    with pytest.raises(Forbidden, match="cannot grant") as refused:
        sam.policies.new("role", "acme.lab.reach", ["job:get@acme:account:acme.lab:job:*"])
    assert refused.value.code == "beyond-own"
    with pytest.raises(Forbidden, match="cannot grant"):
        sam.roles.add_member("acme.lab.admin", user="sam")
    with pytest.raises(Forbidden, match="cannot grant"):
        sam.keys.new("role", "acme.lab.admin")
    with pytest.raises(Forbidden):
        sam.keys.new("user", "joe")
    with pytest.raises(Forbidden):
        sam.policies.new("user", "sam", ["*@*"])
    with pytest.raises(Forbidden):
        joe.users.new(name="mighty", administrator=True)
    with pytest.raises(Forbidden):
        joe.users.set("sam", administrator=True)
    for attempt in (
        lambda: eve.policies.rm(next(iter(joe.policies.list("user", "sam"))).id),
        lambda: eve.keys.rm(joe.keys.new().id),
        lambda: eve.roles.add_member("other.admin", user="acme.joe"),
        lambda: eve.teams.new("acme.vision"),
        lambda: eve.users.new(name="spy", organization="acme"),
        lambda: eve.users.disable("acme.joe"),
        lambda: list(eve.users.list("acme")),
        lambda: list(eve.roles.list("account", "acme.lab")),
        lambda: list(eve.accounts.list(below="acme.lab")),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert {one.organization for one in eve.users.list()} == {"other"}
    assert {one.organization for one in eve.roles.list()} == {"other"}
    assert [one.name for one in eve.organizations.list()] == ["other"]


def test_the_last_administrator_stays(acme: Acme, client: Connect) -> None:
    joe, root = client(acme.joe), client(acme.root)
    for attempt in (
        lambda: joe.roles.remove_member("acme.admin", user="joe"),
        lambda: joe.users.disable("joe"),
        lambda: root.users.disable("ann"),
        lambda: root.users.set("ann", administrator=False),
    ):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert refused.value.code == "last-administrator"
    joe.roles.add_member("acme.admin", user="sam")
    joe.roles.remove_member("acme.admin", user="joe")
    with pytest.raises(Forbidden):
        joe.roles.add_member("acme.admin", user="joe")


def test_a_disabled_user_is_out_at_once(acme: Acme, client: Connect) -> None:
    joe, sam = client(acme.joe), client(acme.sam)
    sam.me()
    assert joe.users.disable("sam").disabled
    with pytest.raises(Unauthenticated, match="disabled"):
        sam.me()
    assert not joe.users.enable("sam").disabled
    sam.me()


def test_teams_are_nested_and_never_in_circles(acme: Acme, client: Connect) -> None:
    joe, sam = client(acme.joe), client(acme.sam)
    for name in ("all", "vision", "interns"):
        joe.teams.new(name)
    joe.teams.add_member("all", team="vision")
    joe.teams.add_member("vision", team="interns")
    joe.teams.add_member("interns", user="sam")
    for outer, inner in (("interns", "all"), ("vision", "all"), ("all", "all")):
        with pytest.raises(Conflict) as refused:
            joe.teams.add_member(outer, team=inner)
        assert refused.value.code == "team-cycle"
    joe.accounts.new("acme.lab")
    joe.policies.new("team", "all", ["account:get@acme:account:acme.lab"])
    assert sam.accounts.get("acme.lab").name == "lab"
    joe.teams.remove_member("vision", team="interns")
    with pytest.raises(NotFound):
        sam.accounts.get("acme.lab")
    assert [(one.name, one.type) for one in joe.teams.members("interns")] == [("sam", "user")]
    with pytest.raises(Invalid, match="one member"):
        joe.teams.add_member("all")
    with pytest.raises(Invalid, match="one member"):
        joe.teams.remove_member("all", user="sam", team="vision")
    joe.teams.rm("all")
    with pytest.raises(NotFound):
        joe.teams.get("all")


def test_keys_are_told_once_and_bounded(acme: Acme, client: Connect, server: Api, clock: ManualClock) -> None:
    joe = client(acme.joe)
    lab = joe.accounts.new("acme.lab")
    key = joe.keys.new(label="ci", expires_in=3600, allow=["account:get@acme:account:acme.lab"])
    assert key.urn == f"{acme.joe.user.organization_id}:user:{acme.joe.user.id}:token:{key.id}"
    listed = {one.id: one for one in joe.keys.list()}
    assert listed[key.id].label == "ci"
    assert listed[key.id].allow == [f"account:get@{lab.urn}"]
    answer = server.ask("GET", f"/v1/users/{acme.joe.user.id}/keys", token=acme.joe.secret)
    assert key.secret.encode() not in answer.body
    with Client(server.url, key.secret) as narrow:
        assert narrow.accounts.get("acme.lab") == lab
        with pytest.raises(NotFound):
            narrow.accounts.get("acme.joe")
        with pytest.raises(NotFound):
            narrow.keys.new()
        clock.advance(3601)
        with pytest.raises(Unauthenticated, match="expired"):
            narrow.me()
    role = joe.roles.new("acme.lab.robot")
    of_role = joe.keys.new("role", "acme.lab.robot")
    assert of_role.urn == role.urn
    with Client(server.url, of_role.secret) as robot:
        with pytest.raises(NotFound):
            robot.accounts.get("acme.lab")
        joe.policies.new("role", "acme.lab.robot", ["account:get@acme:account:acme.lab"])
        assert robot.accounts.get("acme.lab") == lab
        joe.keys.rm(of_role.id)
        with pytest.raises(Unauthenticated, match="revoked"):
            robot.me()
    assert list(joe.keys.list("role", "acme.lab.robot")) == []
    wrong: list[dict[str, Any]] = [{"expires_in": 0}, {"allow": []}, {"label": "x" * 129}]
    for options in wrong:
        with pytest.raises(Invalid):
            joe.keys.new(**options)


def test_lists_come_in_pages(acme: Acme, client: Connect, server: Api, database: Database) -> None:
    joe = client(acme.joe)
    for number in range(7):
        joe.teams.new(f"team-{number}")
        joe.teams.add_member("team-0", team=f"team-{number}") if number else None
    for number in range(3):
        joe.teams.add_member("team-0", user=somebody(database, acme.root.actor, f"user-{number}", "acme").user.id)

    def walked(path: str) -> list[str]:
        found, cursor = [], ""
        while True:
            page = server.ask("GET", f"{path}{'&' if '?' in path else '?'}limit=2{cursor}", token=acme.joe.secret).json
            assert len(page["items"]) <= 2
            found += [item["id"] for item in page["items"]]
            if page["cursor"] is None:
                return found
            cursor = f"&cursor={page['cursor']}"

    for path, whole in (
        ("/v1/teams", joe.teams.list()),
        ("/v1/users", joe.users.list()),
        ("/v1/accounts?below=acme", joe.accounts.list(below="acme")),
        ("/v1/roles", joe.roles.list()),
        ("/v1/roles?parent_type=team", joe.roles.list("team")),
        ("/v1/teams/team-0/members", joe.teams.members("team-0")),
        ("/v1/organizations", joe.organizations.list()),
    ):
        ids = [one.id for one in whole]
        assert walked(path) == ids
        assert len(ids) == len(set(ids))
    assert [one.name for one in joe.teams.members("team-0")][:2] == ["team-1", "team-2"]
    assert [one.name for one in joe.teams.members("team-0")][-1] == "user-2"
    assert len(list(joe.roles.list("team"))) == 14
    assert len(list(joe.teams.list(limit=3))) == 3


def test_the_list_of_roles_is_what_one_may_get(acme: Acme, client: Connect, database: Database) -> None:
    joe = client(acme.joe)
    lab = database.write_sync(create_account, acme.joe.actor, "lab")
    database.write_sync(create_account, acme.joe.actor, "deep", lab.id)
    team = database.write_sync(create_team, acme.joe.actor, "vision")
    organization = acme.joe.user.organization_id
    patterns = [
        "role:get@acme:account:acme.lab:role:*",
        f"role:get@{organization}:team:{team.id}:*",
        "role:get@acme:*:role:*",
    ]
    patterns += [f"role:get@{joe.roles.get('acme.vision.admin').urn}", f"role:*@{joe.roles.get('acme.lab.user').urn}"]
    everyone = [acme.root, acme.joe, acme.sam, acme.eve]
    for number, pattern in enumerate(patterns):
        who = somebody(database, acme.root.actor, f"u{number}", "acme")
        joe.roles.remove_member("acme.user", user=who.user.id)
        joe.policies.new("user", who.user.id, [pattern])
        everyone.append(who)

    def compared(uow: UnitOfWork) -> list[int]:
        every: list[Role] = list_roles(uow, acme.root.actor, limit=1000).items
        seen = []
        for who in everyone:
            allowed = [role for role in every if may(uow, who.actor, "role:get", resource_of(uow, role))]
            assert list_roles(uow, who.actor, limit=1000).items == allowed, who.user.name
            seen.append(len(allowed))
        return seen

    seen = database.read_sync(compared)
    assert seen[0] == max(seen)
    assert all(seen)
    assert len(set(seen)) > 4


def test_the_same_on_asyncio(acme: Acme, server: Api) -> None:
    async def walk() -> None:
        async with AsyncClient(server.url, acme.joe.secret) as joe:
            team = await joe.teams.new("vision")
            await joe.teams.add_member("vision", user="sam")
            assert [one.name async for one in joe.teams.members(team.id)] == ["sam"]
            assert (await joe.users.get()).name == "joe"
            assert [one.name async for one in joe.users.list()] == ["joe", "sam"]
            key = await joe.keys.new(label="x")
            assert key.id in [one.id async for one in joe.keys.list()]

    asyncio.run(walk())
