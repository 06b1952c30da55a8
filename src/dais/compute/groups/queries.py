"""Reading resource groups and nodes."""

from __future__ import annotations

import functools

import msgspec
from sqlalchemy import BigInteger, bindparam, func, literal, select

from dais.compute.groups.tables import nodes, resource_groups
from dais.compute.jobs.gpus import held_gpus
from dais.compute.jobs.tables import runs
from dais.identity import INSTALLATION, Actor, conditions, listed, urn
from dais.kit.database import Row, Statement, UnitOfWork
from dais.wire import answers

DEFAULT_GROUP = "default"
"""The group of the machine that Dais was started on."""

_nodes = Statement(
    select(nodes).where(nodes.c.group_name == bindparam("group"), nodes.c.state == "UP").order_by(nodes.c.name)
)
_group = Statement(select(resource_groups).where(resource_groups.c.name == bindparam("name")))
_groups = Statement(select(resource_groups.c.name).order_by(resource_groups.c.name))
_held = Statement(
    select(
        runs.c.group_name,
        runs.c.node,
        func.sum(runs.c.cpu_millis).cast(BigInteger).label("cpu_millis"),
        func.sum(runs.c.mem).cast(BigInteger).label("mem"),
    )
    .where(runs.c.state.in_(("SCHEDULED", "PREPARING", "RUNNING")))
    .group_by(runs.c.group_name, runs.c.node)
)


def node_rows(uow: UnitOfWork, group: str) -> list[Row]:
    """The nodes of a group that are up."""
    return uow.all(_nodes, group=group)


def group_row(uow: UnitOfWork, name: str) -> Row | None:
    """A resource group, or None."""
    return uow.one(_group, name=name)


def group_names(uow: UnitOfWork) -> list[str]:
    """The names of all groups."""
    return [row.name for row in uow.all(_groups)]


@functools.cache
def _all_nodes(shape: frozenset[str]) -> Statement:
    """Every node that the conditions of this shape let through; in policies a node is `group/name`."""
    whole = literal(INSTALLATION)
    seen = conditions(shape, "node", id=nodes.c.group_name.concat("/").concat(nodes.c.name), organization=whole)
    return Statement(select(nodes).where(*seen).order_by(nodes.c.group_name, nodes.c.name))


def list_nodes(uow: UnitOfWork, actor: Actor) -> list[answers.Node]:
    """The nodes that the actor may see, with what is free on each."""
    seen = listed(uow, actor, "node:list", holder=None)
    held = {(row.group_name, row.node): row for row in uow.all(_held)}
    taken = held_gpus(uow)
    shown = []
    for row in uow.all(_all_nodes(seen.shape), **seen.values):
        used = held.get((row.group_name, row.name))
        gpus = msgspec.json.decode(row.gpus)
        shown.append(
            answers.Node(
                name=row.name,
                urn=urn(INSTALLATION, None, "node", f"{row.group_name}/{row.name}"),
                group=row.group_name,
                state=row.state,
                cpu=row.cpu_millis / 1000,
                mem=row.mem,
                gpu=len(gpus),
                free_cpu=max(0, row.cpu_millis - row.others_cpu_millis - (used.cpu_millis if used else 0)) / 1000,
                free_mem=max(0, row.mem - row.others_mem - (used.mem if used else 0)),
                free_gpu=max(0, sum((row.name, uuid) not in taken for uuid in gpus) - row.others_gpu),
                gpus=gpus,
                isolation=msgspec.json.decode(row.isolation),
                disk_free=row.disk_free,
                disk_size=row.disk_size,
                warnings=[row.no_room] if row.no_room else [],
            )
        )
    return shown
