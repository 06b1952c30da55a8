"""The disk watch: before the disk of the data directory is full nothing new is started there; the server goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dais.compute.settings import ComputeSettings
from dais.wire.units import short_size

SMALL_DISK_SHARE = 20
"""Of a disk too small for the settings, a twentieth is kept free."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a disk, and what is short on it, in words (None: nothing is)."""

    free: int
    size: int
    short: str | None

    def full(self, node: str) -> str | None:
        """Why nothing is started on a node, for whoever waits."""
        if self.short is None:
            return None
        return (
            f"the disk of {node} is nearly full: {self.short}; free space there (dais job rm, dais folder rm), or let "
            "the administrator lower DAIS_COMPUTE_FREE_DISK"
        )


def look_at(directory: Path, settings: ComputeSettings) -> Disk | None:
    """The disk of a directory; None when it cannot be asked, which stops nothing."""
    try:
        info = os.statvfs(directory)
    except OSError:
        return None
    free, size = info.f_bavail * info.f_frsize, info.f_blocks * info.f_frsize
    needed = min(settings.free_disk, size // SMALL_DISK_SHARE)
    files_needed = min(settings.free_inodes, info.f_files // SMALL_DISK_SHARE)  # some file systems have no such number
    short = None
    if free < needed:
        short = f"{short_size(free)} free, {short_size(needed)} needed"
    elif info.f_favail < files_needed:
        short = f"room for {info.f_favail:,} files, {files_needed:,} needed"
    return Disk(free, size, short)
