"""Settings of the facade for ACAI's clients."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("acai")
class AcaiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ACAI's clients get of Dais."""

    enabled: Annotated[
        bool, msgspec.Meta(description="Whether the addresses of ACAI's services are answered, on the server's port.")
    ] = True
    organization: Annotated[
        str,
        msgspec.Meta(description="The organization in which projects are made; empty: that of the administrator."),
    ] = ""
    link_seconds: Annotated[
        int, msgspec.Meta(ge=10, le=86_400, description="Seconds for which an address to upload or download holds.")
    ] = 3600
    fallback_image: Annotated[
        str,
        msgspec.Meta(
            description="The image of jobs whose `container_image` is unknown here, as `host`; empty: refused."
        ),
    ] = ""
