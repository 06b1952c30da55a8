"""Settings of the local engine. The composition root registers them under the name `local`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the local engine may be told."""

    job_uid: Annotated[
        int, msgspec.Meta(ge=1000, description="User id that jobs run as, when the server was started as root")
    ] = 13011
    job_gid: Annotated[
        int, msgspec.Meta(ge=1000, description="Group id that jobs run as, when the server was started as root")
    ] = 13011
    isolation: Annotated[
        Literal["auto", "sandbox", "process"],
        msgspec.Meta(
            description="How jobs are kept apart: sandbox (bubblewrap), process (process groups and limits only), or "
            "auto: sandbox where the machine can, else process"
        ),
    ] = "auto"
    allow_unisolated: Annotated[
        bool,
        msgspec.Meta(description="Run other people's jobs even where the machine cannot keep their files apart"),
    ] = False
    interpreter: Annotated[
        str, msgspec.Meta(description="Path of the Python of the image `host`; empty: the first that jobs can execute")
    ] = ""
    reserve_memory: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of this machine's memory that are not offered to jobs")
    ] = 512 << 20
    start_timeout: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds that the node supervisor may take to answer when it is started")
    ] = 20.0
