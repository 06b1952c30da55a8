"""URNs: the names of things in policies.

`<organization>` · `<organization>:<type>:<id>` · `<organization>:<type>:<id>:<type>:<id>`, where the first type is the
holder's (`account`, `team` or `user`) · `installation:<type>:<id>` for what belongs to no organization (nodes, groups).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import msgspec

INSTALLATION = "installation"
"""Stands in the organization's place for what belongs to the whole installation. Organizations have UUIDs as ids."""

_plain = re.compile(r"[0-9A-Za-z._/~-]*")
_plain_parts = re.compile(r"[0-9A-Za-z._/~:-]*")
_special = frozenset("%+@:*")
_encoded = re.compile(r"(?:%[0-9A-F]{2})+")


def escaped(part: str) -> str:
    """A name as it stands inside a URN: blanks, what is not printable and `% + @ : *` are percent-encoded UTF-8."""
    return part if _plain.fullmatch(part) else _escaped(part)


@functools.lru_cache(maxsize=1024)
def _escaped(part: str) -> str:
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        if character in _special or character.isspace() or not character.isprintable()
        else character
        for character in part
    )


def canonical(pattern: str) -> str:
    """The one way to write a URN or a pattern of URNs: only what must be percent-encoded is. Raises ValueError."""
    if "%" not in pattern:
        return pattern
    return _encoded.sub(lambda found: escaped(unquote_to_bytes(found[0]).decode()), pattern)


def urn(organization_id: str, account_id: str | None = None, type: str = "", id: str = "") -> str:  # noqa: A002
    """The name of a thing in policies. Without a type it names the account, without an account the organization."""
    parts = [organization_id]
    if account_id is not None:
        parts += ["account", account_id]
    if type:
        parts += [type, id]
    return _written(parts)


def _written(parts: Sequence[str]) -> str:
    """The parts, escaped, as one text. Nearly all are plain, which one look at the whole shows."""
    text = ":".join(parts)
    if _plain_parts.fullmatch(text) and text.count(":") == len(parts) - 1:
        return text
    return ":".join(map(escaped, parts))


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that something is done with. `id` is empty for things that are not there yet (`new`) or many (`list`).

    What is `new` also goes by the name of what it will lie in.
    `holder` is what it lies in below the organization: `("account", id)`, `("team", id)`, `("user", id)` or None.
    `accounts` are the ids of the account and its ancestors where the holder, or the thing itself, is an account: a
    grant on an account covers what lies below.
    """

    organization_id: str
    type: str
    id: str = ""
    holder: tuple[str, str] | None = None
    accounts: tuple[str, ...] = ()
    new: bool = False

    @property
    def urn(self) -> str:
        """Its name."""
        return _joined(self.organization_id, self.holder, self.type, self.id)

    @property
    def names(self) -> tuple[str, ...]:
        """Every URN of which one must match."""
        if self.type == "organization":
            return (escaped(self.organization_id),)
        if self.type == "account" and self.id:
            return tuple(_joined(self.organization_id, None, "account", account) for account in self.accounts)
        holders: list[tuple[str, str] | None] = [self.holder]
        if self.accounts:
            holders = [("account", account) for account in self.accounts]
        names = [_joined(self.organization_id, holder, self.type, self.id) for holder in holders]
        if self.new:
            names += [
                escaped(self.organization_id) if holder is None else _joined(self.organization_id, None, *holder)
                for holder in holders
            ]
        return tuple(names)


def _joined(organization_id: str, holder: tuple[str, str] | None, type: str, id: str) -> str:  # noqa: A002
    if type == "organization":
        return escaped(organization_id)
    return _written((organization_id, *(holder or ()), type, id))
