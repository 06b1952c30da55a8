"""Settings of the database."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("database")
class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows are."""

    url: Annotated[
        str,
        msgspec.Meta(
            description="sqlite:///FILE or postgresql://USER@HOST/NAME; empty: dais.db in the data directory."
        ),
    ] = ""
