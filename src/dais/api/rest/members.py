"""Members of teams and roles: how a request names them, and how they are answered."""

from __future__ import annotations

import msgspec

from dais.identity import Actor, Member, resolve_team, resolve_user
from dais.kit.database import UnitOfWork
from dais.kit.paging import Page
from dais.wire import answers, identities

Members = answers.Page[identities.Member]


class NewMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user, or a team with all of its members: one of both."""

    user: str | None = None
    team: str | None = None


def named(uow: UnitOfWork, actor: Actor, user: str | None, team: str | None) -> dict[str, str | None]:
    """The ids of those who are named, as the verbs take them. Raises NotFound."""
    return {
        "user_id": resolve_user(uow, actor, user).id if user is not None else None,
        "team_id": resolve_team(uow, actor, team).id if team is not None else None,
    }


def shown(page: Page[Member]) -> Members:
    """The answer."""
    items = [identities.Member(id=one.id, name=one.name, type=one.type) for one in page.items]
    return Members(items=items, cursor=page.cursor)
