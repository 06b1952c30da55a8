"""Registering and removing images. Only administrators may: users never name paths of the machine."""

from __future__ import annotations

import re

from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.groups.queries import group_names, group_row
from dais.compute.images.described import forget_root
from dais.compute.images.queries import MOST, get_image, image_id, image_names, image_row
from dais.compute.images.tables import images
from dais.compute.jobs.tables import jobs
from dais.engines.contract import RootFacts
from dais.identity import Actor, require
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound, TooMany
from dais.wire import answers

_name = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)

_insert = Statement(insert(images), suffix="ON CONFLICT DO NOTHING")
_delete = Statement(
    delete(images).where(images.c.group_name == bindparam("group"), images.c.name == bindparam("name_"))
)
_same_path = Statement(
    select(func.count())
    .select_from(images)
    .where(images.c.group_name == bindparam("group"), images.c.path == bindparam("path"))
)
_set_size = Statement(
    update(images)
    .where(images.c.group_name == bindparam("group"), images.c.name == bindparam("name_"))
    .values(size=bindparam("size"))
)
_users = Statement(
    select(jobs.c.id)
    .where(jobs.c.group_name == bindparam("group"), jobs.c.image == bindparam("name"), jobs.c.ended_at.is_(None))
    .limit(1)
)


def check_new_image(uow: UnitOfWork, actor: Actor, group: str, name: str) -> None:
    """Whether this image could be registered. Raises Forbidden, Invalid, NotFound (group), Conflict, TooMany."""
    require(uow, actor, "image:new", resource_id=image_id(group, name))
    found = group_row(uow, group)
    if found is None:
        raise NotFound(
            f"there is no resource group {group!r}; there are: {', '.join(group_names(uow)) or 'none yet'}",
            code="no-such-group",
        )
    if not _name.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot name an image: use 1 to 63 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit",
            code="bad-name",
        )
    names = image_names(uow, group)
    if name == found.default_image or name in names:
        raise Conflict(
            f"there is an image {name!r} in group {group} already; choose another name, or remove it: "
            f"dais image rm {name}",
            code="already-exists",
            name=name,
        )
    if len(names) >= MOST:
        raise TooMany(f"{MOST} images are registered, which is the limit; remove one", code="too-many-images")


def add_image(uow: UnitOfWork, actor: Actor, group: str, name: str, path: str, facts: RootFacts) -> answers.Image:
    """Write down an image whose directory the group's engine has accepted. Raises as `check_new_image`."""
    check_new_image(uow, actor, group, name)
    row = {"group_name": group, "name": name, "path": path, "system": facts.system, "python": facts.python}
    if not uow.run(_insert, **row, size=None, created_by=actor.id, created_at=uow.now):
        raise Conflict(f"there is an image {name!r} in group {group} already", code="already-exists", name=name)
    return get_image(uow, actor, group, name)


def remove_image(uow: UnitOfWork, actor: Actor, group: str, name: str) -> str | None:
    """Forget an image. Returns its path if no other image has it, for the engine to forget as well.

    Raises Forbidden, NotFound `no-such-image`, Conflict `in-use` while a job of it has not ended.
    """
    row = image_row(uow, actor, group, name, "image:rm")
    user = uow.scalar(_users, group=group, name=name)
    if user is not None:
        raise Conflict(
            f"image {name!r} is used by job {user}, which has not ended; wait for it, or kill it",
            code="in-use",
            job=user,
        )
    forget_root(uow, group, name)
    uow.run(_delete, group=group, name_=name)
    return None if uow.scalar(_same_path, group=group, path=row.path) else str(row.path)


def store_image_size(uow: UnitOfWork, group: str, name: str, size: int) -> None:
    """Keep how many bytes an image has; one that has gone meanwhile is left alone."""
    uow.run(_set_size, group=group, name_=name, size=size)
