"""Groups whose jobs are Unix users of their own: who is whom, as the group's options say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class UnixUsers(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a group that say it: `users` are `ID=unix` each, the id of a user of Dais and a Unix user's name.

    By id and never by name: users of Dais may rename themselves, and would choose whom they are.
    """

    map_users: bool = False
    users: tuple[str, ...] = ()

    def of(self, user_id: str) -> str | None:
        """The Unix user of a user; None for one who has none."""
        return dict(line.split("=", 1) for line in self.users).get(user_id)


def unix_users(options: Mapping[str, Any]) -> UnixUsers | None:
    """Those of a group with these options, as they are kept; None where its jobs are not mapped."""
    found = msgspec.convert(options, UnixUsers) if options.get("map_users") else None
    return found if found is not None and found.map_users else None
