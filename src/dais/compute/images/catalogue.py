"""Reading the catalogue of container images: by name, alias, reference, digest or id; what is told of one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, literal, select

from dais.compute.images.labels import minimum, service_ports
from dais.compute.images.tables import container_images, image_aliases
from dais.identity import (
    INSTALLATION,
    Account,
    Actor,
    Resource,
    conditions,
    get_account,
    may,
    require_on,
    resource_at,
    urn,
    user_names,
    visible,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound
from dais.kit.ids import is_id
from dais.wire import answers
from dais.wire.problems import nearest
from dais.wire.references import is_digest, parse_reference

MOST = 2_000
"""Container images that one list shows, and that one owner may have."""

CONTAINER_ENGINES = ("container", "docker", "podman")
"""Engines of groups whose jobs start from images in a store of the engine's own."""

_in_group = (container_images.c.group_name == bindparam("group")) & (
    container_images.c.account_id.is_(None) | (container_images.c.account_id == bindparam("account_id"))
)
# An account's own comes before the installation's.
_order = (container_images.c.account_id.is_(None), container_images.c.created_at.desc())
_by_name = Statement(
    select(container_images).where(_in_group, container_images.c.name == bindparam("name")).order_by(*_order)
)
_by_alias = Statement(
    select(container_images)
    .select_from(container_images.join(image_aliases, image_aliases.c.image_id == container_images.c.id))
    .where(_in_group, image_aliases.c.alias == bindparam("name"))
    .order_by(*_order)
)
_by_reference = Statement(
    select(container_images).where(_in_group, container_images.c.reference == bindparam("name")).order_by(*_order)
)
_by_digest = Statement(
    select(container_images)
    .where(
        _in_group,
        (container_images.c.digest == bindparam("name")) | (container_images.c.engine_id == bindparam("name")),
    )
    .order_by(*_order)
)
_by_id = Statement(select(container_images).where(container_images.c.id == bindparam("id")))
_names = Statement(select(container_images.c.name).where(_in_group).limit(MOST))
_aliases = Statement(
    select(image_aliases.c.image_id, image_aliases.c.alias)
    .where(in_list(image_aliases.c.image_id, "ids"))
    .order_by(image_aliases.c.alias)
)


@functools.cache
def _of_accounts(shape: frozenset[str]) -> Statement:
    seen = conditions(shape, "image", id=container_images.c.id, account=container_images.c.account_id)
    return Statement(
        select(container_images)
        .where(container_images.c.account_id.is_not(None), *seen)
        .order_by(container_images.c.group_name, container_images.c.name, container_images.c.id)
        .limit(MOST)
    )


@functools.cache
def _of_installation(shape: frozenset[str]) -> Statement:
    known = container_images.c.group_name.concat("/").concat(container_images.c.name)
    seen = conditions(shape, "image", id=known, organization=literal(INSTALLATION))
    return Statement(
        select(container_images)
        .where(container_images.c.account_id.is_(None), *seen)
        .order_by(container_images.c.group_name, container_images.c.name)
        .limit(MOST)
    )


def keeps_images(group: Row) -> bool:
    """Whether jobs of this group start from images in its engine's own store."""
    return group.engine in CONTAINER_ENGINES


def list_container_images(uow: UnitOfWork, actor: Actor) -> list[answers.Image]:
    """The container images that the actor may see: the installation's, then those of accounts."""
    whole = visible(uow, actor, "image:list", holder=None)
    rows = [] if whole.nothing else uow.all(_of_installation(whole.shape), **whole.values)
    seen = visible(uow, actor, "image:list")
    rows += [] if seen.nothing else uow.all(_of_accounts(seen.shape), **seen.values)
    return image_answers(uow, rows)


def resource_of_image(uow: UnitOfWork, row: Row) -> Resource:
    """What a container image is in policies."""
    if row.account_id is None:
        return resource_at(uow, "image", f"{row.group_name}/{row.name}")
    return resource_at(uow, "image", row.id, account_id=row.account_id)


def find_container_image(
    uow: UnitOfWork, actor: Actor, group: str, account: Account, name: str, action: str = "image:get"
) -> Row:
    """The row of an image, by its name, alias, reference, digest or id, with which the actor may do `action`.

    An account's own comes before the installation's. Raises NotFound `no-such-image` with the nearest name, Forbidden.
    """
    hidden = functools.partial(no_such_image, uow, actor, group, account, name)
    for row in candidates(uow, group, account.id, name):
        if may(uow, actor, "image:get", resource_of_image(uow, row)):
            require_on(uow, actor, action, resource_of_image(uow, row), hidden)
            return row
    raise hidden()


