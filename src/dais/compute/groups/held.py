"""What runs hold of machines. A machine may be a node of several groups: its name says that it is the same."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import BigInteger, func, select

from dais.compute.groups.tables import nodes
from dais.compute.jobs.tables import runs
from dais.kit.database import Statement, UnitOfWork

_held = Statement(
    select(
        runs.c.group_name,
        runs.c.node,
        runs.c.state,
        func.sum(runs.c.cpu_millis).cast(BigInteger).label("cpu_millis"),
        func.sum(runs.c.mem).cast(BigInteger).label("mem"),
        func.sum(runs.c.gpu).cast(BigInteger).label("gpu"),
    )
    .where(runs.c.state.in_(("SCHEDULED", "PREPARING", "RUNNING")))
    .group_by(runs.c.group_name, runs.c.node, runs.c.state)
)
_shared = select(nodes.c.name).group_by(nodes.c.name).having(func.count() > 1)
_lock = Statement(
    select(nodes.c.name)
    .where(nodes.c.name.in_(_shared))
    .order_by(nodes.c.name, nodes.c.group_name)
    .with_for_update(of=nodes)
)


class HeldSlots(msgspec.Struct, frozen=True):
    """What runs hold of one machine: thousandths of a core, bytes, GPUs."""

    cpu_millis: int = 0
    mem: int = 0
    gpu: int = 0


NO_SLOTS = HeldSlots()


def held_slots(uow: UnitOfWork, *, but_starting_in: str | None = None) -> dict[str, HeldSlots]:
    """What the runs of all groups hold, by the name of the machine.

    Left out are runs of the group `but_starting_in` that have not started: its engine chooses where they will.
    """
    found: dict[str, HeldSlots] = {}
    for row in uow.all(_held):
        if row.group_name == but_starting_in and row.state != "RUNNING":
            continue
        before = found.get(row.node, NO_SLOTS)
        found[row.node] = HeldSlots(before.cpu_millis + row.cpu_millis, before.mem + row.mem, before.gpu + row.gpu)
    return found


def counted_gpus(held: HeldSlots, node: str, taken: Collection[tuple[str, str]]) -> int:
    """How many GPUs of a machine are held by number only, because their engine chose which; `taken` are the others."""
    return max(0, held.gpu - sum(machine == node for machine, _ in taken))


def lock_machines(uow: UnitOfWork) -> None:
    """Let no other group place runs on machines that several have until this transaction ends.

    Only where transactions run beside each other: SQLite has one at a time.
    """
    if uow.dialect == "postgresql":
        uow.all(_lock)
