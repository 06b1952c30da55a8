"""A group's nodes: those of one partition of Slurm's. One question for all."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dais.engines.contract import NodeInfo
from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.host import NodeFacts
from dais.engines.slurm.nodes import as_info, holdings
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job

_PARTITION_SECONDS = 600.0
"""How long it is remembered what a partition allows."""


class Nodes:
    """The nodes of a group's partition; `count` is how many there were when they were looked at last.

    `longest` is how many seconds a job may run there; None: as long as it likes.
    """

    def __init__(self, slurm: Slurm, options: SlurmOptions) -> None:
        self.count = 0
        self.longest: int | None = None
        self._slurm = slurm
        self._options = options
        self._partition: str | None = None
        self._asked_at = 0.0

    async def look(self, own: Sequence[Job], facts: NodeFacts) -> list[NodeInfo]:
        """The machines; `own` are the jobs that Dais has there. Raises Unreachable, Failed."""
        partition = await self._look_at_partition()
        found = await self._slurm.nodes()
        inside = [node for node in found if partition in node.partitions]
        self.count = len(inside)
        mode = facts.mode(self._options)
        isolation = {**facts.isolation, "mode": mode, "level": "sandbox" if mode == "sandbox" else "process"}
        held = holdings(own)
        spare = self._options.overhead << 20  # so that the largest job still has room for what goes with it
        return [as_info(node, held.get(node.name, (0, 0, 0)), isolation, spare, self.longest) for node in inside]

    async def _look_at_partition(self) -> str:
        """The name of the group's, of which is asked only now and then."""
        if self._partition is None or time.monotonic() - self._asked_at > _PARTITION_SECONDS:
            wanted = self._options.partition
            known = await self._slurm.partitions()
            found = next((one for one in known if (one.name == wanted if wanted else one.default)), None)
            self._partition = found.name if found else wanted
            self.longest = found.longest if found else None
            self._asked_at = time.monotonic()
        return self._partition
