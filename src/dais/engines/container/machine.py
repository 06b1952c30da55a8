"""The machine of a daemon, and what runs on it that this installation did not start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from dais.engines.container.daemon import Daemon, Said
from dais.engines.container.document import Host
from dais.engines.container.options import ContainerOptions, Kind
from dais.engines.contract import NodeInfo
from dais.engines.contract.status import Others
from dais.engines.nvidia import Gpus

_least_memory = 64 << 20
_cdi_since = (5, 4)


class Machine:
    """Looks when it is asked. What a container may use never changes unseen, so it is asked for once."""

    def __init__(self, name: str, daemon: Daemon, options: ContainerOptions, host: Host) -> None:
        self._name = name
        self._daemon = daemon
        self._options = options
        self._host = host
        self._gpus = Gpus(options.nvml, options.gpu_devices)
        self._limits: dict[str, Others] = {}

    async def node(self, missing: Sequence[str]) -> NodeInfo:
        """Raises OSError when the daemon cannot be asked."""
        try:
            info = await self._daemon.get("info")
            listed = await self._daemon.get("containers/json")
        except Said as error:
            raise OSError(f"the container daemon says: {error}") from error
        gpus = await asyncio.to_thread(self._gpus.look)
        why = self._gpus.problem
        if gpus and (why := gpu_problem(self._host.kind, str(info.get("ServerVersion", "")))) is not None:
            gpus = ()
        problem = {"gpu": why} if why else {}
        return NodeInfo(
            name=self._name,
            cpu=max(0.1, float(info.get("NCPU") or 1) - self._options.reserve_cpu),
            memory=max(_least_memory, int(info.get("MemTotal") or 0) - self._options.reserve_memory),
            gpus=tuple(gpu.uuid for gpu in gpus),
            isolation={"mode": "container", "level": "container", "missing": list(missing), **problem},
            others=await self._others(listed or (), len(gpus)),
        )

    async def used(self, uuids: Sequence[str]) -> tuple[int, float] | None:
        """Bytes in use on these GPUs together, and the mean share of time that they worked."""
        return await asyncio.to_thread(self._gpus.used, uuids)

    async def _others(self, listed: Sequence[Mapping[str, Any]], gpus: int) -> Others:
        """Containers of others count with their limits; one without any takes what nobody can know."""
        running = {
            c["Id"] for c in listed if (c.get("Labels") or {}).get("dais.installation") != self._host.installation
        }
        for gone in self._limits.keys() - running:
            del self._limits[gone]
        for container in running - self._limits.keys():
            try:
                document = await self._daemon.get(f"containers/{container}/json")
            except Said:
                continue  # it has ended
            self._limits[container] = limits_of(document.get("HostConfig") or {}, gpus)
        return Others(
            cpu_millis=sum(limits.cpu_millis for limits in self._limits.values()),
            memory=sum(limits.memory for limits in self._limits.values()),
            gpu=min(gpus, sum(limits.gpu for limits in self._limits.values())),
        )


def limits_of(config: Mapping[str, Any], gpus: int) -> Others:
    """What a container may use at most, of those things that it has a limit of."""
    cpu = (config.get("NanoCpus") or 0) // 1_000_000
    if not cpu and (config.get("CpuQuota") or 0) > 0:
        cpu = config["CpuQuota"] * 1000 // (config.get("CpuPeriod") or 100_000)
    counted = 0
    for request in config.get("DeviceRequests") or ():
        count = request.get("Count") or 0
        counted += len(request.get("DeviceIDs") or ()) or (gpus if count < 0 else count)
    return Others(cpu_millis=int(cpu), memory=int(config.get("Memory") or 0), gpu=counted)


def gpu_problem(kind: Kind, version: str) -> str | None:
    """Why this daemon gives no container a GPU, though the machine has some."""
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if kind == "podman" and numbers < _cdi_since:
        return f"Podman gives GPUs through its API from 5.4 on, and this is {version}; upgrade it"
    return None


def missing(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What is not isolated or limited by this daemon, from its `info`."""
    found = []
    limits = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "the number of processes"}
    for name, words in limits.items():
        if not info.get(name):
            found.append(f"{words} cannot be limited: the daemon has no such control group")
    if not any("seccomp" in str(option) for option in info.get("SecurityOptions") or ()):
        found.append("jobs may make every system call: the daemon has no seccomp")
    return tuple(found)
