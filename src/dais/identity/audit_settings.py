"""Settings of the audit log."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("audit")
class AuditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is written down of who did what, and for how long."""

    days: Annotated[int, msgspec.Meta(ge=0, description="Days that an entry is kept; 0: for ever.")] = 400
    refusals_per_minute: Annotated[
        int,
        msgspec.Meta(
            ge=1, description="Refused attempts of one user that are written down in a minute; others are counted."
        ),
    ] = 60
