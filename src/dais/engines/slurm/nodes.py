"""Slurm's nodes: what they have, what others use of it, and which are away. One question for all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dais.engines.contract import NodeInfo, Others
from dais.engines.slurm.commands import Commands
from dais.engines.slurm.host import NodeFacts
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job, gpu_count

_pair = re.compile(r"(?:^|\s)([A-Za-z_]+)=(\S*)")
_reason = re.compile(r"\sReason=(.*?)(?:\s\[\S+@[^\]]*\])?\s*$")
_away = frozenset(
    {
        "BLOCKED", "DOWN", "DRAIN", "DRAINED", "DRAINING", "ERROR", "FAIL", "FAILING", "FUTURE", "INVAL", "MAINT",
        "NOT_RESPONDING", "PERFCTRS", "REBOOT", "REBOOT_ISSUED", "RESERVED", "UNKNOWN",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SlurmNode:
    """A node as Slurm tells it. Cores, bytes, counts; `allocated` is the same of what all its jobs hold."""

    name: str
    cpu: int
    memory: int
    gpus: int
    allocated: tuple[int, int, int]
    away: str | None
    partitions: tuple[str, ...]


class Nodes:
    """The nodes of a group's partition; `count` is how many there were when they were looked at last."""

    def __init__(self, commands: Commands, options: SlurmOptions) -> None:
        self.count = 0
        self._commands = commands
        self._options = options
        self._default: str | None = None

    async def look(self, own: Sequence[Job], facts: NodeFacts) -> list[NodeInfo]:
        """The machines; `own` are the jobs that Dais has there. Raises Unreachable, Failed."""
        partition = self._options.partition or await self._default_partition()
        found = parse(await self._commands.run("scontrol", "show", "node", "--details", "--oneliner"))
        inside = [node for node in found if partition in node.partitions]
        self.count = len(inside)
        mode = facts.mode(self._options)
        isolation = {**facts.isolation, "mode": mode, "level": "sandbox" if mode == "sandbox" else "process"}
        held = holdings(own)
        spare = self._options.overhead << 20  # so that the largest job still has room for what goes with it
        return [as_info(node, held.get(node.name, (0, 0, 0)), isolation, spare) for node in inside]

    async def _default_partition(self) -> str:
        if self._default is None:
            self._default = next((name for name, default in await partitions(self._commands) if default), "")
        return self._default


async def partitions(commands: Commands) -> list[tuple[str, bool]]:
    """The partitions, and whether each is the one that jobs go to which name none. Raises Unreachable, Failed."""
    said = await commands.run("sinfo", "--noheader", "--format=%P")
    names = [line.strip() for line in said.splitlines() if line.strip()]
    return [(name.rstrip("*"), name.endswith("*")) for name in names]


def parse(said: str) -> list[SlurmNode]:
    """From what `scontrol show node --details --oneliner` prints."""
    return [node for line in said.splitlines() if (node := _node(line)) is not None]


def _node(line: str) -> SlurmNode | None:
    reason = _reason.search(line)
    fields = dict(_pair.findall(line[: reason.start()] if reason else line))
    if "NodeName" not in fields:
        return None
    number = {name: int(value) for name, value in fields.items() if value.isdigit()}
    states = fields.get("State", "UNKNOWN").rstrip("*$~#!%@^-").split("+")
    silent = ["NOT_RESPONDING"] if "*" in fields.get("State", "") else []
    away = [state for state in [*states, *silent] if state in _away]
    said = reason.group(1).strip() if reason else ""
    return SlurmNode(
        name=fields["NodeName"],
        cpu=number.get("CPUEfctv", number.get("CPUTot", 0)),
        memory=(number.get("RealMemory", 0) - number.get("MemSpecLimit", 0)) << 20,
        gpus=gpu_count(fields.get("Gres", "")),
        allocated=(number.get("CPUAlloc", 0), number.get("AllocMem", 0) << 20, gpu_count(fields.get("GresUsed", ""))),
        away=f"{'+'.join(away).lower()} in Slurm{': ' if said else ''}{said}" if away else None,
        partitions=tuple(fields.get("Partitions", "").split(",")),
    )


def holdings(jobs: Iterable[Job]) -> Mapping[str, tuple[int, int, int]]:
    """What jobs hold of each node."""
    held: dict[str, tuple[int, int, int]] = {}
    for job in jobs:
        if job.node and not job.over and not job.waiting:
            cpus, memory, gpus = held.get(job.node, (0, 0, 0))
            held[job.node] = (cpus + job.cpus, memory + job.memory, gpus + job.gpus)
    return held


def as_info(node: SlurmNode, own: tuple[int, int, int], isolation: dict[str, object], spare: int) -> NodeInfo:
    """The node as the contract has it. Its GPUs have names of their own: Slurm picks them."""
    cpus, memory, gpus = (max(0, all_ - ours) for all_, ours in zip(node.allocated, own, strict=True))
    return NodeInfo(
        name=node.name,
        cpu=float(node.cpu),
        memory=max(0, node.memory - spare),
        gpus=tuple(f"{node.name}:gpu{number}" for number in range(node.gpus)),
        isolation=isolation,
        others=Others(cpu_millis=cpus * 1000, memory=memory, gpu=gpus),
        away=node.away,
    )
