"""Statements: what parses, how patterns match, and that neither can be made slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.identity.actions import ACTIONS
from dais.identity.statements import MAX_PARTS, MAX_STATEMENT, actions_of, matches, parse, stored, within
from dais.identity.urns import Resource, urn
from dais.kit.errors import Invalid
from tests.support.policies import ORGANIZATIONS, action_patterns, patterns, statements

ORG = ORGANIZATIONS[0]
written = st.text(alphabet="*ab:+@%20A \t\0\udc80é" + ORG[:3]) | statements() | st.text()


@given(written)
def test_what_parses_is_the_same_when_it_is_parsed_again_and_nothing_but_invalid_is_raised(text: str) -> None:
    try:
        found = parse(text)
    except Invalid:
        return
    assert parse(str(found)) == found
    assert stored(str(found)) == found
    str(found).encode()  # a database takes it


@given(patterns())
def test_a_pattern_is_written_in_one_way_only(pattern: str) -> None:
    try:
        (found,) = parse(f"job:get@{pattern}").urns
    except Invalid:
        return
    assert parse(f"job:get@{found}").urns == (found,)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_thing_has_a_name_that_a_statement_can_say(kind: str, name: str) -> None:
    resource = Resource(organization_id=ORG, type=kind, id=name)
    found = parse(f"job:get@{resource.urn}")
    assert found.urns == (resource.urn,)
    assert resource.urn == urn(ORG, None, kind, name)
    assert "*" not in resource.urn


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_star_is_any_run_of_characters(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
    assert matches(pattern, text) == expected


@given(st.text("ab*", max_size=7), st.text("ab*", max_size=7), st.text("ab", max_size=9))
def test_what_matches_the_inner_pattern_matches_the_outer(inner: str, outer: str, text: str) -> None:
    if within(inner, outer) and matches(inner, text):
        assert matches(outer, text)
    assert within(inner, inner)
    assert within(inner, "*")


@given(action_patterns(), action_patterns())
def test_patterns_of_actions_are_contained_as_their_actions_are(inner: str, outer: str) -> None:
    if within(inner, outer):
        assert actions_of(inner) <= actions_of(outer)


def test_a_percent_encoding_means_its_character() -> None:
    assert parse(f"job:get@{ORG}:job:%41%2A%C3%A9").urns == (f"{ORG}:job:A%2Aé",)
    with pytest.raises(Invalid, match="UTF-8"):
        parse(f"job:get@{ORG}:job:%FF")


@pytest.mark.parametrize(
    "text, position, words",
    [
        ("job:get", 7, "@"),
        ("job:get@", 8, "URN is missing"),
        ("@*", 0, "action is missing"),
        ("job:get@*@*", 9, "second @"),
        ("job:get++@*", 8, "action is missing"),
        ("Job:get@*", 0, "small letters"),
        ("job:get@*:job:a b", 15, "encoded"),
        ("job:get@acme:job:*", 8, "organization"),
        ("job:get@*:\udc80", 10, "encoded"),
        ("job:get@*:a\0", 11, "encoded"),
    ],
)
def test_a_bad_statement_says_where(text: str, position: int, words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)) as caught:
        parse(text)
    assert caught.value.fields["position"] == position


def test_an_unknown_action_names_the_nearest() -> None:
    with pytest.raises(Invalid, match=r"did you mean job:get") as caught:
        parse("job:gett@*")
    assert caught.value.code == "unknown-action"
    with pytest.raises(Invalid, match="rule actions"):
        parse("zzzzzz:q@*")
    assert all(parse(f"{action}@*") for action in ACTIONS)


def test_long_statements_are_refused() -> None:
    with pytest.raises(Invalid, match=f"{MAX_STATEMENT:,}"):
        parse("job:get@" + "x" * MAX_STATEMENT)
    with pytest.raises(Invalid, match=str(MAX_PARTS)):
        parse("job:get@" + "+".join([f"{ORG}:a"] * (MAX_PARTS + 1)))


def test_hostile_patterns_are_matched_in_few_steps() -> None:
    """Each piece is looked for once: what grew with the power of the stars would not end here."""
    text = "a" * 1024
    assert not matches("*a" * 2000 + "b", text)
    assert not matches("*a*b" * 1000, text)
    assert matches("*a" * 1000, text)
    assert not actions_of("*e" * 1000 + "z")
    with pytest.raises(Invalid):
        parse("*a" * 900 + "b@*")
