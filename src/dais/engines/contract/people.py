"""Groups whose jobs are Unix users of their own: who is whom, as the group's options say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

UNIX_NAME = r"[a-z_][a-z0-9_-]{0,31}"
_unix = re.compile(UNIX_NAME)


class UnixUsers(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a group that say it. A person is `organization.user`, for a name alone may be many people's.

    `users` are `organization.user=unix` each; users of the organization `same_names` have the Unix user of their own
    name, unless `users` says otherwise.
    """

    map_users: bool = False
    users: tuple[str, ...] = ()
    same_names: str = ""

    def of(self, person: str) -> str | None:
        """The Unix user of a person; None for one who has none."""
        for line in self.users:
            name, _, unix = line.partition("=")
            if name == person:
                return unix
        organization, _, name = person.partition(".")
        return name if organization == self.same_names != "" and _unix.fullmatch(name) else None


def unix_users(options: Mapping[str, Any]) -> UnixUsers | None:
    """Those of a group with these options, as they are kept; None where its jobs are not mapped."""
    found = msgspec.convert(options, UnixUsers) if options.get("map_users") else None
    return found if found is not None and found.map_users else None
