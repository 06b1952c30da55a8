"""Forgotten passwords: whoever asks is mailed a link to a new one, if they are somebody.

What is asked for is only noted down; looking it up and mailing happens afterwards. So the answer, and how long it
takes, are the same whether anybody has the address. The link is in the mail and nowhere else: what was noted when the
server died is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec
from sqlalchemy import bindparam, func, select

from dais.identity.signing_in.links import PASSWORD_LINK_SECONDS, create_sign_in_link
from dais.identity.tables import organizations, sign_in_links, users
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import DaisError
from dais.kit.mail import Mailer, Undelivered

log = logging.getLogger(__name__)

MOST_NOTED = 1_000
"""What may wait to be looked up; more is dropped, and told in the log."""
MOST_LINKS = 3
"""Links of one user that may be good at a time: nobody is flooded with mail."""
TRIES, PAUSE_SECONDS = 3, 20.0

_who = Statement(
    select(users.c.id, users.c.name, organizations.c.name.label("organization"))
    .join(organizations, organizations.c.id == users.c.organization_id)
    .where(users.c.email == bindparam("email"), users.c.disabled_at.is_(None))
)
_links = Statement(
    select(func.count())
    .select_from(sign_in_links)
    .where(
        sign_in_links.c.user_id == bindparam("user_id"),
        sign_in_links.c.purpose == "password",
        sign_in_links.c.expires_at > bindparam("now"),
    )
)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link to a new password; `user` is the full name of whom it is for."""

    user: str
    secret: str


def forgotten_link(uow: UnitOfWork, email: str) -> Link | None:
    """A link for whoever has the address; None when nobody has it, or enough of them are good already."""
    row = uow.one(_who, email=email)
    if row is None or uow.scalar(_links, user_id=row.id, now=uow.now) >= MOST_LINKS:
        return None
    return Link(user=f"{row.organization}.{row.name}", secret=create_sign_in_link(uow, row.id, "password"))


class Forgotten:
    """Mails links to new passwords. `url` tells the address of the pages; it is never taken from a request."""

    def __init__(self, db: Database, mailer: Mailer, url: Callable[[], str]) -> None:
        self._db = db
        self.url = url
        self._noted: asyncio.Queue[str] = asyncio.Queue(MOST_NOTED)
        self.mailer = mailer

    def note(self, email: str) -> None:
        """Somebody says that this is their address."""
        try:
            self._noted.put_nowait(email.strip().lower()[:254])
        except asyncio.QueueFull:
            log.warning("too many passwords are asked for: a request was dropped")

    async def run(self) -> None:
        """Mail what is asked for, one after the other, until cancelled."""
        while True:
            await self.serve_one()

    async def serve_one(self, pause: float = PAUSE_SECONDS) -> None:
        """Wait for a request, and mail what it asks for. What fails is told in the log, without the link."""
        email = await self._noted.get()
        try:
            link: Link | None = await self._db.write(forgotten_link, email)
        except DaisError as error:
            log.warning("a forgotten password could not be looked up: %s", error)
            return
        if link is None:
            return
        for number in range(1, TRIES + 1):
            try:
                await self.mailer.send(email, *_mail(link, self.url()))
            except Undelivered as error:
                if error.final or number == TRIES:
                    log.error("the mail with a link to a new password of %s was given up: %s", link.user, error)
                    return
                await asyncio.sleep(pause)
            else:
                return


def _mail(link: Link, url: str) -> tuple[str, str]:
    """Subject and text."""
    lines = [
        f"Somebody asked for a new password of {link.user} at {url}.",
        "",
        f"If it was you, open this within {PASSWORD_LINK_SECONDS // 60} minutes and choose one:",
        "",
        f"{url}/sign-in/{link.secret}",
        "",
        "If it was not you, do nothing: your password stays as it is.",
        "",
    ]
    return "A new password for Dais", "\n".join(lines)
