"""Letting somebody back in from the machine itself, while the server runs or not."""

from __future__ import annotations

from pathlib import Path

from dais.app.beside import opened
from dais.identity.signing_in.resetting import Reset, reset_sign_in

__all__ = ["Reset", "reset"]


def reset(data_dir: Path, name: str, config: Path | None = None, *, password: bool = False) -> Reset:
    """See `reset_sign_in`. Raises Forbidden `not-the-owner`, NotFound `no-database`, `no-such-user`, Conflict."""
    with opened(data_dir, config) as db:
        made: Reset = db.write_sync(reset_sign_in, name, password=password)
        return made
