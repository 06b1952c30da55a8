"""Reading images."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, literal, select

from dais.compute.images.catalogue import keeps_images, list_container_images
from dais.compute.images.resolving import resolve_image
from dais.compute.images.tables import images
from dais.identity import (
    INSTALLATION,
    Actor,
    conditions,
    listed,
    may,
    require,
    resolve_account,
    resource_at,
    urn,
    user_names,
    visible,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.wire import answers
from dais.wire.spec import JobSpec

MOST = 1_000
"""Images of one installation."""

_one = Statement(select(images).where(images.c.group_name == bindparam("group"), images.c.name == bindparam("name")))
_names = Statement(
    select(images.c.name).where(images.c.group_name == bindparam("group")).order_by(images.c.name).limit(MOST)
)


@functools.cache
def _all(shape: frozenset[str]) -> Statement:
    """Every image that the conditions of this shape let through."""
    whole = literal(INSTALLATION)
    seen = conditions(shape, "image", id=images.c.group_name.concat("/").concat(images.c.name), organization=whole)
    return Statement(select(images).where(*seen).order_by(images.c.group_name, images.c.name).limit(MOST))


def image_id(group: str, name: str) -> str:
    """What an image is called in policies."""
    return f"{group}/{name}"


def list_images(uow: UnitOfWork, actor: Actor) -> list[answers.Image]:
    """The registered images that the actor may see. Where they lie, is shown to who may look into the installation."""
    own = visible(uow, actor, "image:list")
    seen = (
        visible(uow, actor, "image:list", holder=None)
        if not own.nothing
        else listed(uow, actor, "image:list", holder=None)
    )
    rows = [] if seen.nothing else uow.all(_all(seen.shape), **seen.values)
    names = user_names(uow, {row.created_by for row in rows})
    with_path = _shows_paths(uow, actor)
    roots = [_answer(row, names.get(row.created_by, ""), with_path) for row in rows]
    return [*roots, *list_container_images(uow, actor)]


def get_image(uow: UnitOfWork, actor: Actor, group: str, name: str) -> answers.Image:
    """One image. Raises NotFound `no-such-image`, also for one that the actor may not see."""
    row = image_row(uow, actor, group, name)
    return _answer(row, user_names(uow, {row.created_by}).get(row.created_by, ""), _shows_paths(uow, actor))


def image_row(uow: UnitOfWork, actor: Actor, group: str, name: str, action: str = "image:get") -> Row:
    """The row of an image with which the actor may do `action`. Raises NotFound `no-such-image`, Forbidden."""
    hidden = functools.partial(_no_such_image, group, name)
    row = uow.one(_one, group=group, name=name)
    if row is None:
        raise hidden()
    require(uow, actor, action, resource_id=image_id(group, name), hidden=hidden)
    return row


def _no_such_image(group: str, name: str) -> NotFound:
    return NotFound(
        f"there is no image {name!r} in group {group}; `dais image ls` lists them", code="no-such-image", name=name
    )


def _shows_paths(uow: UnitOfWork, actor: Actor) -> bool:
    return may(uow, actor, "installation:get", resource_at(uow, "installation"))


def image_names(uow: UnitOfWork, group: str) -> list[str]:
    """The names of a group's images."""
    return [row.name for row in uow.all(_names, group=group)]


def check_image(uow: UnitOfWork, actor: Actor, spec: JobSpec, group: Row, nodes: Sequence[Row]) -> tuple[str, ...]:
    """Refuse an image that is not known or cannot be used here; what the job's owner should know of a good one."""
    if keeps_images(group):
        return resolve_image(uow, actor, spec, group, resolve_account(uow, actor, spec.account)).warnings
    if spec.image is None or spec.image == group.default_image:
        return ()
    found = uow.one(_one, group=group.name, name=spec.image)
    if found is None or not _sees(uow, actor, group.name, spec.image):
        names = [name for name in image_names(uow, group.name) if _sees(uow, actor, group.name, name)]
        known = ", ".join([group.default_image, *names[:20]])
        raise Invalid(
            f"there is no image {spec.image!r} in group {group.name}; there are: {known}. An administrator registers "
            "others: dais image add NAME DIRECTORY",
            code="no-such-image",
        )
    for node in nodes:
        if msgspec.json.decode(node.isolation).get("mode", "sandbox") != "sandbox":
            raise Invalid(
                f"image {spec.image!r} needs a sandbox, which {node.name} cannot make; leave the image out",
                code="image-needs-sandbox",
            )
    if found.python is None and spec.requirements:
        raise Invalid(
            f"{spec.requirements} cannot be installed for image {spec.image!r}: no Python was found in it. Put one "
            f"there and register it anew, or use the image {group.default_image!r}",
            code="requirements-with-image",
        )
    if found.python is None and spec.source is not None and spec.requirements is None:
        return (f"requirements files are not installed with image {spec.image!r}: it has no Python",)
    return ()


def _sees(uow: UnitOfWork, actor: Actor, group: str, name: str) -> bool:
    return may(uow, actor, "image:get", resource_at(uow, "image", image_id(group, name)))


def _answer(row: Row, registered_by: str, with_path: bool) -> answers.Image:
    return answers.Image(
        name=row.name,
        urn=urn(INSTALLATION, None, "image", image_id(row.group_name, row.name)),
        group=row.group_name,
        path=row.path if with_path else None,
        system=row.system,
        python=row.python,
        size=row.size,
        registered_by=registered_by,
        created_at=to_rfc3339(row.created_at),
    )
