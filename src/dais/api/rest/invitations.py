"""Invitations: who is asked in, and with which roles."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import Invitation, list_invitations, remove_invitation, resolve_organization
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, identities

routes = Routes()


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accounts` are full names of accounts: `acme.lab` for its role `user`, `acme.lab:admin` for another one."""

    email: str
    accounts: list[str] = []
    organization: str | None = None


@routes.get("/v1/invitations", summary="List the invitations of an organization", action="invitation:list")
async def invitations(ctx: Context, organization: str | None = None) -> answers.Page[identities.Invitation]:
    """Without an organization, of the caller's. Those that were accepted, too."""

    def read(uow: UnitOfWork) -> list[Invitation]:
        place = resolve_organization(uow, ctx.actor, organization)
        return list_invitations(uow, ctx.actor, place.id)

    found: list[Invitation] = await ctx.db.read(read)
    now = ctx.db.clock.now()
    return answers.Page(items=[_answer(one, now) for one in found])


@routes.post("/v1/invitations", status=201, summary="Invite somebody by e-mail", action="invitation:new")
async def new_invitation(ctx: Context, body: NewInvitation) -> identities.Invitation:
    """It is mailed, and good for a week; where it cannot be mailed the answer has its link, this once."""

    def place(uow: UnitOfWork) -> str:
        return resolve_organization(uow, ctx.actor, body.organization).id

    organization_id: str = await ctx.db.read(place)
    made, path = await ctx.services.desk.invite(ctx.actor, body.email, body.accounts, organization_id)
    return _answer(made, ctx.db.clock.now(), link=ctx.services.url + path if path is not None else None)


@routes.delete("/v1/invitations/{id}", status=204, summary="Take an invitation back", action="invitation:rm")
async def rm_invitation(ctx: Context, id: str) -> None:  # noqa: A002
    await ctx.db.write(remove_invitation, ctx.actor, id)


def _answer(one: Invitation, now: int, link: str | None = None) -> identities.Invitation:
    state = "accepted" if one.accepted_at is not None else "expired" if one.expires_at <= now else "open"
    return identities.Invitation(
        id=one.id,
        email=one.email,
        organization=one.organization,
        invited_by=one.invited_by,
        roles=list(one.roles),
        state=state,
        mail=one.mail,
        link=link,
        created_at=to_rfc3339(one.created_at),
        expires_at=to_rfc3339(one.expires_at),
    )
