"""What a reader chose for the list of jobs, kept in their browser's cookies: its columns, and filters with names."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

COLUMNS_COOKIE = "dais_job_columns"
FILTERS_COOKIE = "dais_job_filters"
MAX_FILTERS = 20
MAX_NAME = 40
MAX_COOKIE = 3_000
"""Characters; browsers keep 4,096 bytes of a cookie."""

COLUMNS = {
    "account": "Account",
    "owner": "Owner",
    "command": "Command",
    "type": "Type",
    "image": "Image",
    "tags": "Tags",
    "node": "Node",
    "cpu": "CPU",
    "mem": "Memory",
    "gpu": "GPU",
    "submitted": "Submitted",
    "ran": "Ran for",
    "exit": "Exit",
}
"""What may be shown beside state, id and name, in this order: the column's name and its title."""

USUAL = ("owner", "command", "cpu", "mem", "submitted", "ran", "exit")
"""The columns of who has not chosen."""


class SavedFilter(msgspec.Struct, frozen=True, array_like=True):
    """A filter with a name. `query` is that of the list's address."""

    name: str
    query: str


_filters = msgspec.json.Decoder(list[SavedFilter])


def columns_of(cookies: Mapping[str, str]) -> list[str]:
    """The columns to show, in their order."""
    given = cookies.get(COLUMNS_COOKIE)
    wanted: Sequence[str] = USUAL if given is None else given.split("-")
    return [name for name in COLUMNS if name in wanted]


def columns_cookie(names: Sequence[str]) -> str:
    """What to remember for these columns; names that there are not are left out."""
    return "-".join(name for name in COLUMNS if name in names) or "none"


def filters_of(cookies: Mapping[str, str]) -> list[SavedFilter]:
    """The reader's filters; none where the cookie is not ours."""
    try:
        return _filters.decode(base64.urlsafe_b64decode(cookies.get(FILTERS_COOKIE, "").encode()))[:MAX_FILTERS]
    except (ValueError, msgspec.DecodeError):
        return []


def filters_cookie(filters: Sequence[SavedFilter], changed: SavedFilter) -> str:
    """What to remember when one filter is new or other; without a query it goes. The oldest make room."""
    kept = [each for each in filters if each.name != changed.name]
    if changed.query:
        kept.append(changed)
    while True:
        text = base64.urlsafe_b64encode(msgspec.json.encode(kept[-MAX_FILTERS:])).decode()
        if len(text) <= MAX_COOKIE:
            return text
        kept = kept[1:]


def given_columns(form: Mapping[str, Any]) -> list[str]:
    """The columns that a form chose: each has a field of its own."""
    return [name for name in COLUMNS if form.get(f"column-{name}")]
