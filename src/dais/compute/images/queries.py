"""Reading images."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.images.tables import images
from dais.identity import Actor, user_names
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.wire import answers
from dais.wire.spec import JobSpec

MOST = 1_000
"""Images of one installation."""

_all = Statement(select(images).order_by(images.c.group_name, images.c.name).limit(MOST))
_one = Statement(select(images).where(images.c.group_name == bindparam("group"), images.c.name == bindparam("name")))
_names = Statement(
    select(images.c.name).where(images.c.group_name == bindparam("group")).order_by(images.c.name).limit(MOST)
)


def list_images(uow: UnitOfWork, actor: Actor) -> list[answers.Image]:
    """Every registered image. Any signed-in user may see them; where they lie, administrators only."""
    rows = uow.all(_all)
    names = user_names(uow, {row.created_by for row in rows})
    return [_answer(row, names.get(row.created_by, ""), actor) for row in rows]


def get_image(uow: UnitOfWork, actor: Actor, group: str, name: str) -> answers.Image:
    """One image. Raises NotFound `no-such-image`."""
    row = image_row(uow, group, name)
    return _answer(row, user_names(uow, {row.created_by}).get(row.created_by, ""), actor)


def image_row(uow: UnitOfWork, group: str, name: str) -> Row:
    """The row of an image. Raises NotFound `no-such-image`."""
    row = uow.one(_one, group=group, name=name)
    if row is None:
        raise NotFound(
            f"there is no image {name!r} in group {group}; `dais image ls` lists them", code="no-such-image", name=name
        )
    return row


def image_names(uow: UnitOfWork, group: str) -> list[str]:
    """The names of a group's images."""
    return [row.name for row in uow.all(_names, group=group)]


def check_image(uow: UnitOfWork, spec: JobSpec, group: Row, nodes: Sequence[Row]) -> tuple[str, ...]:
    """Refuse an image that is not known or cannot be used here; what the job's owner should know of a good one."""
    if spec.image in (None, group.default_image):
        return ()
    found = uow.one(_one, group=group.name, name=spec.image)
    if found is None:
        names = image_names(uow, group.name)
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


def _answer(row: Row, registered_by: str, actor: Actor) -> answers.Image:
    return answers.Image(
        name=row.name,
        group=row.group_name,
        path=row.path if actor.administrator else None,
        system=row.system,
        python=row.python,
        size=row.size,
        registered_by=registered_by,
        created_at=to_rfc3339(row.created_at),
    )
