"""Queries as people write them."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.wire.meta import Condition, Moment
from dais.wire.query import QueryError, parse_order, parse_query, parse_value


def leaf(key: str, op: Any, value: Any = None) -> Condition:
    return Condition(key=key, op=op, value=value)


CNN, BEST = leaf("model", "=", "cnn"), leaf("", "tag", "best")


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("", ()),
        ("model=cnn", (CNN,)),
        ("model = cnn , #best", (CNN, BEST)),
        ("model=cnn and #best", (CNN, BEST)),
        ("accuracy>=0.9", (leaf("accuracy", ">=", 0.9),)),
        ("size>10MiB", (leaf("__size__", ">", 10 << 20),)),
        ('"size">3', (leaf("size", ">", 3),)),
        ("model~'^(c|r)nn$'", (leaf("model", "~", "^(c|r)nn$"),)),
        ("model~^(c|r)nn$", (leaf("model", "~", "^(c|r)nn$"),)),
        ("(model~^(c|r)nn$ or #best)", (Condition(any=(leaf("model", "~", "^(c|r)nn$"), BEST)),)),
        (r"(model~c\), #best)", (leaf("model", "~", r"c\)"), BEST)),
        ("model ~ [^ ,)]{1,3}=!x, #best", (leaf("model", "~", "[^ ,)]{1,3}=!x"), BEST)),
        ("model~(", (leaf("model", "~", "("),)),
        ("model==cnn", (CNN,)),
        (r'note="say \"so\""', (leaf("note", "=", 'say "so"'),)),
        ("max(accuracy) min('a b')", (leaf("accuracy", "max"), leaf("a b", "min"))),
        ("has(model) no(model)", (leaf("model", "exists"), leaf("model", "absent"))),
        ("max=3", (leaf("max", "=", 3),)),
        ("a in 0.5..0.9", (Condition(key="a", op="range", start=0.5, end=0.9),)),
        ("a in ..0.9", (Condition(key="a", op="range", end=0.9),)),
        ("a in 5..", (Condition(key="a", op="range", start=5),)),
        ("(model=cnn or #best) a=1", (Condition(any=(CNN, BEST)), leaf("a", "=", 1))),
        ("model=cnn or #best a=1", (Condition(any=(CNN, Condition(all=(BEST, leaf("a", "=", 1))))),)),
        ("created>2026-01-31", (leaf("__create_time__", ">", Moment("2026-01-31T00:00:00Z")),)),
        ("__size__=1 path=/a/b.txt", (leaf("__size__", "=", 1), leaf("__full_path__", "=", "/a/b.txt"))),
    ],
)
def test_what_a_query_means(text: str, wanted: tuple[Condition, ...]) -> None:
    assert parse_query([text], "fileset") == wanted


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-3.5", -3.5),
        ("1e3", 1000.0),
        ("2kB", 2000),
        ("1.5GiB", 1.5 * 2**30),
        ("true", True),
        ("'true'", "true"),
        ('"3"', "3"),
        ("3d", "3d"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("2026-01-31T12:00:00Z", Moment("2026-01-31T12:00:00Z")),
    ],
)
def test_what_a_value_means(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    "text, at, why",
    [
        ("model", 5, "after model one of"),
        ("model=", 6, "model= needs a value"),
        ("=cnn", 0, "a condition was expected"),
        ("a=1 'b", 4, "not closed"),
        ("(a=1", 0, "this ( is not closed"),
        ("a=1)", 3, "closes nothing"),
        ("max(a", 3, "this ( is not closed"),
        ("max()", 4, "needs a key"),
        ("a in 3", 5, "a range is written as"),
        ("a=1 or", 6, "a condition was expected"),
        ("#", 1, "a tag was expected"),
        ("(a~)", 3, "a regular expression was expected"),
        ("a~'b", 2, "not closed"),
    ],
)
def test_errors_point_at_the_place(text: str, at: int, why: str) -> None:
    with pytest.raises(QueryError) as wrong:
        parse_query([text], "file")
    assert wrong.value.at == at
    assert why in str(wrong.value)
    pointer = str(wrong.value).splitlines()[-1]
    assert pointer.index("^") == at + 2


def test_what_is_too_deep_or_long_is_refused() -> None:
    for text in ("(" * 1000 + "a=1", "a" * 20_000):
        with pytest.raises(QueryError):
            parse_query([text], "file")


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(QueryError):
        parse_query([text], "file")


def test_a_key_to_sort_by() -> None:
    assert parse_order("-size", "file") == "-__size__"
    assert parse_order("accuracy", "file") == "accuracy"
    assert parse_order('"size"', "file") == "size"
