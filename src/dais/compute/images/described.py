"""Images as a kind of entities that have metadata: of accounts, of the installation, and root directories."""

from __future__ import annotations

from typing import Any

from sqlalchemy import FromClause, Select, bindparam, case, func, literal, null, select

from dais.compute.images.catalogue import container_image_row, find_container_image
from dais.compute.images.making import is_root_group
from dais.compute.images.queries import image_row
from dais.compute.images.tables import container_images, images
from dais.identity import INSTALLATION, Actor, resolve_account
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Invalid
from dais.kit.ids import is_id
from dais.provenance import COMMON, Entity, Kind, forget_meta


def _named(table: FromClause) -> Any:
    return table.c.group_name.concat("/").concat(table.c.name)


# A root directory has no id but its name, which is too long for one.
_root_id = func.md5(_named(images))


def _facts(table: FromClause, **own: Any) -> Select[Any]:
    return select(
        own["id"].label("id"),
        func.coalesce(own["account_id"], literal(INSTALLATION)).label("account_id"),
        own["resource"].label("resource"),
        _named(table).label("ref"),
        _named(table).label("full_path"),
        table.c.created_by,
        table.c.created_by.label("creator_id"),
        table.c.created_at,
        table.c.created_at.label("create_time"),
        table.c.group_name.label("group"),
        *(own[name].label(name) for name in ("reference", "digest", "architecture", "state")),
        table.c.size,
    )


_rows = (
    _facts(
        container_images,
        id=container_images.c.id,
        account_id=container_images.c.account_id,
        # What policies call it.
        resource=case((container_images.c.account_id.is_(None), _named(container_images)), else_=container_images.c.id),
        reference=container_images.c.reference,
        digest=container_images.c.digest,
        architecture=container_images.c.architecture,
        state=container_images.c.state,
    )
    .union_all(
        _facts(
            images,
            id=_root_id,
            account_id=null(),
            resource=_named(images),
            reference=null(),
            digest=null(),
            architecture=null(),
            state=literal("there"),
        )
    )
    .subquery("facts")
)
_root = Statement(select(_root_id).where(images.c.group_name == bindparam("group"), images.c.name == bindparam("name")))


def forget_root(uow: UnitOfWork, group: str, name: str) -> None:
    """Drop the metadata of a root directory that goes: its id is that of the next one of this name."""
    forget_meta(uow, uow.scalar(_root, group=group, name=name))


def _find(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    where = resolve_account(uow, actor, account)
    group, slash, name = ref.partition("/")
    if is_id(ref):
        known = container_image_row(uow, ref)
        group, name = (known.group_name if known is not None else ""), ref
    elif not slash:
        raise Invalid(f"write an image as GROUP/NAME, not {ref[:80]!r}", code="bad-ref", ref=ref[:200])
    elif is_root_group(uow, group, name):
        image_row(uow, actor, group, name, action)
        return Entity(id=uow.scalar(_root, group=group, name=name), account_id=INSTALLATION)
    row = find_container_image(uow, actor, group, where, name, action)
    return Entity(id=row.id, account_id=row.account_id or INSTALLATION)


IMAGE = Kind(
    "image",
    "image",
    _rows,
    {
        **COMMON,
        "__group__": "text",
        "__reference__": "text",
        "__digest__": "text",
        "__architecture__": "text",
        "__state__": "text",
        "__size__": "number",
    },
    _find,
    everywhere=True,
)
"""An image: `GROUP/NAME` (or an alias or reference of a container image instead of the name), or its id."""
