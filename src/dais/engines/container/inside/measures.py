"""What the container has used, as its control group tells (v1 or v2)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_groups = "/sys/fs/cgroup"


def measure() -> dict[str, Any]:
    """`oom` (whether something was killed for want of memory), `memory_peak` (bytes), `cpu_seconds`; None: unknown."""
    kills = _entry(f"{_groups}/memory.events", "oom_kill") or _entry(f"{_groups}/memory/memory.oom_control", "oom_kill")
    peak = _number(f"{_groups}/memory.peak")
    if peak is None:
        peak = _number(f"{_groups}/memory/memory.max_usage_in_bytes")
    spent: float | None = None
    if (micro := _entry(f"{_groups}/cpu.stat", "usage_usec")) is not None:
        spent = micro / 1e6
    else:
        nano = _number(f"{_groups}/cpuacct/cpuacct.usage") or _number(f"{_groups}/cpu,cpuacct/cpuacct.usage")
        spent = None if nano is None else nano / 1e9
    return {"oom": bool(kills), "memory_peak": peak, "cpu_seconds": spent}


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _entry(path: str, name: str) -> int | None:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None
