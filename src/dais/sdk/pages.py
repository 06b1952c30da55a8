"""Lists of the API, page by page."""

from __future__ import annotations

from typing import TypeVar

from dais.sdk.flow import Emit, Items, Query, Request, Resource
from dais.wire.answers import Page

T = TypeVar("T")

PAGE = 200
"""Rows asked for at once."""


def pages(resource: Resource, path: str, query: Query, item: type[T], limit: int | None = None) -> Items[T]:
    """Emit the items of a list, at most `limit`; pages are fetched as they are wanted."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        asked = {**query, "limit": size, "cursor": cursor}
        page = yield from resource.call(Request("GET", path, asked), Page[item])  # type: ignore[valid-type]
        for one in page.items:
            yield Emit(one)
        left = None if left is None else left - len(page.items)
        cursor = page.cursor
        if cursor is None:
            break


def whole(resource: Resource, path: str, item: type[T]) -> Items[T]:
    """Emit the items of a list that the server gives in one piece."""
    page = yield from resource.call(Request("GET", path), Page[item])  # type: ignore[valid-type]
    for one in page.items:
        yield Emit(one)
