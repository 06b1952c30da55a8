"""Images: the catalogue, one image with what can be done with it, and putting one into the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import (
    add_root_image,
    attachment,
    describe,
    forget_container_image,
    import_image,
    pull_image,
    remove_root_image,
    rescan_group,
)
from dais.compute import (
    DEFAULT_GROUP,
    IMAGE,
    add_container_image,
    get_image,
    image_log,
    is_root_group,
    list_groups,
    list_images,
    list_nodes,
    remove_alias,
    resource_of_image,
    see_image,
    set_alias,
    source_image,
    store_group,
)
from dais.identity import Actor, may, resource_at
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid
from dais.provenance import Described
from dais.web.ansi import plain_text, visible
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting
from dais.web.pages.meta import described
from dais.web.places import image_address
from dais.wire import answers

PAGE = 100
"""Images on one page."""
STATES = ("there", "missing", "pulling", "building", "failed")
CONTAINER_ENGINES = ("docker", "podman", "container")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which images the address asks for. `after` is the last one of the page before."""

    text: str = ""
    group: str = ""
    state: str = ""
    whose: str = ""
    after: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted:
        """Read from a query; what is not there or empty is as always."""
        return cls(**{name: value for name in cls.__struct_fields__ if (value := query.get(name, "").strip())})

    @property
    def filtered(self) -> bool:
        return bool(self.text or self.group or self.state or self.whose)

    def address(self, **changes: str) -> str:
        """The page's address, with some of it changed."""
        values = {name: value for name, value in (msgspec.structs.asdict(self) | changes).items() if value}
        return f"/images?{urlencode(values)}" if values else "/images"

    def fits(self, image: answers.Image) -> bool:
        """Whether an image is asked for: `text` is any part of its name, reference, alias or label."""
        known = [image.name, image.reference or "", *image.aliases, *image.labels]
        return (
            (not self.text or any(self.text.lower() in one.lower() for one in known))
            and self.group in ("", image.group)
            and self.state in ("", image.state)
            and self.whose in ("", image.account or "installation")
        )


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows. `older` is where the next page begins; `stores` are groups that can be looked into."""

    images: list[answers.Image]
    older: str
    groups: list[str]
    accounts: list[str]
    stores: list[str]
    makes: bool


class OneImage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of an image shows, and what its reader may do with it."""

    image: answers.Image
    nodes: list[answers.Node]
    can: frozenset[str]
    meta: Described | None = None
    tags: bool = False
    """Whether the reader may set tags and key-values."""
    log: str = ""
    next: int = 0

    @property
    def busy(self) -> bool:
        return self.image.state in ("pulling", "building")


async def show_images(request: Request, frame: Frame) -> Response:
    return await _list(request, frame, await visitor(request, frame.services))


async def rescan(request: Request, frame: Frame) -> Response:
    """Look what the store of a group's engine has."""
    who, form = await acting(request, frame)
    try:
        found = await rescan_group(frame.services, who.actor, form.get("group") or None)
    except Forbidden:
        raise
    except DaisError as error:
        return await _list(request, frame, who, error)
    told = f"{len(found.new)} new, {found.seen} seen again, {len(found.gone)} gone"
    return await _list(request, frame, who, told=f"The store was looked into: {told}.")


async def show_image(request: Request, frame: Frame) -> Response:
    return await _again(request, frame, await visitor(request, frame.services))


async def show_log(request: Request, frame: Frame) -> Response:
    """What a build printed, as a file."""
    who = await visitor(request, frame.services)
    group, name = _place(request)
    found: answers.ImageLog = await frame.services.db.read(image_log, who.actor, group, None, name, 0)
    headers = {"content-disposition": attachment(f"{name}.log").decode(), "cache-control": "no-store"}
    return Response(found.text, 200, headers, "text/plain; charset=utf-8")


async def pull(request: Request, frame: Frame) -> Response:
    """Begin to fetch it to the nodes of its group."""
    who, _ = await acting(request, frame)
    group, name = _place(request)
    try:
        image = await pull_image(frame.services, who.actor, group, None, name)
    except DaisError as error:
        return await _again(request, frame, who, error)
    return see_other(image_address(image))


