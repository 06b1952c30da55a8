"""A Jupyter kernel for jobs: the ipykernel of these tests' own environment, as an archive that any job can unpack."""

from __future__ import annotations

import io
import re
import sys
import tarfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
LEFT_OUT = ("debugpy", "jedi")
"""Large, and not needed to run cells."""


@cache
def ipykernel_archive() -> bytes:
    """A tar of the packages of ipykernel, for `PYTHONPATH`. Skips where jobs would have another Python."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"the packages of these tests are for {SYSTEM_PYTHON}, which is not here")
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name in sorted(_with_needs("ipykernel", set())):
            for file in metadata.files(name) or ():
                if ".." not in file.parts and "tests" not in file.parts and file.suffix != ".pyc":
                    archive.add(str(file.locate()), str(file))
    return written.getvalue()


def _with_needs(name: str, found: set[str]) -> set[str]:
    """A distribution and all that it requires."""
    if name in found or name in LEFT_OUT:
        return found
    try:
        needs = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another Python or system
        return found
    found.add(name)
    for need in needs:
        if "extra ==" not in need:
            _with_needs(re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0].lower(), found)
    return found
