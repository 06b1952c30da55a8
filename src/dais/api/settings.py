"""Settings of the server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("server")
class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the server listens and stops."""

    host: Annotated[
        str, msgspec.Meta(description="Address to listen on; anything but loopback needs `dais up --insecure`.")
    ] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")] = 8765
    stop_seconds: Annotated[
        float, msgspec.Meta(ge=0, le=600, description="Seconds that requests under way get to end when it stops.")
    ] = 5.0
    metrics_token: Annotated[
        str,
        msgspec.Meta(
            description="A token that opens `/metrics` and nothing else; empty: only administrators' tokens open it."
        ),
    ] = ""
    slow_seconds: Annotated[
        float, msgspec.Meta(ge=0, description="Requests that take longer are logged; 0: none, however slow.")
    ] = 5.0
    access_log: Annotated[
        int, msgspec.Meta(ge=0, description="Log every N-th request; 0: none but failed and slow ones.")
    ] = 0
    log_level: Annotated[
        str, msgspec.Meta(pattern="^(debug|info|warning|error)$", description="What goes to the server's log.")
    ] = "info"
