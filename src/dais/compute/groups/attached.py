"""Resource groups as administrators attach, see, change and detach them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, literal, select, update

from dais.compute.groups.queries import DEFAULT_GROUP, free_nodes, group_names, group_row
from dais.compute.groups.tables import nodes, resource_groups
from dais.compute.groups.topics import GROUPS, NODES
from dais.compute.images.tables import container_images, images
from dais.compute.jobs.tables import jobs
from dais.identity import INSTALLATION, Actor, conditions, listed, may, require, resource_at, urn
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.kit.tables import leases
from dais.wire import answers
from dais.wire.groups import Group

_name = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)

_insert = Statement(insert(resource_groups), suffix="ON CONFLICT DO NOTHING")
_change = Statement(
    update(resource_groups)
    .where(resource_groups.c.name == bindparam("group"))
    .values(default_image=bindparam("image"), options=bindparam("told"))
)
_delete = Statement(delete(resource_groups).where(resource_groups.c.name == bindparam("group")))
_delete_nodes = Statement(delete(nodes).where(nodes.c.group_name == bindparam("group")))
_delete_images = Statement(delete(images).where(images.c.group_name == bindparam("group")))
_delete_container_images = Statement(
    delete(container_images).where(container_images.c.group_name == bindparam("group"))
)
_live = Statement(
    select(jobs.c.id)
    .where(jobs.c.group_name == bindparam("group"), jobs.c.ended_at.is_(None))
    .order_by(jobs.c.number)
    .limit(1)
)
_counts = Statement(
    select(jobs.c.group_name, jobs.c.state, func.count().label("count"))
    .where(jobs.c.state.in_(("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING")))
    .group_by(jobs.c.group_name, jobs.c.state)
)
_set_problem = Statement(
    update(resource_groups).where(resource_groups.c.name == bindparam("group")).values(problem=bindparam("why"))
)
_dispatching = Statement(
    select(leases.c.holder).where(leases.c.name == bindparam("lease"), leases.c.expires_at > bindparam("now"))
)


@functools.cache
def _all(shape: frozenset[str]) -> Statement:
    """Every group that the conditions of this shape let through."""
    seen = conditions(shape, "group", id=resource_groups.c.name, organization=literal(INSTALLATION))
    return Statement(select(resource_groups).where(*seen).order_by(resource_groups.c.name))


def list_groups(uow: UnitOfWork, actor: Actor) -> list[Group]:
    """The groups that the actor may see, by name."""
    seen = listed(uow, actor, "group:list", holder=None)
    return _answers(uow, actor, uow.all(_all(seen.shape), **seen.values))


def get_group(uow: UnitOfWork, actor: Actor, name: str) -> Group:
    """One group. Raises NotFound `no-such-group`, also for one that the actor may not see."""
    return _answers(uow, actor, [find_group(uow, actor, name, "group:get")])[0]


def find_group(uow: UnitOfWork, actor: Actor, name: str, action: str) -> Row:
    """The row of a group with which the actor may do `action`. Raises NotFound `no-such-group`, Forbidden."""
    row = group_row(uow, name)

    def hidden() -> NotFound:
        known = [one for one in group_names(uow) if may(uow, actor, "group:get", resource_at(uow, "group", one))]
        return NotFound(
            f"there is no resource group {name!r}; there are: {', '.join(known) or 'none that you may see'}",
            code="no-such-group",
            group=name,
        )

    if row is None:
        raise hidden()
    require(uow, actor, action, resource_id=name, hidden=hidden)
    return row


def check_new_group(uow: UnitOfWork, actor: Actor, name: str) -> None:
    """Whether a group of this name could be attached. Raises Forbidden, Invalid `bad-name`, Conflict."""
    require(uow, actor, "group:new", resource_id=name[:63])
    if not _name.fullmatch(name):
        raise Invalid(
            f"{name!r} cannot name a resource group: use 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit",
            code="bad-name",
        )
    if group_row(uow, name) is not None:
        raise Conflict(
            f"there is a resource group {name!r} already; choose another name, or detach it: dais detach {name}",
            code="already-exists",
            name=name,
        )


def new_group(
    uow: UnitOfWork, actor: Actor, name: str, engine: str, options: Mapping[str, Any], default_image: str
) -> None:
    """Write down a group whose engine was checked; it is away until it has been opened. Raises as `check_new_group`."""
    check_new_group(uow, actor, name)
    uow.run(
        _insert,
        name=name,
        engine=engine,
        default_image=default_image,
        options=msgspec.json.encode(options).decode(),
        problem="its engine is being started",
        created_at=uow.now,
    )
    uow.hint(GROUPS)


def set_group(
    uow: UnitOfWork, actor: Actor, name: str, options: Mapping[str, Any] | None, default_image: str | None
) -> Group:
    """Change a group; `options`, where given, are all of them. Raises NotFound, Forbidden, Invalid."""
    row = find_group(uow, actor, name, "group:set")
    if options is not None and name == DEFAULT_GROUP:
        raise Invalid(
            "the engine of the group 'default' has no options: it is set up by DAIS_LOCAL_… (docs/settings.md)",
            code="bad-option",
        )
    told = row.options if options is None else msgspec.json.encode(options).decode()
    image = row.default_image if default_image is None else default_image
    if name == DEFAULT_GROUP and image != row.default_image:
        raise Invalid("jobs of the group 'default' start from the machine itself; name an image in the job instead",
                      code="bad-default-image")  # fmt: skip
    uow.run(_change, group=name, told=told, image=image)
    uow.hint(GROUPS)
    return get_group(uow, actor, name)


def remove_group(uow: UnitOfWork, actor: Actor, name: str) -> None:
    """Forget a group, its nodes and its images; jobs that have ended keep its name. Raises as `check_removal`."""
    check_removal(uow, actor, name)
    forget_group(uow, name)


def check_removal(uow: UnitOfWork, actor: Actor, name: str, *, lost: bool = False) -> None:
    """Whether a group could be removed; `lost`: with its jobs, because its engine is not there any more.

    Raises NotFound, Forbidden, Conflict `in-use` while a job of it has not ended, `is-default`, `engine-answers`.
    """
    row = find_group(uow, actor, name, "group:rm")
    if name == DEFAULT_GROUP:
        raise Conflict("the group 'default' is the machine of the server itself and stays", code="is-default")
    if lost and row.problem is None:
        raise Conflict(
            f"the engine of group {name!r} can be reached, so its jobs are not lost; kill them: dais job kill JOB",
            code="engine-answers",
        )
    user = None if lost else uow.scalar(_live, group=name)
    if user is not None:
        otherwise = "" if row.problem is None else f"; if its engine never comes back: dais detach {name} --lost"
        raise Conflict(
            f"job {user} of group {name!r} has not ended; wait for it, or kill it: dais job kill {user}{otherwise}",
            code="in-use",
            job=user,
        )


def forget_group(uow: UnitOfWork, name: str) -> None:
    """Take away everything that is written of a group itself."""
    uow.run(_delete_nodes, group=name)
    uow.run(_delete_images, group=name)
    uow.run(_delete_container_images, group=name)
    uow.run(_delete, group=name)
    uow.hint(GROUPS)
    uow.hint(NODES)


def store_problem(uow: UnitOfWork, name: str, problem: str | None, holder: str) -> None:
    """Write why the engine of a group cannot be reached, or that it can be again (None).

    Of several servers it is the one that runs the group's jobs whose word counts; else anybody's.
    """
    working = uow.scalar(_dispatching, lease=f"dispatcher:{name}", now=uow.now)
    if working is not None and working != holder:
        return
    uow.run(_set_problem, group=name, why=problem)
    uow.hint(GROUPS)
    uow.hint("scheduler")


def _answers(uow: UnitOfWork, actor: Actor, rows: Sequence[Row]) -> list[Group]:
    shows_options = may(uow, actor, "installation:get", resource_at(uow, "installation"))
    machines: dict[str, list[answers.Node]] = {}
    for node in free_nodes(uow):
        machines.setdefault(node.group, []).append(node)
    counts = {(row.group_name, row.state): row.count for row in uow.all(_counts)}
    return [_answer(row, machines.get(row.name, []), counts, shows_options) for row in rows]


def _answer(
    row: Row, machines: Sequence[answers.Node], counts: Mapping[tuple[str, str], int], shows_options: bool
) -> Group:
    up = [node for node in machines if node.state == "UP"]
    return Group(
        name=row.name,
        urn=urn(INSTALLATION, None, "group", row.name),
        engine=row.engine,
        state="UP" if row.problem is None else "AWAY",
        problem=row.problem,
        default_image=row.default_image,
        options=msgspec.json.decode(row.options) if shows_options else None,
        nodes=len(up),
        **{
            name: sum(getattr(node, name) for node in up)
            for kind in ("cpu", "mem", "gpu")
            for name in (kind, f"free_{kind}", f"others_{kind}")
        },
        waiting=counts.get((row.name, "PENDING"), 0),
        running=sum(count for (group, state), count in counts.items() if group == row.name and state != "PENDING"),
        created_at=to_rfc3339(row.created_at),
    )
