"""Letting somebody back in who has lost what they sign in with; for the operator of the machine."""

from __future__ import annotations

import msgspec

from dais.identity.audit import record
from dais.identity.granting import require_over
from dais.identity.queries.users import get_user
from dais.identity.rules import require
from dais.identity.sessions import end_sessions
from dais.identity.signing_in.failures import forget, subject_of
from dais.identity.signing_in.keeping import find_by_name, remove_password
from dais.identity.signing_in.links import create_sign_in_link, end_links
from dais.identity.signing_in.second_factors import remove_second_factors
from dais.identity.signing_in.steps import end_pending
from dais.identity.types import Actor, User
from dais.identity.urns import urn
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, NotFound


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Who was let back in, and the path of the one-time link that does it; it is told this once."""

    user: User
    path: str


def reset_sign_in(uow: UnitOfWork, name: str, *, password: bool) -> Reset:
    """Take a user's second factors, lock-out, sessions and open links away, and make a one-time link for them.

    With `password` the old one goes, too, and the link leads to a new one. Permission is whoever runs the command on
    the machine: it is written down as theirs. Raises NotFound `no-such-user`, Conflict `user-disabled`.
    """
    user_id = find_by_name(uow, name)
    if user_id is None:
        raise NotFound(
            f"there is no user {name[:80]!r}; give an e-mail address, a full name as acme.joe, or a name",
            code="no-such-user",
        )
    user = get_user(uow, user_id)
    if user.disabled:
        raise Conflict(
            f"{user.organization}.{user.name} is disabled; an administrator can enable them: `dais user enable`",
            code="user-disabled",
        )
    remove_second_factors(uow, user_id)
    forget(uow, subject_of(user_id, ""))
    end_sessions(uow, user_id)
    end_pending(uow, user_id)
    end_links(uow, user_id)
    if password:
        remove_password(uow, user_id)
    secret = create_sign_in_link(uow, user_id, "password" if password else "sign-in")
    _write_down(uow, user, password=password)
    return Reset(user=user, path=f"/sign-in/{secret}")


def forget_second_factors(uow: UnitOfWork, actor: Actor, user_id: str) -> User:
    """Take a user's second factors and lock-out away, for one who has lost their devices; their sessions end.

    Raises Forbidden `not-allowed`, `beyond-own` when the user may do what the actor may not; one's own are taken away
    in the pages, with the password.
    """
    user = get_user(uow, user_id)
    require(uow, actor, "user:set", organization_id=user.organization_id, resource_id=user_id)
    if user_id == actor.id:
        raise Conflict(
            "your own second factors you take away in the pages, in the settings; there your password is asked for",
            code="own-second-factors",
        )
    require_over(uow, actor, user_id)
    remove_second_factors(uow, user_id)
    forget(uow, subject_of(user_id, ""))
    end_sessions(uow, user_id)
    end_pending(uow, user_id)
    return user


def _write_down(uow: UnitOfWork, user: User, *, password: bool) -> None:
    operator = Actor(
        id=user.id,
        number=user.number,
        name=user.name,
        organization_id=user.organization_id,
        organization=user.organization,
        account_id=user.account_id,
        administrator=user.administrator,
        address="this machine",
    )
    detail = msgspec.json.encode({"by": "operator of the machine", "reset": True, "password": password}).decode()
    name = urn(user.organization_id, None, "user", user.id)
    record(uow, operator, "user:set", name, user.organization_id, allowed=True, detail=detail)
