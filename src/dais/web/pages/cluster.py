"""The machines: resource groups, their nodes and what is free on them; one group; attaching another."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import attach_group, change_group, check_engine, detach_group
from dais.compute import DEFAULT_GROUP, get_group, list_groups, list_nodes
from dais.identity import Actor, may, require, resource_at
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting
from dais.wire import answers
from dais.wire.groups import EngineCheck, Group, GroupChange, NewGroup


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows: groups with the nodes that the reader may see."""

    groups: list[Group]
    nodes: dict[str, list[answers.Node]]
    attaches: bool


class OneGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a group shows, and what its reader may do with it."""

    group: Group
    nodes: list[answers.Node]
    can: frozenset[str]


class Attaching(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a new group, as it was filled in."""

    engine: str = ""
    name: str = ""
    default_image: str = ""
    options: str = ""

    @property
    def line(self) -> str:
        """The same from a terminal."""
        words = ["dais", "attach", self.engine or "docker"]
        words += ["--name", self.name] if self.name else []
        words += ["--default-image", self.default_image] if self.default_image else []
        for option in self.options.split("\n"):
            words += ["--option", option.strip()] if option.strip() else []
        return shlex.join(words)

    def wanted(self) -> NewGroup:
        """What is asked for. Raises Invalid `bad-option`."""
        return NewGroup(
            engine=self.engine,
            name=self.name or None,
            options=_options(self.options),
            default_image=self.default_image or None,
        )


async def show_cluster(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    cluster: Cluster = await frame.services.db.read(_cluster, who.actor)
    return frame.page(request, "cluster.html", who, cluster=cluster)


async def show_group(request: Request, frame: Frame) -> Response:
    return await _group_again(request, frame, await visitor(request, frame.services))


async def ask_new(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    await frame.services.db.read(require, who.actor, "group:new")
    engine = next(iter(sorted(frame.services.compute.kinds)), "")
    return _form(request, frame, who, Attaching(engine=engine))


async def attach(request: Request, frame: Frame) -> Response:
    """Check what was filled in, or attach it; what is missing is shown on the form."""
    who, form = await acting(request, frame)
    filled = Attaching(**{name: form.get(name, "") for name in Attaching.__struct_fields__})
    try:
        checked = await check_engine(frame.services, who.actor, filled.wanted())
        only_check = form.get("do") == "check"
        if only_check or not checked.sound:
            return _form(request, frame, who, filled, checked=checked, status=200 if only_check else 400)
        made = await attach_group(frame.services, who.actor, filled.wanted())
    except Forbidden:
        raise
    except DaisError as error:
        return _form(request, frame, who, filled, wrong=error, status=400)
    return see_other(f"/cluster/groups/{made.name}")


async def change(request: Request, frame: Frame) -> Response:
    """Set what jobs start from that name no image, and the engine's options."""
    who, form = await acting(request, frame)
    name = str(request.path_params["name"])
    try:
        options = await _changed_options(frame, who, name, form) if "options" in form else None
        wanted = GroupChange(default_image=form.get("default_image"), options=options)
        await change_group(frame.services, who.actor, name, wanted)
    except DaisError as error:
        return await _group_again(request, frame, who, error.message, options=form.get("options"))
    return see_other(f"/cluster/groups/{name}")


async def detach(request: Request, frame: Frame) -> Response:
    """Detach a group whose name was typed to confirm it."""
    who, form = await acting(request, frame)
    name = str(request.path_params["name"])
    try:
        if form.get("confirm", "") != name:
            await frame.services.db.read(get_group, who.actor, name)
            raise Invalid(f"type {name} to detach the group", code="not-confirmed")
        await detach_group(frame.services, who.actor, name, lost=form.get("lost") == "yes")
    except DaisError as error:
        return await _group_again(request, frame, who, error.message)
    return see_other("/cluster")


async def _changed_options(frame: Frame, who: Visitor, name: str, form: Mapping[str, str]) -> dict[str, str | None]:
    """Options that are not written any more are as by default again."""
    group: Group = await frame.services.db.read(get_group, who.actor, name)
    before = dict.fromkeys(group.options or {})
    return {**before, **_options(form["options"])}


def _options(text: str) -> dict[str, str]:
    """Lines of NAME=VALUE. Raises Invalid `bad-option`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise Invalid(f"an option is NAME=VALUE, not {line.strip()!r}", code="bad-option")
        found[name.strip()] = value.strip()
    return found


def _cluster(uow: UnitOfWork, actor: Actor) -> Cluster:
    nodes: dict[str, list[answers.Node]] = {}
    for node in _nodes(uow, actor):
        nodes.setdefault(node.group, []).append(node)
    try:
        groups = list_groups(uow, actor)
    except Forbidden:
        groups = []
    return Cluster(groups=groups, nodes=nodes, attaches=may(uow, actor, "group:new", resource_at(uow, "group")))


def _nodes(uow: UnitOfWork, actor: Actor) -> list[answers.Node]:
    """The nodes that the actor may see, which may be none."""
    try:
        return list_nodes(uow, actor)
    except Forbidden:
        return []


def _one(uow: UnitOfWork, actor: Actor, name: str) -> OneGroup:
    group = get_group(uow, actor, name)
    acts = ("group:set", "group:rm") if name != DEFAULT_GROUP else ()
    can = frozenset(act for act in acts if may(uow, actor, act, resource_at(uow, "group", name)))
    return OneGroup(group=group, nodes=[node for node in _nodes(uow, actor) if node.group == name], can=can)


async def _group_again(
    request: Request, frame: Frame, who: Visitor, wrong: str = "", *, options: str | None = None
) -> Response:
    known: OneGroup = await frame.services.db.read(_one, who.actor, str(request.path_params["name"]))
    if options is None:
        options = "\n".join(f"{name}={_text(value)}" for name, value in (known.group.options or {}).items())
    status = 400 if wrong else 200
    return frame.page(request, "group.html", who, known=known, wrong=wrong, options=options, status=status)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _form(
    request: Request,
    frame: Frame,
    who: Visitor,
    filled: Attaching,
    *,
    checked: EngineCheck | None = None,
    wrong: DaisError | None = None,
    status: int = 200,
) -> Response:
    fields = {"bad-name": "name", "already-exists": "name", "no-such-engine": "engine", "bad-option": "options"}
    at = fields.get(wrong.code, "form") if wrong is not None else ""
    return frame.page(
        request,
        "attach.html",
        who,
        status=status,
        engines=sorted(frame.services.compute.kinds),
        filled=filled,
        checked=checked,
        wrong={at: wrong.message} if wrong is not None else {},
    )
