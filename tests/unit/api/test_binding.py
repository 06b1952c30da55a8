"""What a handler's signature asks of a request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from dais.api.binding import Binder, Header
from dais.kit.errors import Invalid


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Loose(msgspec.Struct):
    name: str


async def handler(
    ctx: object,
    ref: str,
    number: int,
    account: str | None = None,
    limit: int = 100,
    dry_run: bool = False,
    order: Literal["newest", "oldest"] = "newest",
    tag: list[str] | None = None,
    key: Annotated[str | None, Header("Idempotency-Key")] = None,
) -> None: ...


binder = Binder(handler, "/v1/things/{ref}/{number}", 1)


def bind(query: bytes = b"", *values: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return binder.bind({"query_string": query, "headers": headers or []}, values or ("a", "1"))


def test_path_query_and_headers_are_converted() -> None:
    bound = bind(b"limit=5&dry_run=true&tag=x&tag=y%20z&order=oldest", "r", "7", headers=[(b"idempotency-key", b"k")])
    assert bound == {
        "ref": "r", "number": 7, "limit": 5, "dry_run": True, "tag": ["x", "y z"], "order": "oldest", "key": "k",
    }  # fmt: skip


def test_what_is_not_given_is_left_to_the_handler() -> None:
    assert bind() == {"ref": "a", "number": 1}


def test_a_flag_needs_no_value() -> None:
    assert bind(b"dry_run")["dry_run"] is True


@pytest.mark.parametrize(
    "query, code, said",
    [
        (b"limt=5", "unknown-parameter", "did you mean limit?"),
        (b"limit=five", "bad-parameter", "'five'"),
        (b"limit=5&limit=6", "bad-parameter", "twice"),
        (b"order=random", "bad-parameter", "order"),
        (b"account=%00", "nul-character", "NUL"),
        (b"account=%ff", "bad-parameter", "UTF-8"),
        (b"account=\xff", "bad-parameter", "UTF-8"),
    ],
)
def test_a_wrong_query_is_refused(query: bytes, code: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        bind(query)
    assert caught.value.code == code
    assert said in caught.value.message


def test_a_wrong_path_value_is_refused() -> None:
    with pytest.raises(Invalid, match="number"):
        bind(b"", "r", "seven")
    with pytest.raises(Invalid, match="NUL"):
        bind(b"", "r\0", "7")


def test_a_required_query_parameter_is_asked_for() -> None:
    async def needs(ctx: object, path: str) -> None: ...

    with pytest.raises(Invalid, match="query parameter path is missing"):
        Binder(needs, "/v1/things", 1).bind({"query_string": b"", "headers": []}, ())


def test_a_body_must_refuse_unknown_fields() -> None:
    async def loose(ctx: object, body: Loose) -> None: ...

    async def strict(ctx: object, body: Strict) -> None: ...

    with pytest.raises(TypeError, match="forbid_unknown_fields"):
        Binder(loose, "/v1/things", 1)
    assert Binder(strict, "/v1/things", 1).body is Strict
