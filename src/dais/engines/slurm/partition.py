"""A group's nodes: those of one partition of Slurm's. One question for all."""

from __future__ import annotations

from collections.abc import Sequence

from dais.engines.contract import NodeInfo
from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.host import NodeFacts
from dais.engines.slurm.nodes import as_info, holdings
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job


class Nodes:
    """The nodes of a group's partition; `count` is how many there were when they were looked at last."""

    def __init__(self, slurm: Slurm, options: SlurmOptions) -> None:
        self.count = 0
        self._slurm = slurm
        self._options = options
        self._default: str | None = None

    async def look(self, own: Sequence[Job], facts: NodeFacts) -> list[NodeInfo]:
        """The machines; `own` are the jobs that Dais has there. Raises Unreachable, Failed."""
        partition = self._options.partition or await self._default_partition()
        found = await self._slurm.nodes()
        inside = [node for node in found if partition in node.partitions]
        self.count = len(inside)
        mode = facts.mode(self._options)
        isolation = {**facts.isolation, "mode": mode, "level": "sandbox" if mode == "sandbox" else "process"}
        held = holdings(own)
        spare = self._options.overhead << 20  # so that the largest job still has room for what goes with it
        return [as_info(node, held.get(node.name, (0, 0, 0)), isolation, spare) for node in inside]

    async def _default_partition(self) -> str:
        if self._default is None:
            self._default = next((name for name, default in await self._slurm.partitions() if default), "")
        return self._default
