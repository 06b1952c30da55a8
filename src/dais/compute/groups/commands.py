"""What engines tell of their machines, written down."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, insert, update

from dais.compute.groups.disk import Disk
from dais.compute.groups.tables import nodes, resource_groups
from dais.compute.groups.topics import GROUPS, NODES
from dais.engines.contract import NodeInfo
from dais.kit.database import Statement, UnitOfWork

_insert_group = Statement(insert(resource_groups), suffix="ON CONFLICT DO NOTHING")
_upsert_node = Statement(
    insert(nodes),
    suffix="ON CONFLICT (group_name, name) DO UPDATE SET state = excluded.state, cpu_millis = excluded.cpu_millis, "
    "mem = excluded.mem, gpus = excluded.gpus, isolation = excluded.isolation, disk_free = excluded.disk_free, "
    "disk_size = excluded.disk_size, no_room = excluded.no_room, others_cpu_millis = excluded.others_cpu_millis, "
    "others_mem = excluded.others_mem, others_gpu = excluded.others_gpu, updated_at = excluded.updated_at, "
    "longest = excluded.longest",
)
_others_down = Statement(
    update(nodes)
    .where(nodes.c.group_name == bindparam("group"), nodes.c.updated_at < bindparam("at"))
    .values(state="DOWN")
)


def register_group(uow: UnitOfWork, name: str, engine: str, default_image: str) -> bool:
    """Make the group; whether it was not there."""
    made = uow.run(
        _insert_group,
        name=name,
        engine=engine,
        default_image=default_image,
        options="{}",
        problem=None,
        created_at=uow.now,
    )
    if made:
        uow.hint(GROUPS)
    return bool(made)


def update_nodes(uow: UnitOfWork, group: str, seen: Sequence[NodeInfo], disk: Disk | None = None) -> None:
    """Write the nodes that the engine has now, and the disk that they share; those not named any more are down."""
    uow.many(
        _upsert_node,
        [
            {
                "group_name": group,
                "name": node.name,
                "state": "UP",
                "cpu_millis": int(node.cpu * 1000),
                "mem": node.memory,
                "gpus": msgspec.json.encode(node.gpus).decode(),
                "isolation": msgspec.json.encode(node.isolation).decode(),
                "disk_free": None if disk is None else disk.free,
                "disk_size": None if disk is None else disk.size,
                "no_room": node.away or (None if disk is None else disk.full(node.name)),
                "others_cpu_millis": node.others.cpu_millis,
                "others_mem": node.others.memory,
                "others_gpu": node.others.gpu,
                "updated_at": uow.now,
                "longest": node.longest,
            }
            for node in seen
        ],
    )
    uow.run(_others_down, group=group, at=uow.now)
    uow.hint(NODES)
    uow.hint("scheduler")
