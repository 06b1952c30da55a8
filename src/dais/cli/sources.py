"""Sending a source directory with a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dais.sdk.client import Client


def capture_with_progress(client: Client, directory: Path, yes: bool) -> str:
    """The digest of a directory's files, once the server has them."""
    from dais.cli.progress import transfer_bar

    with transfer_bar("source") as progress:
        return client.sources.capture(directory, allow_large=yes, progress=progress)
