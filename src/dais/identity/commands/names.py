"""Names of organizations, accounts, users, teams and roles."""

from __future__ import annotations

import re

from sqlalchemy import bindparam, select

from dais.identity.tables import organizations
from dais.identity.topics import CHANGED
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid

_name = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_email = re.compile(r"[^\s@<>,;:\"\\()\[\]]{1,64}@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


_hold = Statement(
    select(organizations.c.id).where(organizations.c.id == bindparam("id")).with_for_update(key_share=True)
)


def hold(uow: UnitOfWork, organization_id: str) -> None:
    """Let nobody else change who is in what in an organization until this unit ends.

    Two units that each leave a last administrator, or each put a team into the other, must not both see the old state.
    """
    uow.one(_hold, id=organization_id)


def check_name(name: str, what: str) -> str:
    """The name itself, when accounts, users and organizations may have it. Raises Invalid `bad-name`."""
    if not _name.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of {what}: it takes a to z, 0 to 9, _ and -, begins with a letter or "
            "digit, and has at most 63 characters",
            code="bad-name",
            name=name[:80],
        )
    return name


def check_email(email: str) -> str:
    """The address in small letters. Raises Invalid `bad-email`."""
    found = email.strip().lower()
    if len(found) > 254 or not _email.fullmatch(found):
        raise Invalid(f"{email[:80]!r} is no e-mail address; it looks like joe@example.org", code="bad-email")
    return found


def check_text(text: str, what: str, most: int) -> str:
    """A line of text for people. Raises Invalid `bad-text`."""
    found = text.strip()
    if len(found) > most or not found.isprintable():
        raise Invalid(f"{what} is one line of at most {most} characters", code="bad-text")
    return found


def taken(what: str, name: str) -> Conflict:
    """The name is somebody else's."""
    return Conflict(
        f"a resource with this name already exists: there is {what} {name} already; choose another name",
        code=f"{what.split()[-1]}-exists",
        name=name,
    )


def changed(uow: UnitOfWork, event: Event) -> None:
    """Something that permissions rest on has changed: what is remembered of it is dropped at the commit."""
    uow.emit(event)
    uow.hint(CHANGED)