def candidates(uow: UnitOfWork, group: str, account_id: str, name: str) -> list[Row]:
    """The images that a text may mean in a group, best first; who may see them is not looked at."""
    asked = {"group": group, "account_id": account_id}
    if is_id(name):
        row = uow.one(_by_id, id=name)
        return [row] if row is not None and row.group_name == group else []
    found = list(uow.all(_by_name, name=name[:63], **asked)) + list(uow.all(_by_alias, name=name[:63], **asked))
    if is_digest(name):
        found += uow.all(_by_digest, name=name, **asked)
    elif not found:
        try:
            found += uow.all(_by_reference, name=str(parse_reference(name)), **asked)
        except ValueError:
            return found
    return found


def container_image_row(uow: UnitOfWork, image_id: str) -> Row | None:
    """One by its id, for loops."""
    return uow.one(_by_id, id=image_id)


def known_names(uow: UnitOfWork, group: str, account_id: str) -> list[str]:
    """The names that jobs of an account may use in a group."""
    return sorted({row.name for row in uow.all(_names, group=group, account_id=account_id)})


def no_such_image(uow: UnitOfWork, actor: Actor, group: str, account: Account, name: str) -> NotFound:
    """The error that tells the nearest names that the actor may see."""
    near = candidates_near(uow, group, account.id, name)
    shown = [row.name for row in near if may(uow, actor, "image:get", resource_of_image(uow, row))]
    hint = f"did you mean {' or '.join(shown)}?" if shown else "`dais image ls` lists them"
    return NotFound(f"there is no image {name[:120]!r} in group {group}; {hint}", code="no-such-image", name=name[:120])


def candidates_near(uow: UnitOfWork, group: str, account_id: str, name: str) -> list[Row]:
    """The images whose name is nearest to a text; none where nothing is near."""
    near = nearest(name[:120], known_names(uow, group, account_id))
    return list(uow.all(_by_name, name=near, group=group, account_id=account_id)) if near else []


def image_answers(uow: UnitOfWork, rows: Sequence[Row]) -> list[answers.Image]:
    """Rows as others see them."""
    people = user_names(uow, {row.created_by for row in rows})
    accounts = {one: get_account(uow, one) for one in {row.account_id for row in rows} - {None}}
    aliases: dict[str, list[str]] = {}
    for row in uow.all(_aliases, ids=[row.id for row in rows]) if rows else ():
        aliases.setdefault(row.image_id, []).append(row.alias)
    return [_answer(row, accounts.get(row.account_id), people.get(row.created_by, ""), aliases) for row in rows]


def _answer(row: Row, account: Account | None, person: str, aliases: dict[str, list[str]]) -> answers.Image:
    labels = msgspec.json.decode(row.labels, type=dict[str, str])
    least = minimum(labels)
    known = resource_urn(row, account)
    return answers.Image(
        name=row.name,
        urn=known,
        group=row.group_name,
        kind="container",
        id=row.id,
        account=account.full_name if account else None,
        reference=parse_reference(row.reference).short,
        digest=row.digest,
        engine_id=row.engine_id,
        architecture=row.architecture,
        labels=labels,
        aliases=aliases.get(row.id, []),
        state=row.state,
        problem=row.problem,
        reason=row.problem_code,
        progress=answers.ImageProgress(text=row.progress, done=row.progress_done, total=row.progress_total)
        if row.state in ("pulling", "building")
        else None,
        least_cpu=least.cpu,
        least_mem=least.mem,
        least_gpu=least.gpu,
        ports=[f"{port.name}:{port.protocol}:{','.join(map(str, port.ports))}" for port in service_ports(labels)],
        system=row.system,
        python=row.python or None,
        size=row.size,
        origin=row.origin,
        registered_by=person,
        created_at=to_rfc3339(row.created_at),
    )


def resource_urn(row: Row, account: Account | None) -> str:
    """How policies name the image."""
    if account is None:
        return urn(INSTALLATION, None, "image", f"{row.group_name}/{row.name}")
    return urn(account.organization_id, account.id, "image", row.id)
