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
    public_url: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(https?://[^/\s]+(/[^\s]*)?)?$",
            description="The address that people's browsers have for this installation, as `https://dais.example.org`: "
            "single sign-on, passkeys and messages need it; empty: where it listens.",
        ),
    ] = ""
    login_days: Annotated[
        float, msgspec.Meta(gt=0, le=3650, description="Days for which the token holds that `dais login` gets.")
    ] = 90.0
    stop_seconds: Annotated[
        float, msgspec.Meta(ge=0, le=600, description="Seconds that requests under way get to end when it stops.")
    ] = 5.0
    trusted_proxies: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Addresses or networks of proxies whose X-Forwarded-For is believed, parted by commas; what "
            "others send is not."
        ),
    ] = ()
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


@settings("bulk")
class BulkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The listener for large uploads, beside the API's, on the same host: what it takes, and from whom."""

    listen: Annotated[
        bool,
        msgspec.Meta(
            description="Whether there is one; without it large files are sent to the API, at half the speed."
        ),
    ] = True
    port: Annotated[
        int, msgspec.Meta(ge=0, le=65535, description="Its port; 0 picks a free one: clients are told which.")
    ] = 0
    url: Annotated[
        str,
        msgspec.Meta(
            description="Its address for clients, where a proxy stands before it, as `https://HOST:PORT`; empty: its "
            "port on the host that they reach the API at, if they reach that without TLS."
        ),
    ] = ""
    connections: Annotated[
        int, msgspec.Meta(ge=1, le=1024, description="Connections at the same time, each with a thread.")
    ] = 32
    user_connections: Annotated[
        int, msgspec.Meta(ge=1, description="Uploads of one user under way there at the same time.")
    ] = 8
    packs: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="Packs that are received at the same time, half of them of one user; each may take 16 MiB of "
            "memory.",
        ),
    ] = 8
    patience_seconds: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds after which a connection that brings nothing is cut.")
    ] = 30.0
    slowest: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes a second, on average over that time, below which an upload is cut.")
    ] = 16 << 10


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
    logins_per_minute: Annotated[
        int, msgspec.Meta(ge=0, description="Sign-ins that one address begins in a minute.")
    ] = 30
    codes_per_minute: Annotated[
        int, msgspec.Meta(ge=0, description="Codes of waiting machines that one user tries in a minute.")
    ] = 10
    uploads: Annotated[int, msgspec.Meta(ge=0, description="Uploads under way at the same time.")] = 64
    upload_bytes: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of all uploads under way together; one alone is always taken.")
    ] = 1 << 30
