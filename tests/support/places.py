"""Where tests put what other users must reach, too."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.needs import needs_root


@contextlib.contextmanager
def open_place() -> Iterator[Path]:
    """A directory that every user may enter, as the server's user must; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="dais-acceptance-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@contextlib.contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A disk of its own at `place`, which is made; `options` are a tmpfs's. Skips where this user may mount none."""
    needs_root()
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
