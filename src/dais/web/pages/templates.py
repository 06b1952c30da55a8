"""Templates of jobs: the list, and one with the picture of what every allocation takes and costs."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.compute import (
    ProvisioningSettings,
    get_job,
    get_template,
    list_templates,
    predict,
    submit_provisioned,
)
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid, Unauthenticated
from dais.kit.ids import new_id
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import check_form_token, read_form, visitor
from dais.web.pages.folders import account_of
from dais.web.scatter import BOX, scatter
from dais.wire.answers import JobDetail
from dais.wire.templates import Prediction, ProvisionedJob, TemplateDetail, Wish
from dais.wire.units import parse_duration

PAGE = 100
"""Rows of one page."""


async def show_templates(request: Request, frame: Frame) -> Response:
    """The templates of an account, or of all."""
    who = await visitor(request, frame.services)
    account, cursor = account_of(request), request.query_params.get("cursor") or None
    found = await frame.services.db.read(
        list_templates, who.actor, _prices(frame), account=account or None, limit=PAGE, cursor=cursor
    )
    older = f"{request.url.path}?{urlencode({'cursor': found.cursor})}" if found.cursor else ""
    return frame.page(
        request, "templates.html", who, account=account, found=found.items, older=older, first=bool(cursor)
    )


async def show_template(request: Request, frame: Frame) -> Response:
    """A template: its form for a prediction, the picture, its runs and its jobs."""
    who = await visitor(request, frame.services)
    ref, account = str(request.path_params["ref"]), account_of(request)
    given = {name: text for name, text in request.query_params.items() if text}

    def read(uow: UnitOfWork, actor: Actor) -> tuple[TemplateDetail, Prediction | None, str]:
        where = resolve_account(uow, actor, account or None)
        found = get_template(uow, actor, _prices(frame), ref, account=where.id)
        if found.state != "ready":
            return found, None, ""
        try:
            return found, predict(uow, actor, _prices(frame), found.id, _wish(found, given)), ""
        except (Forbidden, Unauthenticated):
            raise
        except (DaisError, ValueError) as error:
            return found, None, str(error)

    found, said, problem = await frame.services.db.read(read, who.actor)
    return frame.page(
        request,
        "template.html",
        who,
        account=found.account,
        base=f"{view.place(found.account)}/templates",
        jobs=f"{view.place(found.account)}/jobs",
        found=found,
        said=said,
        problem=problem,
        given=given,
        values={option.name: given.get(f"o.{option.name}", option.values[-1]) for option in found.options},
        picture=scatter(said) if said else None,
        box=BOX,
        key=new_id(),
        line=_line(found, said, given),
    )


async def submit(request: Request, frame: Frame) -> Response:
    """Submit the template's job with the allocation that is best by now for what the form says, and show it."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    ref, account = str(request.path_params["ref"]), account_of(request)
    given = {name: text for name, text in form.items() if text}
    services, settings = frame.services, frame.services.compute.settings
    services.limits.submit(who.actor.id)

    def verb(uow: UnitOfWork) -> JobDetail:
        where = resolve_account(uow, who.actor, account or None)
        found = get_template(uow, who.actor, _prices(frame), ref, account=where.id)
        wish = ProvisionedJob(**msgspec.structs.asdict(_wish(found, given)))
        key = given.get("key", "")[:64] or None
        made = submit_provisioned(uow, who.actor, settings, _prices(frame), found.id, wish, key=key)
        return get_job(uow, who.actor, made.job_id)

    job: JobDetail = await services.db.write(verb)
    return see_other(view.address(job))


def _wish(found: TemplateDetail, given: dict[str, str]) -> Wish:
    """What the form asks for; without a word about an option, its last value."""
    try:
        cost = float(given["max_cost"]) if "max_cost" in given else None
    except ValueError as error:
        raise Invalid(f"the highest cost is {given['max_cost'][:40]!r}; write a number", code="bad-cap") from error
    return Wish(
        parameters={option.name: given.get(f"o.{option.name}", option.values[-1]) for option in found.options},
        max_time=float(parse_duration(given["max_time"], "the longest time")) if "max_time" in given else None,
        max_cost=cost,
        optimize="time" if given.get("optimize") == "time" else "cost",
    )


def _line(found: TemplateDetail, said: Prediction | None, given: dict[str, str]) -> str:
    """The command that runs what is shown; without a prediction, the one that shows it."""
    if said is None:
        return shlex.join(["dais", "template", "show", "--account", found.account, found.name])
    words = ["dais", "template", "run", "--account", found.account, found.name]
    words += [f"{name}={value}" for name, value in said.parameters.items()]
    for name in ("max_time", "max_cost"):
        if name in given:
            words += [f"--{name.replace('_', '-')}", given[name]]
    return shlex.join([*words, "--optimize", said.optimize])


def _prices(frame: Frame) -> ProvisioningSettings:
    prices: Any = frame.services.settings.get("provisioning")
    return prices or ProvisioningSettings()