async def alias(request: Request, frame: Frame) -> Response:
    """Give it another name, or take one away."""
    who, form = await acting(request, frame)
    group, name = _place(request)
    verb, other = (remove_alias, form["remove"]) if form.get("remove") else (set_alias, form.get("alias", ""))
    try:
        where = await frame.services.db.read(store_group, group)
        image = await frame.services.db.write(verb, who.actor, where, None, name, other)
    except DaisError as error:
        return await _again(request, frame, who, error)
    return see_other(image_address(image))


async def relabel(request: Request, frame: Frame) -> Response:
    """Begin to make an image of the same layers with more labels."""
    who, form = await acting(request, frame)
    group, name = _place(request)
    try:
        labels = pairs(form.get("labels", ""), "a label")
        source = (group, None, name)
        account = form.get("account") or None
        image = await import_image(frame.services, who.actor, source, form.get("name", ""), labels, account=account)
    except DaisError as error:
        return await _again(request, frame, who, error, form)
    return see_other(image_address(image))


async def remove(request: Request, frame: Frame) -> Response:
    """Forget an image whose name was typed to confirm it."""
    who, form = await acting(request, frame)
    group, name = _place(request)
    try:
        known: OneImage = await frame.services.db.read(one_image, who.actor, group, name)
        if form.get("confirm", "") != known.image.name:
            raise Invalid(f"type {known.image.name} to forget the image", code="not-confirmed")
        if known.image.kind == "root":
            await remove_root_image(frame.services, who.actor, known.image.group, known.image.name)
        else:
            store = form.get("from_store") == "yes"
            await forget_container_image(frame.services, who.actor, group, None, name, from_store=store)
    except DaisError as error:
        return await _again(request, frame, who, error)
    return see_other("/images")


