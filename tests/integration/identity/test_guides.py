"""The commands of the guides that users of the Element AI toolkit know, with `dais` for `eai`, on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from click.shell_completion import ShellComplete

from dais.cli.program import cli
from dais.compute import ComputeSettings, submit_job
from dais.compute.groups.commands import register_group, update_nodes
from dais.engines.contract import NodeInfo
from dais.identity import Member, resolve_role, role_members
from dais.kit.database import Database
from dais.kit.paging import Page
from dais.wire.spec import JobSpec, Resources
from tests.support.acme import Acme, Somebody, somebody
from tests.support.commands import Commands

As = Callable[[Somebody], Commands]

MAKE_AN_ACCOUNT = [
    "dais account new acme.awesome_project",
    "dais account new acme.awesome_project.production",
    "dais account ls acme.awesome_project",
]
LOOK_AROUND = [
    "dais user get --field urn",
    "dais rule ls",
    "dais user set --name joe",
    "dais organization get",
    "dais user ls",
    "dais team ls",
    "dais organization role ls",
    "dais team role ls",
    "dais account role ls",
    "dais organization role ls --fields id,name",
]
_ROLE, _USER = "c53444c6-206e-4ae7-bab7-baacdab5a0a7", "94731f2a-aa48-443a-b013-c00ea9507d0f"
MANAGE_MEMBERS = [
    f"dais organization role member ls {_ROLE}",
    f"dais organization role member rm {_ROLE} --user {_USER}",
    f"dais organization role member add {_ROLE} --user {_USER}",
]
GRANT = "dais user policy new 3c0e93a5-4174-4487-bbaa-59138ba24833 '*@*'"
SERVE = [
    "dais role new account_fullname.job_access",
    'dais role policy new account_fullname.job_access "job:get@"$(dais job get --field urn JOB_ID)',
    "dais role key new account_fullname.job_access",
]


def with_names(line: str, names: Mapping[str, str]) -> str:
    """The line with what it names in this installation."""
    for theirs, ours in names.items():
        line = line.replace(theirs, ours)
    return line


def test_make_an_account(acme: Acme, dais: As) -> None:
    as_joe = dais(acme.joe)
    *_, listed = [as_joe.said(line) for line in MAKE_AN_ACCOUNT]
    header, row = (line.split() for line in listed.splitlines())
    assert header == ["id", "name", "organization", "parent"]
    assert row[1:] == ["production", "acme", "acme.awesome_project"]
    assert as_joe.said("dais account get acme.awesome_project.production --field id").strip() == row[0]


def test_an_ordinary_user_is_told_who_makes_accounts(acme: Acme, dais: As) -> None:
    told = dais(acme.sam).refused(MAKE_AN_ACCOUNT[0])
    assert "sam may not account:new" in told
    assert "ask an administrator of the organization" in told


def test_nobody_makes_accounts_elsewhere(acme: Acme, dais: As) -> None:
    dais(acme.joe).said(MAKE_AN_ACCOUNT[0])
    for line in MAKE_AN_ACCOUNT:
        assert "there is no" in dais(acme.eve).refused(line)


@pytest.mark.parametrize("who", ["joe", "sam"])
def test_look_around(acme: Acme, dais: As, who: str) -> None:
    one: Somebody = getattr(acme, who)
    commands = dais(one)
    lines = [line for line in LOOK_AROUND if who == "joe" or "--name" not in line]
    said = {line: commands(line).rows for line in lines if commands(line).code == 0}
    assert list(said) == lines
    organization = one.user.organization_id
    assert said["dais user get --field urn"] == [[f"{organization}:user:{one.user.id}"]]
    assert {row[1] for row in said["dais user ls"][1:]} == {"joe", "sam"}
    assert said["dais rule ls"][0] == ["action", "expression"]
    assert ["user:get", f"{organization}:user:*"] in said["dais rule ls"]
    assert said["dais organization get"][1][:2] == [organization, "acme"]
    fields = said["dais organization role ls --fields id,name"]
    assert fields[0] == ["id", "name"]
    assert [name for _, name in fields[1:]] == ["admin", "user"]
    assert {row[1] for row in said["dais account role ls"][1:]} == {"admin", "user"}


def test_everybody_may_change_their_own_name(acme: Acme, dais: As) -> None:
    as_sam = dais(acme.sam)
    assert "acme.joe" in as_sam.refused("dais user set --name joe")
    assert as_sam.said("dais user set --name sammy --field account") == "acme.sammy\n"
    assert as_sam.said("dais me --field account") == "acme.sammy\n"
    assert "may not user:set" in as_sam.refused("dais user set joe --name jo")


def test_manage_members(acme: Acme, dais: As, database: Database) -> None:
    root = acme.root.actor
    guillaume = somebody(database, root, "guillaume", "acme", administrator=True)
    role = database.read_sync(resolve_role, root, "acme.admin")
    names = {_ROLE: role.id, _USER: guillaume.user.id}
    both = [
        ["id", "name", "type"],
        [guillaume.user.id, "guillaume", "user"],
        [acme.joe.user.id, "joe", "user"],
    ]
    as_joe = dais(acme.joe)
    before, without, after = (as_joe(with_names(line, names)).rows for line in MANAGE_MEMBERS)
    assert (before, without, after) == (both, [both[0], both[2]], both)

    lines = [with_names(line, names) for line in MANAGE_MEMBERS]
    assert dais(acme.sam)(lines[0]).rows == both
    for line in lines[1:]:
        assert "ask an administrator of the organization" in dais(acme.sam).refused(line)
    for line in lines:
        assert "there is no role" in dais(acme.eve).refused(line)
    members: Page[Member] = database.read_sync(role_members, root, role)
    assert [member.name for member in members.items] == ["guillaume", "joe"]


def test_grant_everything(acme: Acme, dais: As) -> None:
    line = with_names(GRANT, {"3c0e93a5-4174-4487-bbaa-59138ba24833": acme.sam.user.id})
    assert "ask an administrator" in dais(acme.sam).refused(line)
    assert "there is no user" in dais(acme.eve).refused(line)
    assert "there is no account" in dais(acme.sam).refused("dais account get other.eve")
    # An organization's administrator can give away the organization; the installation's everything.
    organization = acme.joe.user.organization_id
    assert dais(acme.joe).said(f"{line} --field statements") == f"*@{organization}+{organization}:*\n"
    assert "there is no account" in dais(acme.sam).refused("dais account get other.eve")
    assert dais(acme.root).said(f"{line} --field statements") == "*@*\n"
    assert dais(acme.sam).said("dais account get other.eve --field organization") == "other\n"


def test_a_role_for_a_program(acme: Acme, dais: As, database: Database) -> None:
    database.write_sync(register_group, "default", "fake", "host")
    database.write_sync(update_nodes, "default", [NodeInfo(name="m", cpu=4, memory=1 << 30)])
    spec = JobSpec(command=("true",), resources=Resources(cpu=0.1, mem=1 << 20))
    job = database.write_sync(submit_job, acme.joe.actor, spec, ComputeSettings())
    names = {"account_fullname": "acme.joe", "JOB_ID": job.id}
    lines = [with_names(line, names) for line in SERVE]
    as_joe = dais(acme.joe)
    as_joe.said(lines[0])
    assert as_joe.said(f"{lines[1]} --field statements") == f"job:get@{job.urn}\n"
    secret = as_joe.said(f"{lines[2]} --field secret").strip()
    as_program = Commands(as_joe.url, secret)
    assert as_program.said(f"dais job get {job.id} --field urn") == f"{job.urn}\n"
    assert "may not job:kill" in as_program.refused(f"dais job kill {job.id}")
    assert "there is no" in as_program.refused("dais account get acme.joe")
    for line in lines:
        assert "there is no" in dais(acme.eve).refused(line)
        assert "there is no" in dais(acme.sam).refused(line)


@pytest.mark.parametrize(
    "line, names",
    [
        ("account get acme.", ["acme.joe", "acme.sam"]),
        ("organization role member add acme.a", ["acme.admin"]),
        ("organization role member add acme.admin --user acme.s", ["acme.sam"]),
        ("user disable acme.j", ["acme.joe"]),
        ("user new x --organization ", ["acme"]),
        ("team get ", ["acme.vision"]),
        ("role key new acme.vision.u", ["acme.vision.user"]),
        ("account get other.", []),
        ("user key rm ", []),
    ],
)
def test_the_shell_completes_what_one_may_see(
    acme: Acme, dais: As, line: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_joe = dais(acme.joe)
    as_joe.said("dais team new vision")
    monkeypatch.setenv("DAIS_URL", as_joe.url)
    monkeypatch.setenv("DAIS_TOKEN", as_joe.token)
    *words, begun = line.split(" ")
    completer = ShellComplete(cli, {}, "dais", "_DAIS_COMPLETE")
    assert [found.value for found in completer.get_completions(words, begun)] == names
    monkeypatch.setenv("DAIS_TOKEN", "dais_user_" + "x" * 43)
    assert completer.get_completions(words, begun) == []


def test_lists_are_printed_as_asked(acme: Acme, dais: As) -> None:
    as_joe = dais(acme.joe)
    joe, sam = acme.joe.user, acme.sam.user
    assert as_joe.said("dais user ls --fields id,name --format csv") == f"id,name\n{joe.id},joe\n{sam.id},sam\n"
    assert as_joe.said("dais user ls --field name") == "joe\nsam\n"
    assert as_joe.said("dais user ls --fields name,organization --no-header") == "joe  acme\nsam  acme\n"
    assert [json.loads(line)["name"] for line in as_joe.said("dais user ls --format json").splitlines()] == [
        "joe",
        "sam",
    ]
    assert [one["urn"] for one in json.loads(as_joe.said("dais user ls --json"))] == [
        f"{joe.organization_id}:user:{joe.id}",
        f"{joe.organization_id}:user:{sam.id}",
    ]
    assert "│ joe" in as_joe.said("dais user ls --fields name --format table")
    asked_wrongly = as_joe("dais user ls --field nam")
    assert asked_wrongly.code == 2
    assert "did you mean 'name'?" in asked_wrongly.err
    for kind in ("organization", "account", "user"):
        assert as_joe.said(f"dais {kind} get --field urn").startswith(joe.organization_id)
    for line in (
        "dais organization ls",
        "dais account ls",
        "dais role ls",
        "dais organization role ls",
        "dais user policy ls",
        "dais user key ls",
    ):
        for urn in as_joe.said(f"{line} --field urn").splitlines():
            assert urn.startswith(joe.organization_id), (line, urn)
