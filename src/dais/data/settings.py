"""Settings of folders and blobs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("data")
class DataSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much may come, and how much disk is left free."""

    reserve_disk: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of the disk that uploads leave free; below it they are refused.")
    ] = 64 << 20
    unfinished_hours: Annotated[
        float,
        msgspec.Meta(gt=0, description="Hours after which uploads that were not finished, and unused blobs, may go."),
    ] = 24.0