async def ask_new(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    return await _new_form(request, frame, who, {})


async def make(request: Request, frame: Frame) -> Response:
    """Put a reference or a root directory into the catalogue; nothing is fetched."""
    who, form = await acting(request, frame)
    what, name = form.get("what", ""), form.get("name", "")
    group = form.get("group") or None
    try:
        if what.startswith("/") or "://" in what:
            image = await add_root_image(frame.services, who.actor, group or DEFAULT_GROUP, name, what)
        else:
            where = await frame.services.db.read(store_group, group)
            image = await frame.services.db.write(
                add_container_image,
                who.actor,
                where,
                what,
                name=name or None,
                account=form.get("account") or None,
                installation=form.get("account") == "",
            )
    except DaisError as error:
        return await _new_form(request, frame, who, form, error)
    return see_other(image_address(image))


def status_of(wrong: DaisError | None) -> int:
    """With what a form is shown again."""
    return 200 if wrong is None else describe(wrong)[0].status


def pairs(text: str, what: str) -> dict[str, str]:
    """Lines of NAME=VALUE. Raises Invalid `bad-label`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if line.strip() and not equals:
            raise Invalid(f"{what} is NAME=VALUE, not {line.strip()[:80]!r}", code="bad-label")
        if line.strip():
            found[name.strip()] = value.strip()
    return found


def read_images(uow: UnitOfWork, actor: Actor, wanted: Wanted) -> Catalogue:
    """The images of one page of the list. Raises Forbidden."""
    everything = list_images(uow, actor)
    fitting = [image for image in everything if wanted.fits(image)]
    keys = [image.urn for image in fitting]
    start = keys.index(wanted.after) + 1 if wanted.after in keys else 0
    shown = fitting[start : start + PAGE]
    stores = container_groups(uow, actor)
    return Catalogue(
        images=shown,
        older=shown[-1].urn if len(fitting) > start + PAGE else "",
        groups=sorted({image.group for image in everything} | set(stores)),
        accounts=sorted({image.account for image in everything if image.account}),
        stores=[name for name in stores if may(uow, actor, "image:new", resource_at(uow, "image", f"{name}/"))],
        makes=may(uow, actor, "image:new", resource_at(uow, "image", account_id=actor.account_id, new=True)),
    )


def container_groups(uow: UnitOfWork, actor: Actor) -> list[str]:
    """The groups that the reader may see whose engine keeps images."""
    try:
        return [group.name for group in list_groups(uow, actor) if group.engine in CONTAINER_ENGINES]
    except Forbidden:
        return []


def one_image(uow: UnitOfWork, actor: Actor, group: str | None, name: str, log_from: int = 0) -> OneImage:
    """An image, the nodes of its group, and what can be done with it. Raises NotFound, Forbidden."""
    if is_root_group(uow, group, name):
        image = get_image(uow, actor, group or DEFAULT_GROUP, name)
        place = resource_at(uow, "image", f"{image.group}/{image.name}")
        acts: tuple[str, ...] = ("image:rm",)
        log = None
    else:
        image = see_image(uow, actor, group, None, name)
        place = resource_of_image(uow, source_image(uow, actor, group, None, name))
        acts = ("image:set", "image:rm")
        log = image_log(uow, actor, image.group, None, image.id or name, log_from) if image.origin == "build" else None
    can = {act for act in acts if may(uow, actor, act, place)}
    if image.kind == "container" and may(
        uow, actor, "image:new", resource_at(uow, "image", account_id=actor.account_id, new=True)
    ):
        can.add("image:new")
    try:
        nodes = [node for node in list_nodes(uow, actor) if node.group == image.group]
    except Forbidden:
        nodes = []
    text = "\n".join(plain_text(line) for line in log.text.split("\n")) if log else ""
    return OneImage(
        image=image,
        nodes=nodes,
        can=frozenset(can),
        meta=described(uow, actor, IMAGE, image.id or f"{image.group}/{image.name}"),
        tags=may(uow, actor, "image:set", place),
        log=visible(text),
        next=log.next if log else 0,
    )


def image_parts(frame: Frame, known: OneImage) -> dict[str, str]:
    """The pieces of an image's page that change while it is open, by the id of their element."""
    now = frame.services.clock.now()
    return {name: frame.part("image_parts.html", name, known, now) for name in ("standing", "facts", "where")}


def _place(request: Request) -> tuple[str | None, str]:
    return request.query_params.get("group", "").strip() or None, str(request.path_params["name"])


async def _again(
    request: Request,
    frame: Frame,
    who: Visitor,
    wrong: DaisError | None = None,
    filled: Mapping[str, str] | None = None,
) -> Response:
    group, name = _place(request)
    known: OneImage = await frame.services.db.read(one_image, who.actor, group, name)
    return frame.page(
        request,
        "image.html",
        who,
        known=known,
        filled=filled or {},
        wrong=wrong.message if wrong is not None else "",
        status=status_of(wrong),
    )


async def _list(
    request: Request, frame: Frame, who: Visitor, wrong: DaisError | None = None, *, told: str = ""
) -> Response:
    wanted = Wanted.of(request.query_params)
    found: Catalogue = await frame.services.db.read(read_images, who.actor, wanted)
    return frame.page(
        request,
        "images.html",
        who,
        catalogue=found,
        wanted=wanted,
        states=STATES,
        wrong=wrong.message if wrong is not None else "",
        told=told,
        status=status_of(wrong),
    )


class Making(msgspec.Struct, frozen=True, kw_only=True):
    """Where the reader may make images: groups with a store, those of root directories, and for everybody or not."""

    stores: list[str]
    roots: list[str]
    whole: bool


def making(uow: UnitOfWork, actor: Actor) -> Making:
    """Read what the forms of new images offer."""
    stores = container_groups(uow, actor)
    whole = may(uow, actor, "image:new", resource_at(uow, "image"))
    roots = [group.name for group in list_groups(uow, actor) if group.engine == "local"] if whole else []
    return Making(stores=stores, roots=roots, whole=whole)


async def _new_form(
    request: Request, frame: Frame, who: Visitor, form: Mapping[str, str], wrong: DaisError | None = None
) -> Response:
    made: Making = await frame.services.db.read(making, who.actor)
    at = {"bad-name": "name", "already-exists": "name", "bad-image": "what", "bad-root": "what"}
    field = at.get(wrong.code, "form") if wrong is not None else ""
    return frame.page(
        request,
        "image_new.html",
        who,
        making=made,
        form=form,
        wrong={field: wrong.message} if wrong is not None else {},
        status=status_of(wrong),
    )
