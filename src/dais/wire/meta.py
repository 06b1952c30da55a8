"""Metadata on any entity, and queries: what is sent, and what is answered.

A value is a text, a number, true or false, or an instant, which is written `{"instant": "2026-01-31T12:00:00Z"}`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dais.wire.answers import Answer

MAX_KEYS = 256
MAX_TAGS = 256
"""Key-values, and tags, of one entity."""

MAX_KEY = 128
"""Bytes of a key, and of a tag."""

MAX_TEXT = 1024
"""Bytes of a value that is a text."""

MAX_NUMBER = 2**53
"""Whole numbers up to here are kept exactly; larger ones are refused."""

MAX_CONDITIONS = 32
"""Conditions of a query."""

MAX_PATTERN = 500
"""Characters of a regular expression."""

MAX_REFS = 1000
"""Entities that are asked for at once."""


class Moment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is an instant, in RFC 3339."""

    instant: str


Value = str | bool | int | float | Moment

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "range", "~", "exists", "absent", "max", "min", "tag"]


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One condition on a key; or several in `any` (one of them holds) or `all`.

    `range` is from `start` (exclusive) to `end` (inclusive); `~` a regular expression that is found somewhere in a
    text; `tag` asks for the tag `value`. `max` and `min` keep those of the largest and smallest value among what meets
    the other conditions.
    """

    key: str = ""
    op: Operator = "="
    value: Value | None = None
    start: Value | None = None
    end: Value | None = None
    any: tuple[Condition, ...] = ()
    all: tuple[Condition, ...] = ()


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is looked for. `order` is a key, with a `-` before it downward; without one the newest come first."""

    kind: str
    where: tuple[Condition, ...] = ()
    account: str | None = None
    order: str | None = None
    limit: int = 100
    cursor: str | None = None


class MetaChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tags and key-values that are set on an entity; others stay."""

    tags: tuple[str, ...] = ()
    values: dict[str, Value] = {}


class Meta(Answer, frozen=True, kw_only=True):
    """All that is known of an entity: `system` by the keys that it has of itself, `values` and `tags` by its users."""

    kind: str
    id: str
    ref: str
    account: str
    created_by: str
    created_at: str
    system: dict[str, Any]
    values: dict[str, Any]
    tags: list[str]


class Counted(Answer, frozen=True, kw_only=True):
    """How many entities a query finds."""

    count: int


class MetaRemoved(Answer, frozen=True, kw_only=True):
    """What was removed of an entity."""

    tags: int
    keys: int
