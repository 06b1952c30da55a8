"""The service `credential`: projects, and their users."""

from __future__ import annotations

from typing import Any

from dais.api.compat.acai.calls import Call, Calls
from dais.identity import (
    Actor,
    NewProject,
    add_project_user,
    create_project,
    project_of,
    resolve_account,
    resolve_organization,
    user_name,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Forbidden

calls = Calls()


@calls.add("POST", "/credential/create_project", open=True)
async def new_project(call: Call) -> Any:
    """Takes the token of an administrator of the installation as `admin_token`. Budgets and clouds are no matter."""
    wanted = user_name(call.text("project_id")) or call.text("project_id")
    administrator = call.text("project_admin_name", "admin")

    def verb(uow: UnitOfWork, actor: Actor) -> NewProject:
        named = call.settings.organization
        place = resolve_organization(uow, actor, named).id if named else None
        return create_project(uow, actor, wanted, administrator, organization_id=place)

    made: NewProject = await call.write(verb)
    return {
        "project_admin_id": made.user.number,
        "project_admin_token": made.token.secret,
        "bucket_name": made.account.full_name,
        "project_id": made.account.name,
        "project_admin_name": administrator,
        "admin_token": made.token.secret,
    }


@calls.add("POST", "/credential/create_user", open=True)
async def new_user(call: Call) -> Any:
    """Takes the token of the project's administrator as `admin_token`."""
    wanted = user_name(call.text("project_id")) or call.text("project_id")
    name = call.text("user_name")

    def verb(uow: UnitOfWork, actor: Actor) -> NewProject:
        account = resolve_account(uow, actor, wanted) if actor.narrowed is None else project_of(uow, actor)
        if account.name != wanted:
            raise Forbidden(f"this token is not of the project {wanted}", code="not-allowed")
        return add_project_user(uow, actor, account, name)

    made: NewProject = await call.write(verb)
    return {"user_id": made.user.number, "user_token": made.token.secret}


@calls.add("GET", "/credential/resolve_user_id")
async def resolve_user_id(call: Call) -> Any:
    """Who the token belongs to."""
    return {"user_id": call.actor.number, "id": call.actor.number, "name": call.actor.name}


@calls.add("GET POST", "/credential/resolve_project_id")
async def resolve_project_id(call: Call) -> Any:
    """The project that the token reaches."""
    name, full = call.account.name, call.account.full_name
    return {"project_id": name, "id": name, "bucket_name": full}
