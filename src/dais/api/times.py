"""Times in requests."""

from __future__ import annotations

from typing import overload

from dais.kit.clock import from_rfc3339
from dais.kit.errors import Invalid


@overload
def instant(text: None, name: str) -> None: ...
@overload
def instant(text: str, name: str) -> int: ...
@overload
def instant(text: str | None, name: str) -> int | None: ...
def instant(text: str | None, name: str) -> int | None:
    """The instant (µs) that an RFC 3339 text of the parameter `name` means. Raises Invalid `bad-parameter`."""
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise Invalid(
            f"{name} is {text[:80]!r}; write an RFC 3339 time such as 2026-11-22T09:30:00Z", code="bad-parameter"
        ) from error
