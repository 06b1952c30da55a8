"""Settings of terminals."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("terminal")
class TerminalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long shells in jobs are kept, and how many."""

    unwatched: Annotated[
        int,
        msgspec.Meta(ge=1, description="Seconds after which a shell that nobody looks at is ended."),
    ] = 3600
    per_job: Annotated[int, msgspec.Meta(ge=1, description="Shells that one user may have open in one job.")] = 4
    per_user: Annotated[int, msgspec.Meta(ge=1, description="Shells that one user may have open in all jobs.")] = 16
    viewers: Annotated[int, msgspec.Meta(ge=1, description="Pages that may look at one shell at the same time.")] = 8
    replay: Annotated[
        int,
        msgspec.Meta(
            ge=4096, le=16 << 20, description="Bytes of a shell's output that are kept for who comes back to it."
        ),
    ] = 256 << 10
