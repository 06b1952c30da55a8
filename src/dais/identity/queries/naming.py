"""Names where policies have ids: `job:get@acme:account:acme.lab:job:*`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dais.identity.queries.accounts import resolve_account
from dais.identity.queries.organizations import resolve_organization
from dais.identity.queries.roles import resolve_role
from dais.identity.queries.teams import resolve_team
from dais.identity.queries.users import resolve_user
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION
from dais.kit.database import UnitOfWork
from dais.kit.ids import is_id

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,1022}")
_resolvers: dict[str, Callable[[UnitOfWork, Actor, str], Any]] = {
    "account": resolve_account,
    "user": resolve_user,
    "team": resolve_team,
    "role": resolve_role,
}


def with_ids(uow: UnitOfWork, actor: Actor, text: str) -> str:
    """A statement, or a URN, with the ids that the names in it mean to the actor; patterns stay as they are.

    Names may stand for the organization, and for the account, user, team or role right below it. What is malformed
    stays, for `parse_statement` to say where. Raises NotFound, with the nearest name.
    """
    actions, at, urns = text.rpartition("@")
    return f"{actions}{at}{'+'.join(_with_ids(uow, actor, urn) for urn in urns.split('+'))}"


def _with_ids(uow: UnitOfWork, actor: Actor, urn: str) -> str:
    parts = urn.split(":")
    if _is_name(parts[0]) and parts[0] != INSTALLATION:
        parts[0] = resolve_organization(uow, actor, parts[0]).id
    if len(parts) > 2 and parts[1] in _resolvers and _is_name(parts[2]):
        parts[2] = _resolvers[parts[1]](uow, actor, parts[2]).id
    return ":".join(parts)


def _is_name(text: str) -> bool:
    return _name.fullmatch(text) is not None and not is_id(text)
