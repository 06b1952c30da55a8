"""Checks of the machine itself and of the disk that holds the data directory."""

from __future__ import annotations

import ctypes
import os
import time
from collections import Counter
from pathlib import Path

from dais.app.doctor.facts import nearest
from dais.app.doctor.remedies import install
from dais.app.doctor.types import Answer, Check, Facts
from dais.engines.local.machine import cores, memory
from dais.engines.nvidia import Gpus
from dais.kit.database.mounts import NETWORK_FILE_SYSTEMS, file_system_of
from dais.kit.errors import DaisError
from dais.wire.units import short_size

_kernel = (5, 12)
_cgroup_kill = (5, 14)
_least_bytes = 2 << 30
_least_inodes = 50_000
_built_after = 1_750_000_000
_time_error = 5
_nvidia = "0x10de"


def _release(_: Facts) -> Answer:
    release = os.uname().release
    version = tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in release.split(".")[:2])
    if version < _kernel:
        return Answer(
            "weak",
            f"Linux {release}",
            "id-mapped mounts and a sure end of control groups are newer: 5.14 has both",
            "upgrade to a distribution with Linux 5.14 or newer",
        )
    if version < _cgroup_kill:
        return Answer("fine", f"Linux {release} (5.14 ends control groups faster)")
    return Answer("fine", f"Linux {release}")


def _slots(facts: Facts) -> Answer:
    reserve = 0 if isinstance(facts.settings, DaisError) else facts.settings["local"].reserve_memory
    offered = memory(reserve)
    text = f"{cores():g} cores and {short_size(offered)} of memory are offered to jobs"
    if offered < 1 << 30:
        return Answer("weak", text, "small jobs only", "lower DAIS_LOCAL_RESERVE_MEMORY, or add memory")
    return Answer("fine", text)


def _clock(_: Facts) -> Answer:
    if time.time() < _built_after:
        return Answer(
            "bad",
            f"the clock says {time.strftime('%Y-%m-%d', time.gmtime())}",
            "certificates, links and time limits go wrong",
            "timedatectl set-ntp true",
        )
    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None).adjtimex(buffer) == _time_error:
        return Answer("absent", "nothing says that it is synchronized (a virtual machine's host may see to it)")
    return Answer("fine", "synchronized")


def _gpus(facts: Facts) -> Answer:
    if isinstance(facts.settings, DaisError):
        gpus = Gpus()
    else:
        gpus = Gpus(facts.settings["local"].nvml, facts.settings["local"].gpu_devices)
    found = gpus.look()
    if gpus.problem:
        return Answer("bad", gpus.problem, "no GPU is offered to jobs", "nvidia-smi (it tells more), then its driver")
    if found:
        kinds = Counter(gpu.name for gpu in found)
        names = ", ".join(f"{count}x {name}" if count > 1 else name for name, count in kinds.items())
        return Answer("fine", f"{names}; given to jobs whole, each sees its own only")
    if _nvidia_cards():
        return Answer(
            "weak",
            "there is an NVIDIA GPU and no driver that answers",
            "jobs cannot have it",
            install("nvidia-driver"),
        )
    return Answer("absent", "no NVIDIA driver: jobs run without GPUs")


def _nvidia_cards() -> bool:
    for vendor in Path("/sys/bus/pci/devices").glob("*/vendor"):
        try:
            if vendor.read_text().strip() == _nvidia and (vendor.parent / "class").read_text().startswith("0x03"):
                return True
        except OSError:
            continue
    return False


def _writable(facts: Facts) -> Answer:
    place = nearest(facts.data_dir)
    if not os.access(place, os.W_OK | os.X_OK):
        return Answer(
            "bad",
            f"{place} is not writable for you",
            "Dais cannot start there as this user",
            "dais up --data-dir DIR, with one that you can write, or the user whose it is",
        )
    return Answer("fine", str(facts.data_dir) + ("" if place == facts.data_dir else " (made by `dais up`)"))


def _space(facts: Facts) -> Answer:
    found = os.statvfs(nearest(facts.data_dir))
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    text = f"{short_size(free)} of {short_size(total)} are free"
    if free < _least_bytes:
        return Answer(
            "bad",
            text,
            "uploads and launches stop before the disk is full",
            "free some space, or move the data directory: dais up --data-dir DIR",
        )
    return Answer("fine", text)


def _inodes(facts: Facts) -> Answer | None:
    found = os.statvfs(nearest(facts.data_dir))
    if not found.f_files:  # btrfs and others have as many as fit
        return None
    text = f"{found.f_favail:,} more files can be made"
    if found.f_favail < _least_inodes:
        return Answer("bad", text, "jobs and uploads fail as on a full disk", "remove files, or use another disk")
    return Answer("fine", text)


def _file_system(facts: Facts) -> Answer:
    kind = file_system_of(nearest(facts.data_dir))
    if kind in NETWORK_FILE_SYSTEMS:
        sqlite = isinstance(facts.settings, DaisError) or not facts.settings["database"].url
        return Answer(
            "bad" if sqlite else "weak",
            f"{kind}, a network file system",
            "SQLite would lose data: `dais up` refuses" if sqlite else "logs and folders are slow",
            "dais up --data-dir DIR on a local disk, or DAIS_DATABASE_URL=postgresql://…",
        )
    return Answer("fine", kind)


MACHINE = (
    Check("kernel", "kernel", _release),
    Check("slots", "slots", _slots),
    Check("clock", "clock", _clock),
)
DATA = (
    Check("data_dir", "place", _writable),
    Check("file_system", "file system", _file_system),
    Check("space", "space", _space),
    Check("inodes", "files", _inodes),
)
GRAPHICS = (Check("gpus", "GPUs", _gpus),)
