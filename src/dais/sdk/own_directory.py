"""The user's own directories for Dais."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_xdg = {
    "cache": ("XDG_CACHE_HOME", "~/.cache"),
    "config": ("XDG_CONFIG_HOME", "~/.config"),
    "data": ("XDG_DATA_HOME", "~/.local/share"),
}


def own_directory(kind: str) -> Path:
    """Where the platform keeps what is a user's `cache`, `config` or `data` of a program called "dais".

    On Linux without the library, which takes longer to import than a command in a job to run.
    """
    if sys.platform != "linux":
        import platformdirs

        return Path(getattr(platformdirs, f"user_{kind}_dir")("dais"))
    variable, usual = _xdg[kind]
    base = Path(os.environ.get(variable, "").strip())
    return (base if base.is_absolute() else Path(usual).expanduser()) / "dais"
