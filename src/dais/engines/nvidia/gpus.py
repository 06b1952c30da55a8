"""The GPUs of this machine: found through the driver, and the device nodes that a job with some of them needs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import Bind, LaunchRefused

_log = logging.getLogger(__name__)

_seconds = 30.0
"""A driver that is just being loaded may take long to answer."""
_signs = (Path("/proc/driver/nvidia"), Path("/dev/nvidiactl"))
_shared = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
"""What every process that uses any GPU opens; `nvidia-caps` is added where it is there."""


class Gpu(msgspec.Struct, frozen=True):
    """A GPU as the driver tells it; `minor` is the number in its device node's name, `memory` bytes."""

    uuid: str
    minor: int
    name: str
    memory: int


class Gpus:
    """Looks when it is asked, and remembers. `problem` says why a driver that is there gives no GPUs."""

    def __init__(self, library: str = "", devices: str = "/dev") -> None:
        self._library = library
        self._devices = Path(devices)
        self._found: dict[str, Gpu] | None = None
        self.problem: str | None = None

    @property
    def found(self) -> tuple[Gpu, ...]:
        """What was there when it looked last."""
        return tuple((self._found or {}).values())

    def look(self) -> tuple[Gpu, ...]:
        """The GPUs that are there now; none without a driver. Blocks for some 0.1 s where there is one."""
        problem = None
        found: dict[str, Any] = {}
        if self._driver_is_there():
            found = self._ask()
            problem = found.get("error")
        gpus = [msgspec.convert(gpu, Gpu) for gpu in found.get("gpus", ())]
        for gpu in gpus:
            if problem is None and not self._node(gpu).exists():
                problem = f"{gpu.name} ({gpu.uuid}) has no device node {self._node(gpu)}: run nvidia-modprobe"
        if problem is not None and problem != self.problem:
            _log.warning("no GPU is offered: %s", problem)
        self.problem = problem
        self._found = {} if problem else {gpu.uuid: gpu for gpu in gpus}
        return self.found

    def binds(self, uuids: Sequence[str]) -> tuple[Bind, ...]:
        """The device nodes for a job that was given these GPUs. Raises LaunchRefused when one is not there any more."""
        if self._found is None:
            self.look()
        known = self._found or {}
        missing = [uuid for uuid in uuids if uuid not in known]
        if missing:
            raise LaunchRefused(
                f"the GPU {missing[0]} is not there any more{f': {self.problem}' if self.problem else ''}; "
                "look with nvidia-smi and dais doctor"
            )
        names = [f"nvidia{known[uuid].minor}" for uuid in uuids] + [*_shared, *self._capabilities()]
        return tuple(
            Bind(source=str(self._devices / name), target=f"/dev/{name}", read_only=False)
            for name in names
            if (self._devices / name).exists()
        )

    def used(self, uuids: Sequence[str]) -> tuple[int, float] | None:
        """Bytes in use on these GPUs together, and the mean share of time that they worked; None if unknown. Blocks."""
        used: dict[str, tuple[int, float]] = self._ask(*uuids).get("used", {}) if uuids else {}
        if not used:
            return None
        return sum(memory for memory, _ in used.values()), sum(share for _, share in used.values()) / len(used)

    def _driver_is_there(self) -> bool:
        """Without a driver nothing is started to ask one."""
        return bool(self._library) or any(sign.exists() for sign in _signs)

    def _ask(self, *uuids: str) -> dict[str, Any]:
        argv = [sys.executable, "-I", str(Path(__file__).with_name("nvml.py")), self._library, *uuids]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_seconds, check=False
            )
            if done.returncode != 0:
                words = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
                return {"error": f"asking the NVIDIA driver crashed: {words[0]}"}
            answer: dict[str, Any] = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return {"error": f"the NVIDIA driver does not answer: {error}"}
        return answer

    def _node(self, gpu: Gpu) -> Path:
        return self._devices / f"nvidia{gpu.minor}"

    def _capabilities(self) -> list[str]:
        return sorted(f"nvidia-caps/{node.name}" for node in (self._devices / "nvidia-caps").glob("*"))
