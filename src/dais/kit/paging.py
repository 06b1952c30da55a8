"""Cursor paging: a page and an opaque cursor to the next one."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from dais.kit.errors import Invalid

T = TypeVar("T")

MAX_LIMIT = 1_000
"""The most rows of one page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of one page; `cursor` is None on the last."""

    items: list[T]
    cursor: str | None


def encode_cursor(*key: str | float | None) -> str:
    """An opaque cursor that holds the sort key of the last row shown."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, shape: type[T]) -> T:
    """The sort key in a cursor, checked against `shape` (a tuple type). Raises Invalid `bad-cursor`."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=shape)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise Invalid(
            f"cursor {cursor[:80]!r} is not one that Dais gave; start again without a cursor",
            code="bad-cursor",
        ) from error


def check_limit(limit: int) -> int:
    """The limit itself, when it is from 1 to MAX_LIMIT. Raises Invalid `bad-limit`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit {limit} is not from 1 to {MAX_LIMIT}", code="bad-limit", limit=limit)
    return limit
