"""`dais rule`, `dais policy simulate` and `dais audit`, on a real server as several people."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from dais.identity import ACTIONS, meaning
from tests.support.acme import Acme, Somebody
from tests.support.commands import Commands

As = Callable[[Somebody], Commands]


def test_rules_of_oneself_and_of_others(acme: Acme, dais: As) -> None:
    """As the guide prints them: `action expression`."""
    sam, joe = dais(acme.sam), dais(acme.joe)
    header, *rows = sam("dais rule ls").rows
    assert header == ["action", "expression"]
    organization = acme.sam.user.organization_id
    assert ["user:set", f"{organization}:user:{acme.sam.user.id}"] in rows
    told = json.loads(sam.said("dais rule ls --json"))
    assert {link["type"] for one in told for link in one["through"]} == {"user", "role"}
    assert "role acme.user" in sam.said("dais rule ls --through")
    assert joe("dais rule ls --user sam").rows == [header, *rows]
    assert "sam may not policy:list" in sam.refused("dais rule ls --user joe")
    assert sam("dais rule ls --user sam --team lab").code == 2
    joe.said("dais team new lab")
    joe.said("dais team policy new lab 'job:get@acme:*'")
    assert joe("dais rule ls --team lab").rows[1:2]
    joe.said("dais role new acme.watcher")
    joe.said("dais role policy new acme.watcher job:get@acme:job:x")
    assert len(joe("dais rule ls --role acme.watcher").rows) == 2


def test_allowed_says_why_and_by_its_exit_code(acme: Acme, dais: As) -> None:
    sam, joe = dais(acme.sam), dais(acme.joe)
    question = "dais rule allowed user:set@$(dais user get --field urn)"
    yes = sam(question)
    assert yes.code == 0
    assert "through user acme.sam" in yes.out
    no = sam("dais rule allowed user:rm@$(dais user get --field urn)")
    assert (no.code, no.out.splitlines()[0]) == (
        1,
        "no: no statement allows it; `dais rule ls` lists those that there are",
    )
    assert sam("dais rule allowed account:new@acme").code == 1
    assert joe("dais rule allowed account:new@acme").code == 0
    assert joe("dais rule allowed account:new@acme --user sam").code == 1
    told = json.loads(joe("dais rule allowed account:new@acme --json").out)
    assert told["allowed"] is True
    assert told["rules"][0]["through"][-1]["name"] == "acme.admin"
    assert "did you mean" in sam.refused("dais rule allowed job:gett@acme")
    assert "does not name one thing" in sam.refused("dais rule allowed 'job:get@acme:*'")


def test_who_is_allowed(acme: Acme, dais: As) -> None:
    question = "dais rule who-is-allowed account:new@acme"
    rows = dais(acme.joe)(question).rows
    assert rows[0][:3] == ["id", "name", "type"]
    assert sorted(row[1] for row in rows[1:]) == ["acme.joe", "local.ann"]
    for other in (acme.sam, acme.eve):
        assert dais(other)(question).code == 1
    assert "policy:get" in dais(acme.sam).refused(question)


def test_every_action_has_a_meaning(acme: Acme, dais: As) -> None:
    rows = dais(acme.sam)("dais rule actions").rows
    assert {row[0] for row in rows[1:]} == ACTIONS
    assert meaning("job:exec") == "Run commands, terminals and notebooks inside a job"
    assert len({meaning(action) for action in ACTIONS}) == len(ACTIONS)


def test_a_policy_is_tried_before_it_is_made(acme: Acme, dais: As) -> None:
    joe = dais(acme.joe)
    told = joe("dais policy simulate --user sam 'user:set@acme:user:*'")
    assert told.code == 0
    assert "new" in told.out
    assert "it concerns 1 users: acme.sam" in told.out
    assert "now possible with the user joe" in told.out
    refused = joe("dais policy simulate --user sam 'node:set@installation:*' --json")
    assert refused.code == 1
    assert json.loads(refused.out)["pairs"][0]["outcome"] == "refused"
    assert joe("dais policy simulate 'job:get@*'").code == 2
    assert dais(acme.sam)("dais policy simulate --user joe 'job:get@*'").code == 1
    assert dais(acme.sam)("dais rule allowed user:set@acme:user:joe").code == 1, "nothing was changed"


def test_the_audit_log_tells_what_was_done_and_refused(acme: Acme, dais: As) -> None:
    joe, sam = dais(acme.joe), dais(acme.sam)
    joe.said("dais team new lab")
    sam.refused("dais team new other")
    header, *rows = joe("dais audit ls --action team:new").rows
    assert header == ["at", "user", "allowed", "action", "urn", "address"]
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        ("acme.sam", "false", "127.0.0.1"),
        ("acme.joe", "true", "127.0.0.1"),
    ]
    assert [row[1] for row in joe("dais audit ls --action team:new --denied").rows[1:]] == ["acme.sam"]
    assert [row[1] for row in sam("dais audit ls").rows[1:]] == ["acme.sam"]
    assert dais(acme.eve)("dais audit ls --urn 'acme:*'").code == 1, "she does not know acme"
    (entry,) = json.loads(joe.said("dais audit ls --user joe --action team:new --urn 'acme:team:*' --json"))
    assert entry["allowed"] is True
    assert entry["user"] == "acme.joe"
    assert "no action" in joe.refused("dais audit ls --action team:made")


@pytest.mark.parametrize("since, found", [("200000h", 1), ("2020-01-01", 1), ("2999-01-01", 0)])
def test_times_are_given_as_people_say_them(acme: Acme, dais: As, since: str, found: int) -> None:
    sam = dais(acme.sam)
    sam.refused("dais team new other")
    rows = sam(f"dais audit ls --since {since}").rows[1:]
    assert len(rows) == found
