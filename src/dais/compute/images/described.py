"""Container images of accounts as a kind of entities that have metadata."""

from __future__ import annotations

from sqlalchemy import select

from dais.compute.images.catalogue import container_image_row, find_container_image
from dais.compute.images.tables import container_images
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.kit.ids import is_id
from dais.provenance import COMMON, Entity, Kind

_named = container_images.c.group_name.concat("/").concat(container_images.c.name)
_rows = (
    select(
        container_images.c.id,
        container_images.c.account_id,
        container_images.c.id.label("resource"),
        _named.label("ref"),
        _named.label("full_path"),
        container_images.c.created_by,
        container_images.c.created_by.label("creator_id"),
        container_images.c.created_at,
        container_images.c.created_at.label("create_time"),
        container_images.c.group_name.label("group"),
        container_images.c.reference,
        container_images.c.digest,
        container_images.c.architecture,
        container_images.c.state,
        container_images.c.size,
    )
    .where(container_images.c.account_id.is_not(None))
    .subquery("facts")
)


def _find(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    where = resolve_account(uow, actor, account)
    group, slash, name = ref.partition("/")
    if is_id(ref):
        known = container_image_row(uow, ref)
        group, name = (known.group_name if known is not None else ""), ref
    elif not slash:
        raise Invalid(f"write an image as GROUP/NAME, not {ref[:80]!r}", code="bad-ref", ref=ref[:200])
    row = find_container_image(uow, actor, group, where, name, action)
    if row.account_id is None:
        raise Invalid(
            f"{ref[:80]!r} is the installation's, and lies in no account; metadata are kept of images of accounts",
            code="bad-ref",
            ref=ref[:200],
        )
    return Entity(id=row.id, account_id=row.account_id)


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
)
"""A container image of an account: `GROUP/NAME` (or an alias or reference instead of the name), or its id."""
