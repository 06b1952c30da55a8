"""Asks the NVIDIA driver what GPUs there are. Run as a program, in a process of its own: a driver may crash or hang.

`python -I nvml.py LIBRARY` prints one JSON document: {"gpus": [{"uuid", "minor", "name", "memory"}]}, or {"error":
words} when there is a driver and it does not work. LIBRARY is a path, or "" for the one that the linker finds. UUIDs
after it ask for what these use now: {"used": {uuid: [bytes, share of time]}}.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import pynvml  # type: ignore[import-untyped]

_no_driver = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)


def main() -> None:
    """Print what was asked for."""
    library, uuids = sys.argv[1], sys.argv[2:]
    try:
        if library:
            pynvml.nvmlLib = ctypes.CDLL(library)
        pynvml.nvmlInit()
        found: dict[str, Any] = {"used": {uuid: _used(uuid) for uuid in uuids}} if uuids else {"gpus": _gpus()}
    except OSError as error:
        found = {"error": f"the NVML library {library} cannot be loaded: {error}"}
    except pynvml.NVMLError as error:
        found = {"gpus": []} if error.value in _no_driver else {"error": f"the NVIDIA driver says: {error}"}
    print(json.dumps(found))  # noqa: T201 - what it is asked for


def _gpus() -> list[dict[str, Any]]:
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    return [
        {
            "uuid": pynvml.nvmlDeviceGetUUID(handle),
            "minor": pynvml.nvmlDeviceGetMinorNumber(handle),
            "name": pynvml.nvmlDeviceGetName(handle),
            "memory": pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        }
        for handle in handles
    ]


def _used(uuid: str) -> tuple[int, float]:
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    return (
        pynvml.nvmlDeviceGetMemoryInfo(handle).used,
        pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
    )


if __name__ == "__main__":
    main()
