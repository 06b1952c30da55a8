"""One-time links: into the pages for whoever holds a token, and to a new password for whoever forgot theirs.

Stored as their hash, and found by it; one of each purpose is good once.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.rules import require
from dais.identity.secrets import hash_of, random_digits
from dais.identity.sessions import NOWHERE, Browser
from dais.identity.settings import DEFAULTS, IdentitySettings
from dais.identity.signing_in.steps import Entry, signed_in
from dais.identity.tables import sign_in_links, tokens
from dais.identity.types import Actor
from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Forbidden, Unauthenticated
from dais.kit.ids import new_id

Purpose = Literal["sign-in", "password"]

SIGN_IN_LINK_SECONDS = 15 * 60
"""For how long a sign-in link is good."""
PASSWORD_LINK_SECONDS = 30 * 60
"""For how long a link to a new password is good."""
_seconds: dict[Purpose, int] = {"sign-in": SIGN_IN_LINK_SECONDS, "password": PASSWORD_LINK_SECONDS}

_insert = Statement(insert(sign_in_links))
_old = Statement(delete(sign_in_links).where(sign_in_links.c.expires_at <= bindparam("now")))
_take = Statement(
    update(sign_in_links)
    .where(
        sign_in_links.c.hash == bindparam("secret_hash"),
        sign_in_links.c.used_at.is_(None),
        sign_in_links.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(sign_in_links.c.user_id, sign_in_links.c.purpose)
)
_find = Statement(
    select(sign_in_links.c.used_at, sign_in_links.c.expires_at, sign_in_links.c.purpose).where(
        sign_in_links.c.hash == bindparam("hash")
    )
)
_end_all = Statement(delete(sign_in_links).where(sign_in_links.c.user_id == bindparam("user_id")))
_token_kind = Statement(select(tokens.c.kind).where(tokens.c.id == bindparam("id")))


def create_sign_in_link(uow: UnitOfWork, user_id: str, purpose: Purpose = "sign-in") -> str:
    """Make a link's secret for a user; it is told this once. Permission is the caller's to have asked for."""
    uow.run(_old, now=uow.now)
    secret = random_digits()
    uow.run(
        _insert,
        id=new_id(),
        user_id=user_id,
        hash=hash_of(secret),
        created_at=uow.now,
        expires_at=uow.now + _seconds[purpose] * SECOND,
        used_at=None,
        purpose=purpose,
    )
    return secret


def own_sign_in_link(uow: UnitOfWork, actor: Actor) -> str:
    """Make a link's secret for the actor. Raises Forbidden `wrong-token-kind`, `narrowed-token`.

    A session may do all that its user may; who comes with a narrowed token, or as a role, may not get one.
    """
    require(uow, actor, "session:new", organization_id=actor.organization_id, holder=("user", actor.id))
    kind = "user" if actor.token_id is None else uow.scalar(_token_kind, id=actor.token_id)
    if kind != "user":
        raise Forbidden(
            f"a token of kind {kind!r} cannot open the pages; use the token of a user", code="wrong-token-kind"
        )
    if actor.narrowed is not None:
        raise Forbidden(
            "a token that is narrowed cannot open the pages: a session would not be; use a whole token of yours",
            code="narrowed-token",
        )
    return create_sign_in_link(uow, actor.id)


def check_sign_in_link(uow: UnitOfWork, secret: str) -> Purpose:
    """What a link is for, while it is still good, without using it up. Raises Unauthenticated `bad-sign-in-link`."""
    row = uow.one(_find, hash=hash_of(secret))
    if row is None or row.used_at is not None or row.expires_at <= uow.now:
        raise _bad_link()
    purpose: Purpose = row.purpose
    return purpose


def redeem_sign_in_link(
    uow: UnitOfWork, secret: str, *, browser: Browser = NOWHERE, settings: IdentitySettings = DEFAULTS
) -> Entry:
    """Use a link up, which is a first factor. Raises Unauthenticated `bad-sign-in-link`, `user-disabled`.

    Of two that redeem the same link at the same time one gets in.
    """
    taken = uow.one(_take, secret_hash=hash_of(secret), now=uow.now)
    if taken is None:
        raise _bad_link()
    by = "link" if taken.purpose == "sign-in" else "reset"
    return signed_in(uow, taken.user_id, by, browser=browser, settings=settings)  # type: ignore[arg-type]


def end_links(uow: UnitOfWork, user_id: str) -> None:
    """Let no link of the user be good any more."""
    uow.run(_end_all, user_id=user_id)


def _bad_link() -> Unauthenticated:
    return Unauthenticated(
        "this link has been used, has expired or is not complete; `dais open` makes another",
        code="bad-sign-in-link",
    )
