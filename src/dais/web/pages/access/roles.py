"""Roles: those of an organization, an account or a team, a new one, and one role with members, policies and keys."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    Actor,
    Member,
    NewToken,
    Role,
    Token,
    add_role_member,
    create_role,
    create_role_key,
    list_role_keys,
    list_roles,
    remove_role,
    remove_role_member,
    resolve_account,
    resolve_organization,
    resolve_role,
    resolve_team,
    resource_of,
    revoke_token,
    role_members,
)
from dais.kit.clock import SECOND
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import Policies, acting, member, member_id, policies_of, refusal, those_of

DAYS = {"30": 30, "90": 90, "365": 365}
"""For how many days a key may be made on the page."""


class Parent(msgspec.Struct, frozen=True):
    """What roles are attached to: a type, an id and a full name."""

    type: str
    id: str
    name: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of a role shows."""

    role: Role
    members: list[Member]
    policies: Policies
    keys: list[Token]
    can: frozenset[str]


async def show_roles(request: Request, frame: Frame) -> Response:
    return await _list(request, frame, await visitor(request, frame.services), request.query_params.get("of", ""))


async def make(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    try:
        made: Role = await frame.services.db.write(_make, who.actor, form.get("of", ""), form.get("name", ""))
    except DaisError as error:
        return await _list(request, frame, who, form.get("of", ""), form.get("name", ""), error.message)
    return see_other(f"/access/roles/{made.id}")


async def show_role(request: Request, frame: Frame) -> Response:
    return await page_again(request, frame, await visitor(request, frame.services))


async def remove(request: Request, frame: Frame) -> Response:
    """Remove a role whose name was typed to confirm it."""
    who, form = await acting(request, frame)
    wrong = await refusal(frame, _remove, who.actor, _id(request), form.get("confirm", ""))
    return await page_again(request, frame, who, wrong) if wrong else see_other("/access/roles")


async def add_member(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    return await _after(
        request, frame, who, await refusal(frame, _add, who.actor, _id(request), form.get("member", ""))
    )


async def drop_member(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    return await _after(request, frame, who, await refusal(frame, _drop, who.actor, _id(request), member_id(form)))


async def make_key(request: Request, frame: Frame) -> Response:
    """Make a key, and show it this once."""
    who, form = await acting(request, frame)
    try:
        made: NewToken = await frame.services.db.write(
            _make_key, who.actor, _id(request), form.get("label", ""), form.get("days", "")
        )
    except DaisError as error:
        return await page_again(request, frame, who, error.message)
    return await page_again(request, frame, who, secret=made.secret)


async def end_key(request: Request, frame: Frame) -> Response:
    who, _ = await acting(request, frame)
    return await _after(request, frame, who, await refusal(frame, revoke_token, who.actor, request.path_params["key"]))


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _parent(uow: UnitOfWork, actor: Actor, name: str) -> Parent:
    """What a name means: `team:NAME`, an account, else an organization; "" is the actor's organization."""
    if name.startswith("team:"):
        team = resolve_team(uow, actor, name.removeprefix("team:"))
        return Parent("team", team.id, team.full_name)
    if name and ("." in name or name != actor.organization):
        try:
            account = resolve_account(uow, actor, name)
            return Parent("account", account.id, account.full_name)
        except DaisError:
            if "." in name:
                raise
    organization = resolve_organization(uow, actor, name or None)
    return Parent("organization", organization.id, organization.name)


def _make(uow: UnitOfWork, actor: Actor, of: str, name: str) -> Role:
    parent = _parent(uow, actor, of)
    return create_role(uow, actor, parent.type, parent.id, name)


def _remove(uow: UnitOfWork, actor: Actor, role_id: str, confirmed: str) -> None:
    role = resolve_role(uow, actor, role_id)
    if confirmed != role.name:
        raise Invalid(f"type {role.name} to remove the role", code="not-confirmed")
    remove_role(uow, actor, role)


def _add(uow: UnitOfWork, actor: Actor, role_id: str, name: str) -> None:
    add_role_member(uow, actor, resolve_role(uow, actor, role_id), **member(uow, actor, name))


def _drop(uow: UnitOfWork, actor: Actor, role_id: str, whom: dict[str, str]) -> None:
    remove_role_member(uow, actor, resolve_role(uow, actor, role_id), **whom)


def _make_key(uow: UnitOfWork, actor: Actor, role_id: str, label: str, days: str) -> NewToken:
    expires_at = uow.now + DAYS[days] * 86_400 * SECOND if days in DAYS else None
    return create_role_key(
        uow, actor, resolve_role(uow, actor, role_id), label=label[:128] or None, expires_at=expires_at
    )


def _known(uow: UnitOfWork, actor: Actor, role_id: str) -> Known:
    role = resolve_role(uow, actor, role_id)
    return Known(
        role=role,
        members=role_members(uow, actor, role, limit=1000).items,
        policies=policies_of(uow, actor, "role", role.id),
        keys=list_role_keys(uow, actor, role),
        can=those_of(uow, actor, resource_of(uow, role), "role:set", "role:rm"),
    )


async def _after(request: Request, frame: Frame, who: Visitor, wrong: str) -> Response:
    return await page_again(request, frame, who, wrong) if wrong else see_other(f"/access/roles/{_id(request)}")


async def page_again(request: Request, frame: Frame, who: Visitor, wrong: str = "", secret: str = "") -> Response:
    known: Known = await frame.services.db.read(_known, who.actor, _id(request))
    return frame.page(
        request,
        "access_role.html",
        who,
        status=400 if wrong else 200,
        known=known,
        role=known.role,
        wrong=wrong,
        secret=secret,
    )


def _listed(uow: UnitOfWork, actor: Actor, of: str) -> tuple[Parent, list[Role]]:
    parent = _parent(uow, actor, of)
    return parent, list_roles(uow, actor, parent_type=parent.type, parent_id=parent.id, limit=1000).items


async def _list(request: Request, frame: Frame, who: Visitor, of: str, name: str = "", wrong: str = "") -> Response:
    parent, roles = await frame.services.db.read(_listed, who.actor, of.strip())
    status = 400 if wrong else 200
    shown = {"of": of, "parent": parent, "roles": roles, "name": name, "wrong": wrong}
    return frame.page(request, "access_roles.html", who, status=status, **shown)
