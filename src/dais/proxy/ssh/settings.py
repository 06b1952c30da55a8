"""Settings of the SSH gateway."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("ssh")
class SshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The way into running jobs through SSH: where it listens, and what it takes from whom."""

    enabled: Annotated[bool, msgspec.Meta(description="Whether there is one.")] = True
    host: Annotated[
        str, msgspec.Meta(description="Address to listen on; empty: the server's own. SSH needs no TLS before it.")
    ] = ""
    port: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=65535,
            description="Its port; 0 picks a free one. If another program has it, `dais ssh` goes through the API.",
        ),
    ] = 2222
    public_host: Annotated[
        str, msgspec.Meta(description="The name that people reach it by; empty: that of the API's address.")
    ] = ""
    certificate_hours: Annotated[
        float,
        msgspec.Meta(gt=0, le=720, description="Hours for which a certificate holds that `dais ssh` asks for."),
    ] = 16.0
    connections: Annotated[int, msgspec.Meta(ge=1, description="Connections at the same time.")] = 512
    address_connections: Annotated[
        int, msgspec.Meta(ge=1, description="Connections of one address at the same time.")
    ] = 128
    user_connections: Annotated[int, msgspec.Meta(ge=1, description="Connections of one user at the same time.")] = 64
    channels: Annotated[
        int, msgspec.Meta(ge=1, description="Shells, commands and forwarded ports of one connection at the same time.")
    ] = 128
    login_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=600, description="Seconds within which a connection must say who it is.")
    ] = 30.0
    tries: Annotated[
        int, msgspec.Meta(ge=1, le=100, description="Keys that one connection may try before it is cut.")
    ] = 12
    silence_seconds: Annotated[
        float, msgspec.Meta(ge=1, description="Seconds of silence after which a client is asked whether it lives.")
    ] = 30.0
