"""Registries: the list with what organizations may use, and one with its credentials. For administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import check_registry, rescan_registry
from dais.compute import RegistryChange, get_allowed, list_registries, remove_registry, set_allowed, set_registry
from dais.identity import Actor, list_organizations, may, resource_at
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid, NotFound
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, check_form_token, read_form, visitor
from dais.web.pages.access.shared import acting
from dais.web.pages.images import container_groups, status_of
from dais.wire import answers

MOST_SHOWN = 100
"""Organizations whose own lists the page shows; the others are set from a terminal."""


class Registries(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows; `organizations` are names by id, `changes` whether the reader may change any of it."""

    registries: list[answers.Registry]
    organizations: dict[str, str]
    allowed: list[answers.AllowedRegistries]
    changes: bool


class OneRegistry(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a registry shows; `stores` are groups whose catalogue it can fill."""

    registry: answers.Registry
    organization: str
    stores: list[str]
    changes: bool


async def show_registries(request: Request, frame: Frame) -> Response:
    return await _list(request, frame, await visitor(request, frame.services), {})


async def make(request: Request, frame: Frame) -> Response:
    """Register one."""
    who, form = await _sent(request, frame)
    change = _change(form, password=form.get("password") or None)
    try:
        host = form.get("host", "").strip()
        made: answers.Registry = await frame.services.db.write(
            set_registry, who.actor, frame.services.vault, host, change, new=True
        )
    except DaisError as error:
        at = {"bad-registry": "host", "already-exists": "host", "no-password": "password"}.get(error.code, "form")
        return await _list(request, frame, who, form, {at: error.message})
    return see_other(f"/registries/{quote(made.host, safe='')}")


async def allow(request: Request, frame: Frame) -> Response:
    """Give an organization a list of its own, or take it away."""
    who, form = await acting(request, frame)
    name = form.get("organization", "")
    try:
        await frame.services.db.write(set_allowed, who.actor, name, form.get(f"hosts-{name}", "").split())
    except DaisError as error:
        return await _list(request, frame, who, {}, {f"hosts-{name}": error.message})
    return see_other("/registries")


async def show_registry(request: Request, frame: Frame) -> Response:
    return await _again(request, frame, await visitor(request, frame.services))


async def change(request: Request, frame: Frame) -> Response:
    """Set what it speaks, and its credentials."""
    who, form = await _sent(request, frame)
    wanted = _change(form, password=form.get("password") or None)
    try:
        await frame.services.db.write(set_registry, who.actor, frame.services.vault, _host(request), wanted, new=False)
    except DaisError as error:
        return await _again(request, frame, who, error)
    return see_other(f"/registries/{quote(_host(request), safe='')}")


async def test(request: Request, frame: Frame) -> Response:
    """Ask it whether it lets us in."""
    who, _ = await acting(request, frame)
    try:
        found = await check_registry(frame.services, who.actor, _host(request))
    except DaisError as error:
        return await _again(request, frame, who, error)
    return await _again(request, frame, who, told=f"It answers, and lets in {found.username or 'everybody'}.")


async def rescan(request: Request, frame: Frame) -> Response:
    """Enter what it has into the catalogue of a group."""
    who, form = await acting(request, frame)
    try:
        match = form.get("match", "")
        found = await rescan_registry(frame.services, who.actor, _host(request), form.get("group") or None, match)
    except DaisError as error:
        return await _again(request, frame, who, error)
    gone = f" Gone from it: {', '.join(found.gone)}." if found.gone else ""
    return await _again(request, frame, who, told=f"{len(found.new)} new images, {found.seen} known ones.{gone}")


async def remove(request: Request, frame: Frame) -> Response:
    """Forget a registry whose host was typed to confirm it."""
    who, form = await acting(request, frame)
    try:
        if form.get("confirm", "") != _host(request):
            await frame.services.db.read(_one, who.actor, _host(request))
            raise Invalid(f"type {_host(request)} to forget the registry", code="not-confirmed")
        await frame.services.db.write(remove_registry, who.actor, _host(request))
    except DaisError as error:
        return await _again(request, frame, who, error)
    return see_other("/registries")


async def _sent(request: Request, frame: Frame) -> tuple[Visitor, dict[str, str]]:
    """A form with a password, which is taken as it is."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    return who, form


def _change(form: Mapping[str, str], *, password: str | None) -> RegistryChange:
    kind = "harbor" if form.get("kind") == "harbor" else "docker-v2"
    return RegistryChange(
        kind=cast(Literal["docker-v2", "harbor"], kind),
        insecure=form.get("insecure") == "yes",
        username=form.get("username", "").strip(),
        password=password if form.get("username", "").strip() else None,
        organization=form.get("organization"),
    )


def _host(request: Request) -> str:
    return str(request.path_params["host"])


def _changes(uow: UnitOfWork, actor: Actor) -> bool:
    return may(uow, actor, "installation:set", resource_at(uow, "installation"))


def _registries(uow: UnitOfWork, actor: Actor) -> Registries:
    found = list_registries(uow, actor)
    organizations = list_organizations(uow, actor, limit=MOST_SHOWN).items
    return Registries(
        registries=found,
        organizations={one.id: one.name for one in organizations},
        allowed=[get_allowed(uow, actor, one.name) for one in organizations] if _changes(uow, actor) else [],
        changes=_changes(uow, actor),
    )


def _one(uow: UnitOfWork, actor: Actor, host: str) -> OneRegistry:
    known = _registries(uow, actor)
    found = next((one for one in known.registries if one.host == host), None)
    if found is None:
        raise NotFound(f"there is no registry {host[:120]}", code="no-such-registry", name=host[:120])
    return OneRegistry(
        registry=found,
        organization=known.organizations.get(found.organization_id or "", found.organization_id or ""),
        stores=container_groups(uow, actor),
        changes=known.changes,
    )


async def _list(
    request: Request, frame: Frame, who: Visitor, form: Mapping[str, str], wrong: Mapping[str, str] | None = None
) -> Response:
    known: Registries = await frame.services.db.read(_registries, who.actor)
    status = 400 if wrong else 200
    return frame.page(request, "registries.html", who, known=known, form=form, wrong=wrong or {}, status=status)


async def _again(
    request: Request, frame: Frame, who: Visitor, wrong: DaisError | None = None, *, told: str = ""
) -> Response:
    known: OneRegistry = await frame.services.db.read(_one, who.actor, _host(request))
    words = wrong.message if wrong is not None else ""
    return frame.page(request, "registry.html", who, known=known, wrong=words, told=told, status=status_of(wrong))
