"""What a body that does not fit is told."""

from __future__ import annotations

import msgspec
import pytest

from dais.api.decoding import BodyDecoder
from dais.kit.errors import Invalid


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    target: str
    read_only: bool = False


class Outer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: int = 1
    mounts: list[Inner] = []
    extra: Inner | None = None
    environment: dict[str, str] = {}


decode = BodyDecoder(Outer)


def refused(raw: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        decode(raw)
    return caught.value


def test_what_fits_is_decoded() -> None:
    assert decode(b'{"name":"a","mounts":[{"target":"/x"}]}') == Outer(name="a", mounts=[Inner(target="/x")])


@pytest.mark.parametrize(
    "raw, path, near",
    [
        (b'{"nme":"a"}', "$.nme", "name"),
        (b'{"name":"a","mounts":[{"target":"/x"},{"read_onyl":true}]}', "$.mounts[1].read_onyl", "read_only"),
        (b'{"name":"a","extra":{"targt":"/x"}}', "$.extra.targt", "target"),
    ],
)
def test_an_unknown_field_is_named_with_its_place_and_the_nearest(raw: bytes, path: str, near: str) -> None:
    error = refused(raw)
    assert error.code == "unknown-field"
    assert error.fields["path"] == path
    assert f"did you mean {near}?" in error.message


@pytest.mark.parametrize(
    "raw, path, given, expected",
    [
        (b'{"name":"a","size":"big"}', "$.size", '"big"', "int"),
        (b'{"name":7}', "$.name", "7", "str"),
        (b'{"name":"a","mounts":[{"target":"/x"},{"target":null}]}', "$.mounts[1].target", "null", "str"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(raw: bytes, path: str, given: str, expected: str) -> None:
    error = refused(raw)
    assert error.code == "bad-body"
    assert (error.fields["path"], error.fields["given"], error.fields["expected"]) == (path, given, expected)
    assert given in error.message


def test_a_missing_field_is_named() -> None:
    assert "`name`" in refused(b"{}").message


def test_a_long_wrong_value_is_cut() -> None:
    error = refused(b'{"name":"a","size":"' + b"x" * 5000 + b'"}')
    assert len(error.message) < 250


@pytest.mark.parametrize("raw", [b"", b"  ", b"{", b'{"name":', b"nothing", b'{"name":"\xff"}', b'{"name":"\\ud800"}'])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    assert refused(raw).code == "bad-json"


def test_nesting_without_end_is_refused() -> None:
    assert refused(b"[" * 100_000).code == "bad-body"
    assert refused(b'{"name":' + b"[" * 100_000).code in ("bad-body", "bad-json")


def test_a_nul_character_is_refused() -> None:
    assert refused(b'{"name":"a\\u0000b"}').code == "nul-character"
    assert refused(b'{"name":"a","environment":{"\\\\\\u0000":"x"}}').code == "nul-character"


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert decode(b'{"name":"a\\\\u0000b"}').name == "a\\u0000b"


def test_a_value_inside_a_dictionary_is_told_without_guessing_which() -> None:
    error = refused(b'{"name":"a","environment":{"A":"x","B":1}}')
    assert error.fields["path"] == "$.environment[...]"
    assert "given" not in error.fields
