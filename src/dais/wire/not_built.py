"""Fields of a job that the Element AI Toolkit has and Dais does not: refused, with what to do instead."""

from __future__ import annotations

from typing import Any

from dais.wire.problems import SpecError
from dais.wire.scalars import resolved

NOT_BUILT = {
    "options": "options of a job, such as internal-dns",
    "role": "a job's own role",
    "replicas": "more than one replica",
    "gpu_mem": "choosing GPUs by memory",
    "gpu_model": "choosing GPUs by model",
    "gpu_tensor_cores": "choosing GPUs by tensor cores",
    "cuda_version": "choosing nodes by CUDA version",
    "cpu_model": "choosing nodes by CPU model",
    "infiniband": "choosing nodes by InfiniBand",
}
"""Fields of the Element AI Toolkit that are known and refused: what is not built yet."""

INSTEAD = {
    "options": "reach a port of the other job through Dais (`dais job address`)",
    "role": "give it a key of the role as a secret (`dais role key new`, `dais secret new`, --secret NAME)",
    "replicas": "submit a job for each",
}
"""What to do without them; where nothing stands, a group of such machines may be named."""

GRANTED = ("tunnel",)
"""Fields of the Element AI Toolkit that ask for what every job has: each port can be reached."""


def instead_of(name: str) -> str:
    """What to do without a field that is not built."""
    return f"leave it out; {INSTEAD.get(name, 'name a group of such machines instead (--group, `group:`)')}"


def refuse_not_built(path: str, name: str, value: Any) -> None:
    """Refuse a field, unless it asks for nothing: `replicas: 1`, `options: {}`, `gpuMem: 0`. Raises SpecError."""
    plain = resolved(value)
    if plain is None or plain in (False, {}, [], "") or (name == "replicas" and plain == 1):
        return
    raise SpecError(
        path,
        f"{NOT_BUILT[name]}: this is not built yet",
        given=value,
        hint=instead_of(name),
        code="not-built-yet",
    )
