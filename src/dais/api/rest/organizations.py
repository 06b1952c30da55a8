"""Organizations: the top owners."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import own_interactive_limits, set_interactive_limit
from dais.identity import (
    Organization,
    create_organization,
    demand_second_factor,
    list_organizations,
    rename_organization,
    resolve_organization,
    urn,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, identities

routes = Routes()


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it shall be called."""

    name: str


class OrganizationChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    mfa_required: bool | msgspec.UnsetType = msgspec.UNSET
    interactive_jobs: int | msgspec.UnsetType | None = msgspec.UNSET


@routes.get("/v1/organizations", summary="List the organizations that you may see", action="organization:list")
async def organizations(
    ctx: Context, limit: int = 100, cursor: str | None = None
) -> answers.Page[identities.Organization]:
    def read(uow: UnitOfWork) -> answers.Page[identities.Organization]:
        page = list_organizations(uow, ctx.actor, limit=limit, cursor=cursor)
        most = own_interactive_limits(uow, [one.id for one in page.items])
        return answers.Page(items=[_answer(one, most.get(one.id)) for one in page.items], cursor=page.cursor)

    found: answers.Page[identities.Organization] = await ctx.db.read(read)
    return found


@routes.post("/v1/organizations", status=201, summary="Make an organization", action="organization:new")
async def new_organization(ctx: Context, body: NewOrganization) -> identities.Organization:
    """For administrators of the installation. It has no users yet."""
    return _answer(await ctx.db.write(create_organization, ctx.actor, body.name))


@routes.get("/v1/organizations/{ref}", summary="Show an organization", action="organization:get")
async def organization(ctx: Context, ref: str) -> identities.Organization:
    def read(uow: UnitOfWork) -> identities.Organization:
        return _whole(uow, resolve_organization(uow, ctx.actor, ref))

    found: identities.Organization = await ctx.db.glance(read)
    return found


@routes.patch(
    "/v1/organizations/{ref}", summary="Change an organization", action=("organization:set", "installation:set")
)
async def change_organization(ctx: Context, ref: str, body: OrganizationChange) -> identities.Organization:
    """With its name the full names of its accounts, teams and roles change.

    `mfa_required`: its users need a second factor in the pages, also those who are signed in. `interactive_jobs` is for
    administrators of the installation: `null` lets the installation's limit hold; 0 is none.
    """

    def change(uow: UnitOfWork) -> identities.Organization:
        found = resolve_organization(uow, ctx.actor, ref)
        if body.name is not msgspec.UNSET:
            found = rename_organization(uow, ctx.actor, found.id, body.name)
        if body.mfa_required is not msgspec.UNSET:
            found = demand_second_factor(uow, ctx.actor, found.id, body.mfa_required)
        if body.interactive_jobs is not msgspec.UNSET:
            set_interactive_limit(uow, ctx.actor, found.id, body.interactive_jobs)
        return _whole(uow, found)

    changed: identities.Organization = await ctx.db.write(change)
    return changed


def _whole(uow: UnitOfWork, organization: Organization) -> identities.Organization:
    return _answer(organization, own_interactive_limits(uow, [organization.id]).get(organization.id))


def _answer(organization: Organization, most: int | None = None) -> identities.Organization:
    return identities.Organization(
        id=organization.id,
        name=organization.name,
        urn=urn(organization.id),
        mfa_required=organization.mfa_required,
        interactive_jobs=most,
        created_at=to_rfc3339(organization.created_at),
    )
