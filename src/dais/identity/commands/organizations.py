"""Making organizations."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from dais.identity.commands.names import changed, check_name, taken
from dais.identity.commands.roles import new_roles
from dais.identity.predefined import of_organization
from dais.identity.queries.organizations import get_organization
from dais.identity.rules import require
from dais.identity.tables import accounts, organizations
from dais.identity.types import Actor, Organization
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.ids import new_id

_insert = Statement(insert(organizations), suffix="ON CONFLICT DO NOTHING")
_named = Statement(select(organizations.c.id).where(organizations.c.name == bindparam("name")))
_rename = Statement(
    update(organizations).where(organizations.c.id == bindparam("organization_id")).values(name=bindparam("new_name"))
)
_demand = Statement(
    update(organizations)
    .where(organizations.c.id == bindparam("organization_id"))
    .values(mfa_required=bindparam("demanded"))
)
_accounts = Statement(
    select(accounts.c.id, accounts.c.full_name).where(accounts.c.organization_id == bindparam("organization_id"))
)
_rename_account = Statement(
    update(accounts).where(accounts.c.id == bindparam("account_id")).values(full_name=bindparam("new_name"))
)


def new_organization(uow: UnitOfWork, name: str) -> tuple[str, dict[str, str]]:
    """Make an organization; its id, and its predefined roles by name. Permission is the caller's to have asked for.

    Raises Conflict `organization-exists`.
    """
    organization_id = new_id()
    made = uow.run(
        _insert, id=organization_id, name=check_name(name, "an organization"), mfa_required=0, created_at=uow.now
    )
    if not made:
        raise taken("an organization", name)
    made_roles = new_roles(uow, organization_id, "organization", organization_id, of_organization(organization_id))
    changed(uow, Event("organization.new", "organization", organization_id, None, {"name": name}))
    return organization_id, made_roles


def create_organization(uow: UnitOfWork, actor: Actor, name: str) -> Organization:
    """Make an organization, for an administrator of the installation."""
    require(uow, actor, "organization:new", resource_type="organization")
    return get_organization(uow, new_organization(uow, name)[0])


def demand_second_factor(uow: UnitOfWork, actor: Actor, organization_id: str, demanded: bool) -> Organization:
    """Whether the users of an organization need a second factor in the pages; those without one set it up first."""
    require(uow, actor, "organization:set", organization_id=organization_id)
    uow.run(_demand, organization_id=organization_id, demanded=int(demanded))
    changed(uow, Event("organization.changed", "organization", organization_id, None, {"mfa_required": demanded}))
    return get_organization(uow, organization_id)


def rename_organization(uow: UnitOfWork, actor: Actor, organization_id: str, name: str) -> Organization:
    """Give an organization another name, and with it its accounts. Raises Conflict `organization-exists`."""
    check_name(name, "an organization")
    require(uow, actor, "organization:set", organization_id=organization_id)
    found = get_organization(uow, organization_id)
    if name == found.name:
        return found
    if uow.one(_named, name=name) is not None:
        raise taken("an organization", name)
    uow.run(_rename, organization_id=organization_id, new_name=name)
    for row in uow.all(_accounts, organization_id=organization_id):
        uow.run(_rename_account, account_id=row.id, new_name=f"{name}{row.full_name[len(found.name) :]}")
    changed(
        uow, Event("organization.changed", "organization", organization_id, None, {"name": name, "was": found.name})
    )
    return get_organization(uow, organization_id)
