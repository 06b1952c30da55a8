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


@settings("limits")
class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one user may ask of one server process; 0 is no limit."""

    requests_per_minute: Annotated[
        int, msgspec.Meta(ge=0, description="Requests in a minute, as many at once after a quiet minute.")
    ] = 60_000
    submits_per_minute: Annotated[
        int, msgspec.Meta(ge=0, description="Jobs submitted or retried in a minute, as many at once after a quiet one.")
    ] = 6_000
    streams: Annotated[
        int, msgspec.Meta(ge=0, description="Streams open at the same time: events, followed logs, commands in jobs.")
    ] = 1_000
    uploads: Annotated[int, msgspec.Meta(ge=0, description="Uploads under way at the same time.")] = 64
    upload_bytes: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of all uploads under way together; one alone is always taken.")
    ] = 1 << 30
