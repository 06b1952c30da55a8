"""URNs: `<organization>`, `<organization>:<type>:<id>`, `<organization>:account:<account>:<type>:<id>`."""

from __future__ import annotations

_escapes = {ord(character): f"%{ord(character):02X}" for character in "%+@:*"}


def urn(organization_id: str, account_id: str | None = None, type: str = "", id: str = "") -> str:  # noqa: A002
    """The name of a thing in policies. Without a type it names the account, without an account the organization."""
    parts = [organization_id]
    if account_id is not None:
        parts += ["account", account_id]
    if type:
        parts += [type, id]
    return ":".join(part.translate(_escapes) for part in parts)
