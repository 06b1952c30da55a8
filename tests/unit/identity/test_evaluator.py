"""The evaluator on random policies: deciding and explaining agree, fences hold, grants give nothing that is not had."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dais.identity.actions import ACTIONS as ALL_ACTIONS
from dais.identity.evaluator import Rule, Rules
from dais.identity.granting import bounded
from dais.identity.statements import parse
from dais.identity.urns import INSTALLATION
from dais.kit.errors import Invalid
from tests.support.policies import ACTIONS, ORGANIZATIONS, WORLD, forms, rules, statements

some_rules = st.lists(rules(), max_size=4)
RESOURCES = WORLD.resources()
FENCED = [one for one in RESOURCES if one.organization_id != INSTALLATION]


def reachable(found: Rules) -> set[tuple[str, str]]:
    """Every pair of an action and a thing that the rules allow."""
    return {(action, one.urn + str(one.new)) for action in ACTIONS for one in RESOURCES if found.allows(action, one)}


@given(some_rules)
def test_deciding_and_explaining_agree(given_rules: list[Rule]) -> None:
    found = Rules(given_rules)
    for action in ACTIONS:
        for resource in RESOURCES:
            reasons = list(found.reasons(action, resource))
            assert found.allows(action, resource) == bool(reasons), (action, resource.urn)
            assert all(Rules([rule]).allows(action, resource) for rule in reasons)


@given(some_rules, some_rules, some_rules)
def test_parts_say_what_their_rules_say_together_however_often_they_are_asked(
    own: list[Rule], one: list[Rule], common: list[Rule]
) -> None:
    shared = Rules(common)
    found = Rules(own, [Rules(one, [shared]), shared])
    alone = Rules([*own, *one, *common])
    assert found.all == alone.all
    assert reachable(found) == reachable(found) == reachable(alone)
    assert all(found.seen(action, "account") == alone.seen(action, "account") for action in ACTIONS)


@given(some_rules, rules())
def test_one_more_rule_takes_nothing_away(given_rules: list[Rule], more: Rule) -> None:
    assert reachable(Rules(given_rules)) <= reachable(Rules([*given_rules, more]))
    assert reachable(Rules([*given_rules, more])) == reachable(Rules(given_rules)) | reachable(Rules([more]))


@given(st.lists(rules(everywhere=False), max_size=4))
def test_a_rule_reaches_nothing_outside_of_its_organization(given_rules: list[Rule]) -> None:
    for rule in given_rules:
        for resource in FENCED:
            if resource.organization_id != rule.organization_id:
                assert not any(Rules([rule]).allows(action, resource) for action in ACTIONS), resource.urn


@given(st.lists(rules(everywhere=False), max_size=4))
def test_what_belongs_to_the_installation_is_reached_only_by_its_name(given_rules: list[Rule]) -> None:
    for rule in given_rules:
        if not any(pattern.partition(":")[0] == INSTALLATION for pattern in rule.statement.urns):
            for resource in RESOURCES:
                if resource.organization_id == INSTALLATION:
                    assert not any(Rules([rule]).allows(action, resource) for action in ACTIONS)


@settings(max_examples=400)
@given(st.lists(rules(), min_size=1, max_size=3), statements(), st.sampled_from([*ORGANIZATIONS, None]))
def test_whoever_may_grant_a_statement_may_do_all_that_it_allows(
    held: list[Rule], text: str, place: str | None
) -> None:
    statement = parse(text)
    if place is not None:
        try:
            statement = bounded(statement, place)
        except Invalid:
            return
    mine = Rules(held)
    for urn in statement.urns:
        first = urn.partition(":")[0]
        for action in statement.actions:
            if mine.covers(action, urn, None if "*" in first else first, forms(urn)):
                granted = Rules([Rule(statement=parse(f"{action}@{urn}"), organization_id=place)])
                assert reachable(granted) <= reachable(mine), (action, urn)


@given(statements(), st.sampled_from(ORGANIZATIONS))
def test_what_one_has_one_may_grant_in_ones_organization(text: str, place: str) -> None:
    try:
        statement = bounded(parse(text), place)
    except Invalid:
        return
    mine = Rules([Rule(statement=statement, organization_id=place)])
    for urn in statement.urns:
        first = urn.partition(":")[0]
        if first in (place, INSTALLATION):
            assert all(mine.covers(action, urn, first, forms(urn)) for action in statement.actions)


def test_an_administrator_of_the_installation_reaches_everything() -> None:
    root = Rules([Rule(statement=parse("*@*"), organization_id=None)])
    assert all(root.allows(action, one) for action in ALL_ACTIONS for one in RESOURCES)
