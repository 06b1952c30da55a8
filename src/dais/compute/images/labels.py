"""What an image's labels say to Dais: those that Backend.AI defined (the seed), and its least resources as numbers.

Labels come from whoever made the image: what cannot be read is left out, never an error.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping

import msgspec

from dais.compute.images.types import ServicePort
from dais.wire.problems import SpecError
from dais.wire.spec import Resources
from dais.wire.units import parse_size, short_size

PREFIX = "ai.backend."
_variable = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_port = re.compile(r"([A-Za-z0-9_-]{1,32}):([a-z]+):(\d{1,5}|\[\d{1,5}(?:,\d{1,5})*\])", re.ASCII)
_reserved = ("DAIS_", "EAI_", "LD_")


class Minimum(msgspec.Struct, frozen=True):
    """The least that a job of the image needs: cores, bytes, GPUs."""

    cpu: float = 0.0
    mem: int = 0
    gpu: int = 0

    def lacking(self, asked: Resources) -> str | None:
        """What a job asks too little of, as options that would do; None when it is enough."""
        short = []
        if asked.cpu < self.cpu:
            short.append(f"--cpu {self.cpu:g}")
        if asked.mem < self.mem:
            short.append(f"--mem {self.mem / (1 << 30):.4g} (GiB; it is {short_size(self.mem)})")
        if asked.gpu < self.gpu:
            short.append(f"--gpu {self.gpu}")
        return " ".join(short) or None


def minimum(labels: Mapping[str, str]) -> Minimum:
    """The labels `resource.min.*`. Sizes have binary suffixes (`256m`), numbers without one are bytes."""
    cpu = _number(labels.get(f"{PREFIX}resource.min.cpu"))
    gpu = _number(labels.get(f"{PREFIX}resource.min.cuda.device"))
    return Minimum(cpu, _size(labels.get(f"{PREFIX}resource.min.mem")), math.ceil(gpu))


def python_of(labels: Mapping[str, str]) -> str | None:
    """The path of the image's Python, where its labels say that this is its runtime."""
    path = labels.get(f"{PREFIX}runtime-path", "").strip()
    kind = labels.get(f"{PREFIX}runtime-type", "python" if "python" in path else "").strip()
    return path if kind == "python" and path.startswith("/") and "\0" not in path else None


def counted_variables(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that are set to the number of cores; Dais's own and the loader's are not among them."""
    names = (name.strip() for name in labels.get(f"{PREFIX}envs.corecount", "").split(","))
    return tuple(name for name in names if _variable.fullmatch(name) and not name.startswith(_reserved))


def service_ports(labels: Mapping[str, str]) -> tuple[ServicePort, ...]:
    """The label `service-ports`: `name:protocol:port` or `name:protocol:[port,port]`, with commas between them."""
    found = []
    for name, protocol, ports in _port.findall(labels.get(f"{PREFIX}service-ports", "")):
        numbers = tuple(int(port) for port in ports.strip("[]").split(","))
        if all(0 < port < 65_536 for port in numbers):
            found.append(ServicePort(name, protocol, numbers))
    return tuple(found)


def _number(text: str | None) -> float:
    with contextlib.suppress(ValueError):
        value = float(text or 0)
        if math.isfinite(value) and value > 0:
            return value
    return 0.0


def _size(text: str | None) -> int:
    written = (text or "0").strip()
    suffixes = {"b": "", "k": "Ki", "m": "Mi", "g": "Gi", "t": "Ti", "p": "Pi"}
    if written[-1:].lower() in suffixes:
        number, suffix = written[:-1], suffixes[written[-1:].lower()]
    else:
        number, suffix = written, ""
    with contextlib.suppress(SpecError, ValueError):
        return parse_size(f"{number}{suffix}" if suffix else str(int(float(number))))
    return 0
