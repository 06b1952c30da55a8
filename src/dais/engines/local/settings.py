"""Settings of the local engine. The composition root registers them under the name `local`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the local engine may be told."""

    first_job_uid: Annotated[
        int,
        msgspec.Meta(
            ge=1000,
            lt=2**31,
            description="The first of the user ids that jobs get, each one of its own, when Dais was started as root; "
            "nobody else on this machine may have them",
        ),
    ] = 1_900_000_000
    job_uids: Annotated[
        int, msgspec.Meta(ge=16, le=1 << 20, description="How many user ids there are for jobs, from the first on")
    ] = 8192
    data_uid: Annotated[
        int,
        msgspec.Meta(
            ge=1000,
            lt=2**31,
            description="User and group id of the server and of all its files when Dais was started as root, unless "
            "there is a user named dais; no job ever has it",
        ),
    ] = 13010
    job_uid: Annotated[
        int,
        msgspec.Meta(
            ge=1000,
            description="User id that all jobs share, when Dais was started as root and the machine has no id-mapped "
            "mounts",
        ),
    ] = 13011
    job_gid: Annotated[int, msgspec.Meta(ge=1000, description="Group id that all jobs share then")] = 13011
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
    nvml: Annotated[
        str, msgspec.Meta(description="Path of NVIDIA's NVML library; empty: where the system's linker finds it")
    ] = ""
    gpu_devices: Annotated[str, msgspec.Meta(description="Directory with the GPUs' device nodes")] = "/dev"
    reserve_memory: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of this machine's memory that are not offered to jobs")
    ] = 512 << 20
    start_timeout: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds that the node supervisor may take to answer when it is started")
    ] = 20.0
