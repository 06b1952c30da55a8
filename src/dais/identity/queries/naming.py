"""Names where policies have ids: `job:get@acme:account:acme.lab:job:*`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from dais.identity.queries.accounts import resolve_account
from dais.identity.queries.organizations import resolve_organization
from dais.identity.queries.roles import resolve_role
from dais.identity.queries.teams import resolve_team
from dais.identity.queries.users import resolve_user
from dais.identity.statements import MAX_PARTS, MAX_STATEMENT
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION
from dais.kit.database import UnitOfWork
from dais.kit.ids import is_id

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,1022}")
_resolvers: dict[str, Callable[[UnitOfWork, Actor, str], Any]] = {
    "organization": resolve_organization,
    "account": resolve_account,
    "user": resolve_user,
    "team": resolve_team,
    "role": resolve_role,
}


def with_ids(uow: UnitOfWork, actor: Actor, statements: Iterable[str]) -> list[str]:
    """Statements with the ids that the names in them mean to the actor; patterns stay as they are.

    Names may stand for the organization, and for the account, user, team or role right below it. What is malformed, or
    too long, stays, for `parse_statement` to say where. Raises NotFound, with the nearest name.
    """
    known: dict[tuple[str, str], str] = {}

    def id_of(kind: str, name: str) -> str:
        if not _name.fullmatch(name) or is_id(name) or name == INSTALLATION:
            return name
        if (kind, name) not in known:
            known[kind, name] = _resolvers[kind](uow, actor, name).id
        return known[kind, name]

    return [_with_ids(text, id_of) for text in statements]


def _with_ids(text: str, id_of: Callable[[str, str], str]) -> str:
    actions, at, right = text.strip().rpartition("@")
    urns = [urn.split(":") for urn in right.split("+")]
    if not at or len(text) > MAX_STATEMENT or len(urns) > MAX_PARTS:
        return text
    for parts in urns:
        parts[0] = id_of("organization", parts[0])
        if len(parts) > 2 and parts[1] in _resolvers:
            parts[2] = id_of(parts[1], parts[2])
    return f"{actions}{at}{'+'.join(map(':'.join, urns))}"
