"""Where tests put what other users must reach, too."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def open_place() -> Iterator[Path]:
    """A directory that every user may enter, as the server's user must; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="dais-acceptance-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place
