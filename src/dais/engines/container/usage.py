"""What a running container uses, as the daemon measures it."""

from __future__ import annotations

from typing import Any

from dais.engines.container.daemon import Daemon, Said
from dais.engines.contract import Usage


async def usage_of(daemon: Daemon, container: str) -> Usage | None:
    """None for what does not run. Raises OSError."""
    try:
        found = await daemon.get(f"containers/{container}/stats", **{"stream": "false", "one-shot": "true"})
    except Said:
        return None
    return as_usage(found) if found else None


def as_usage(stats: dict[str, Any]) -> Usage:
    """From one document of the stats call. File pages that the kernel can drop are not counted, as on the machine."""
    memory, cpu = stats.get("memory_stats") or {}, stats.get("cpu_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0)) or 0
    used = memory.get("usage")
    spent = (cpu.get("cpu_usage") or {}).get("total_usage")
    return Usage(
        memory=max(0, used - cache) if used is not None else None,
        memory_peak=memory.get("max_usage"),
        cpu_seconds=spent / 1e9 if spent is not None else None,
        pids=(stats.get("pids_stats") or {}).get("current"),
    )
