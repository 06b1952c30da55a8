"""The errors of this package that are raised in more than one place."""

from __future__ import annotations

from dais.kit.errors import Forbidden, NotFound


def no_such_account(name: str, near: list[str] | None = None) -> NotFound:
    hint = f"; did you mean {near[0]}?" if near else "; `dais account ls` lists those that you may use"
    return NotFound(f"there is no account {name!r}{hint}", code="no-such-account", account=name)


def not_allowed(who: str, action: str, what: str, remedy: str, **fields: str | None) -> Forbidden:
    return Forbidden(f"{who} may not {action} {what}; {remedy}", code="not-allowed", action=action, **fields)
