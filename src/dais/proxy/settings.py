"""Settings of the proxy to jobs' apps."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.kit.settings import settings


@settings("proxy")
class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How people's browsers and programs reach the apps of jobs."""

    domain: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$",
            description="Apps are at `http://JOB.job.DOMAIN`, on the port of Dais: a name whose `*.job.` below leads "
            "here (wildcard DNS). `localhost` needs none, and serves this machine alone.",
        ),
    ] = "localhost"
    ports: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^([0-9]{1,5}-[0-9]{1,5})?$",
            description="Where there is no wildcard DNS: a range of ports as `9000-9099`, one for each app that is "
            "opened, on the host of Dais; empty: apps have host names.",
        ),
    ] = ""
    ports_url: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(https?://[^/\s]*\{port\}[^/\s]*)?$",
            description="The address of such a port for browsers, where a proxy stands before it, as "
            "`https://apps.example.org:{port}`; empty: the host of Dais.",
        ),
    ] = ""
    public: Annotated[
        bool, msgspec.Meta(description="Whether owners of jobs may open ports to everybody (`dais job expose`).")
    ] = True
    connections: Annotated[
        int, msgspec.Meta(ge=1, description="Connections of clients to apps at the same time, in one server process.")
    ] = 4096
    app_connections: Annotated[
        int, msgspec.Meta(ge=1, le=4096, description="Connections to one port of one job at the same time.")
    ] = 256
    answer_seconds: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds that an app may take to begin its answer.")
    ] = 600.0
    stall_seconds: Annotated[
        float,
        msgspec.Meta(
            gt=0, description="Seconds after which a client that takes or brings nothing is cut in an answer."
        ),
    ] = 120.0
