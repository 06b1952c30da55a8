"""The submit form: empty or filled from an earlier job, checked while one types, with what a terminal would be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import check_job, make_job
from dais.compute import get_job, list_groups, list_nodes, list_secrets
from dais.data import list_folders
from dais.identity import Actor, get_account, list_accounts
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, NotFound
from dais.kit.ids import new_id
from dais.web import view
from dais.web.frame import Frame, answer_json, see_other
from dais.web.guard import FORM_HEADER, Visitor, check_form_token, check_origin, read_fields, visitor
from dais.web.job_form import JobForm, MountRow, PairRow, field_of, form_from, form_of, read_form
from dais.wire import answers
from dais.wire.line import submit_line
from dais.wire.spec import JobSpec
from dais.wire.units import short_size

MAX_FORM = 4 << 20
"""Bytes of the form: a script may have as many as a command."""
MAX_FIELDS = 2_000
OFFERED = 500
"""Folders, accounts and secrets that fields offer while one types; others are written out."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the form means now: the line and the YAML, what is wrong by field, what should be known."""

    line: list[str] = []
    """The words of the command line, each as it is quoted for a shell."""
    yaml: str = ""
    words: list[str] = []
    room: dict[str, str] = {}
    wrong: dict[str, str] = {}
    warnings: list[str] = []
    note: str = ""


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """What the fields offer."""

    own: str
    accounts: list[str]
    folders: list[str]
    secrets: list[str]
    nodes: list[answers.Node]
    groups: list[str]


async def show_form(request: Request, frame: Frame) -> Response:
    """The form; with `?from=JOB` as that job was submitted."""
    who = await visitor(request, frame.services)
    earlier = request.query_params.get("from", "").strip()
    account = request.query_params.get("account", "").strip()
    if earlier:
        job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, earlier)
        form = form_from(msgspec.structs.replace(job.spec, account=job.spec.account or job.account))
        return await _page(request, frame, who, form, await _judge(frame, who, form), origin=job)
    group = request.query_params.get("group", "").strip()
    image = request.query_params.get("image", "").strip()
    given = (("account", account), ("group", group), ("image", image))
    form = JobForm(texts={name: text for name, text in given if text})
    return await _page(request, frame, who, form, Verdict())


async def submit(request: Request, frame: Frame) -> Response:
    """Submit what the form says; or show it again with more rows, or checked."""
    who, fields = await _sent(request, frame)
    form = form_of(fields)
    act, key = _one(fields, "do"), _one(fields, "key")[:64]
    verdict = await _judge(frame, who, form)
    if act in ("more", "check"):
        return await _page(request, frame, who, form, verdict, key=key, spare=2 if act == "more" else 1)
    spec = read_form(form).spec
    if spec is None or verdict.wrong:
        return await _page(request, frame, who, form, verdict, key=key, status=400)
    try:
        job = await make_job(frame.services, who.actor, spec, key or None)
    except Conflict as error:
        if error.code != "idempotency-key-reused":
            return await _refused(request, frame, who, form, verdict, key, error)
        again = DaisError(
            f"this form was submitted already, as job {error.fields.get('job')}; submit again to make another job",
            code="submitted-already",
        )
        return await _refused(request, frame, who, form, verdict, "", again)
    except DaisError as error:
        return await _refused(request, frame, who, form, verdict, key, error)
    return see_other(view.address(job))


async def check(request: Request, frame: Frame) -> Response:
    """What the form means now, for a page that asks while one types."""
    check_origin(request)
    who = await visitor(request, frame.services)
    check_form_token(who, {"token": request.headers.get(FORM_HEADER, "")})
    form = form_of(await read_fields(request, MAX_FORM, MAX_FIELDS))
    nodes = await frame.services.db.read(_nodes, who.actor)
    verdict = await _judge(frame, who, form)
    return answer_json(msgspec.structs.replace(verdict, room=room(nodes, form.text("group"))))


async def _sent(request: Request, frame: Frame) -> tuple[Visitor, Mapping[str, Sequence[str]]]:
    fields = await read_fields(request, MAX_FORM, MAX_FIELDS)
    who = await visitor(request, frame.services)
    check_form_token(who, {"token": _one(fields, "token")})
    return who, fields


