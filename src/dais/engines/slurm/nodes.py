"""Slurm's nodes: what they have, what others use of it, and which are away. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dais.engines.contract import NodeInfo, Others
from dais.engines.slurm.queue import Job, gpu_count

_pair = re.compile(r"(?:^|\s)([A-Za-z_]+)=(\S*)")
_time = re.compile(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)")
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


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition. `default`: jobs go to it which name none; `longest`: the seconds after which Slurm ends a job."""

    name: str
    default: bool
    longest: int | None


PARTITIONS = "%P|%l"
"""What sinfo prints of each, for `parse_partitions`."""


def parse_partitions(said: str) -> list[Partition]:
    """From what sinfo prints in the format PARTITIONS."""
    fields = [line.strip().split("|") for line in said.splitlines() if "|" in line]
    return [Partition(name.rstrip("*"), name.endswith("*"), _seconds(time)) for name, time in fields]


def _seconds(time: str) -> int | None:
    """Of `[days-][[hours:]minutes:]seconds`; None where there is no limit."""
    found = _time.fullmatch(time)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


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
    said = reason.group(1).strip() if reason else ""
    return SlurmNode(
        name=fields["NodeName"],
        cpu=number.get("CPUEfctv", number.get("CPUTot", 0)),
        memory=(number.get("RealMemory", 0) - number.get("MemSpecLimit", 0)) << 20,
        gpus=gpu_count(fields.get("Gres", "")),
        allocated=(number.get("CPUAlloc", 0), number.get("AllocMem", 0) << 20, gpu_count(fields.get("GresUsed", ""))),
        away=away_words([*states, *silent], said),
        partitions=tuple(fields.get("Partitions", "").split(",")),
    )


def away_words(states: Iterable[str], reason: str) -> str | None:
    """Why nothing can be started on a node in these states; None where it can."""
    away = [state for state in states if state in _away]
    return f"{'+'.join(away).lower()} in Slurm{': ' if reason else ''}{reason}" if away else None


def holdings(jobs: Iterable[Job]) -> Mapping[str, tuple[int, int, int]]:
    """What jobs hold of each node."""
    held: dict[str, tuple[int, int, int]] = {}
    for job in jobs:
        if job.node and not job.over and not job.waiting:
            cpus, memory, gpus = held.get(job.node, (0, 0, 0))
            held[job.node] = (cpus + job.cpus, memory + job.memory, gpus + job.gpus)
    return held


def as_info(
    node: SlurmNode, own: tuple[int, int, int], isolation: dict[str, object], spare: int, longest: int | None = None
) -> NodeInfo:
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
        longest=longest,
    )
