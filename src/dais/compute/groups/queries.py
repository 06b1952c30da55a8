"""Reading resource groups and nodes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, literal, select

from dais.compute.groups.held import NO_SLOTS, counted_gpus, held_slots
from dais.compute.groups.tables import nodes, resource_groups
from dais.compute.groups.topics import GROUPS, NODES
from dais.compute.jobs.gpus import held_gpus
from dais.identity import INSTALLATION, Actor, conditions, listed, urn
from dais.kit.database import Row, Statement, UnitOfWork
from dais.wire import answers

DEFAULT_GROUP = "default"
"""The group of the machine that Dais was started on."""

_nodes = Statement(
    select(nodes).where(nodes.c.group_name == bindparam("group"), nodes.c.state == "UP").order_by(nodes.c.name)
)
_every_node = Statement(select(nodes).order_by(nodes.c.group_name, nodes.c.name))
_group = Statement(select(resource_groups).where(resource_groups.c.name == bindparam("name")))
_groups = Statement(select(resource_groups).order_by(resource_groups.c.name))
_problems = Statement(
    select(resource_groups.c.name, resource_groups.c.problem).where(resource_groups.c.problem.is_not(None))
)


def node_rows(uow: UnitOfWork, group: str) -> Sequence[Row]:
    """The nodes of a group that are up."""
    return uow.remembered(NODES, group, lambda: tuple(uow.all(_nodes, group=group)))


def group_row(uow: UnitOfWork, name: str) -> Row | None:
    """A resource group, or None."""
    return uow.remembered(GROUPS, name, lambda: uow.one(_group, name=name))


def group_rows(uow: UnitOfWork) -> list[Row]:
    """All resource groups, by name."""
    return uow.all(_groups)


def group_names(uow: UnitOfWork) -> list[str]:
    """The names of all groups."""
    return [row.name for row in uow.all(_groups)]


def group_problems(uow: UnitOfWork) -> dict[str, str]:
    """Why jobs of a group wait, whichever: its engine cannot be reached. By name; most have none."""
    return {row.name: row.problem for row in uow.all(_problems)}


@functools.cache
def _all_nodes(shape: frozenset[str]) -> Statement:
    """Every node that the conditions of this shape let through; in policies a node is `group/name`."""
    whole = literal(INSTALLATION)
    seen = conditions(shape, "node", id=nodes.c.group_name.concat("/").concat(nodes.c.name), organization=whole)
    return Statement(select(nodes).where(*seen).order_by(nodes.c.group_name, nodes.c.name))


def list_nodes(uow: UnitOfWork, actor: Actor) -> list[answers.Node]:
    """The nodes that the actor may see, with what is free on each, and what others than Dais use."""
    seen = listed(uow, actor, "node:list", holder=None)
    return _free_of(uow, uow.all(_all_nodes(seen.shape), **seen.values))


def free_nodes(uow: UnitOfWork) -> list[answers.Node]:
    """Every node, whoever asks; for sums."""
    return _free_of(uow, uow.all(_every_node))


def _free_of(uow: UnitOfWork, rows: Sequence[Row]) -> list[answers.Node]:
    held, taken = held_slots(uow), held_gpus(uow)
    shown = []
    for row in rows:
        used = held.get(row.name, NO_SLOTS)
        gpus = msgspec.json.decode(row.gpus)
        free_gpu = sum((row.name, uuid) not in taken for uuid in gpus)
        shown.append(
            answers.Node(
                name=row.name,
                urn=urn(INSTALLATION, None, "node", f"{row.group_name}/{row.name}"),
                group=row.group_name,
                state=row.state,
                cpu=row.cpu_millis / 1000,
                mem=row.mem,
                gpu=len(gpus),
                free_cpu=max(0, row.cpu_millis - row.others_cpu_millis - used.cpu_millis) / 1000,
                free_mem=max(0, row.mem - row.others_mem - used.mem),
                free_gpu=max(0, free_gpu - row.others_gpu - counted_gpus(used, row.name, taken)),
                others_cpu=row.others_cpu_millis / 1000,
                others_mem=row.others_mem,
                others_gpu=row.others_gpu,
                gpus=gpus,
                isolation=msgspec.json.decode(row.isolation),
                disk_free=row.disk_free,
                disk_size=row.disk_size,
                warnings=[row.no_room] if row.no_room else [],
            )
        )
    return shown