async def _judge(frame: Frame, who: Visitor, form: JobForm) -> Verdict:
    read = read_form(form)
    if read.spec is None:
        return Verdict(wrong=read.wrong, note=read.note)
    spec = read.spec
    verdict = Verdict(
        line=submit_line(spec),
        yaml=view.spec_text(spec),
        words=list(spec.command),
        note=read.note,
    )
    try:
        checked = await check_job(frame.services, who.actor, spec)
        await frame.services.db.read(_check_name, who.actor, spec, checked.account)
    except DaisError as error:
        return msgspec.structs.replace(verdict, wrong={field_of(error, form): error.message})
    return msgspec.structs.replace(verdict, warnings=checked.warnings)


def _check_name(uow: UnitOfWork, actor: Actor, spec: JobSpec, account: str) -> None:
    """Names are taken when a job is made; told before, they need not be found out."""
    if spec.name is None:
        return
    try:
        job = get_job(uow, actor, spec.name, account=account)
    except NotFound:
        return
    if job.alive and job.name == spec.name:
        raise Conflict(
            f"a job named {spec.name!r} is waiting or running in {account}; choose another name", code="already-exists"
        )


async def _refused(
    request: Request, frame: Frame, who: Visitor, form: JobForm, verdict: Verdict, key: str, error: DaisError
) -> Response:
    wrong = {field_of(error, form): error.message}
    return await _page(request, frame, who, form, msgspec.structs.replace(verdict, wrong=wrong), key=key, status=400)


async def _page(
    request: Request,
    frame: Frame,
    who: Visitor,
    form: JobForm,
    verdict: Verdict,
    *,
    key: str = "",
    status: int = 200,
    spare: int = 1,
    origin: answers.JobDetail | None = None,
) -> Response:
    offers: Offers = await frame.services.db.read(_offers, who.actor, form.text("account"))
    return frame.page(
        request,
        "submit.html",
        who,
        status=status,
        account=form.text("account") or None if form.text("account") in offers.accounts else None,
        form=form,
        verdict=verdict,
        offers=offers,
        key=key or new_id(),
        origin=origin,
        room=room(offers.nodes, form.text("group")),
        mounts=[*form.data, *[MountRow()] * spare],
        pairs={kind: [*getattr(form, kind), *[PairRow()] * spare] for kind in ("environment", "secrets", "tags")},
    )


def _offers(uow: UnitOfWork, actor: Actor, account: str) -> Offers:
    accounts = [one.full_name for one in list_accounts(uow, actor, limit=OFFERED).items]
    try:
        where = account or actor.account_id
        secrets = [one.name for one in list_secrets(uow, actor, account=where, limit=OFFERED).items]
    except DaisError:
        secrets = []  # the account is wrong, which its own field says; or they are not for the actor
    try:
        folders = [one.full_name for one in list_folders(uow, actor, limit=OFFERED).items]
    except Forbidden:
        folders = []
    return Offers(
        own=get_account(uow, actor.account_id).full_name,
        accounts=accounts,
        folders=folders,
        secrets=secrets,
        nodes=_nodes(uow, actor),
        groups=_groups(uow, actor),
    )


def _nodes(uow: UnitOfWork, actor: Actor) -> list[answers.Node]:
    """The nodes that the actor may see, which may be none."""
    try:
        return list_nodes(uow, actor)
    except Forbidden:
        return []


def _groups(uow: UnitOfWork, actor: Actor) -> list[str]:
    """The names of the groups that the actor may see, which may be none."""
    try:
        return [group.name for group in list_groups(uow, actor)]
    except Forbidden:
        return []


def room(nodes: Sequence[answers.Node], group: str) -> dict[str, str]:
    """What the largest node of a group (of any, where none is chosen) has of each resource, and how much of it is free
    on one node now."""
    there = [node for node in nodes if group in ("", node.group) and node.state == "UP"]
    if not there:
        return {}

    def words(most: str, free: str) -> str:
        return f"Largest node: {most}. Free now: {free}."

    return {
        "cpu": words(f"{max(node.cpu for node in there):g}", f"{max(node.free_cpu for node in there):g}"),
        "mem": words(*(short_size(max(sizes)) for sizes in zip(*((n.mem, n.free_mem) for n in there), strict=True))),
        "gpu": words(f"{max(node.gpu for node in there)}", f"{max(node.free_gpu for node in there)}"),
    }


def _one(fields: Mapping[str, Sequence[str]], name: str) -> str:
    values: Any = fields.get(name)
    return str(values[-1]) if values else ""
