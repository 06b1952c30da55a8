"""Settings of compute."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dais.kit.settings import settings


@settings("compute")
class ComputeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs are treated."""

    default_max_run_time: Annotated[
        int, msgspec.Meta(ge=0, description="Time limit in seconds of jobs that name none; 0 is no limit.")
    ] = 0
    interactive_per_user: Annotated[
        int,
        msgspec.Meta(ge=0, description="Interactive jobs that one user may have waiting or running; 0 is no limit."),
    ] = 1
    interactive_max_run_time: Annotated[
        int,
        msgspec.Meta(ge=0, description="Seconds that an interactive job may run at most; 0 is no limit."),
    ] = 7 * 86_400
    stop_grace: Annotated[
        float, msgspec.Meta(ge=0, le=3600, description="Seconds between asking a job to end (TERM) and killing it.")
    ] = 10.0
    log_limit: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of output kept per run; what comes after is discarded, with a mark.")
    ] = 1 << 30
    log_days: Annotated[
        int, msgspec.Meta(ge=0, description="Days after which the log of a run expires; 0: never. Accounts may differ.")
    ] = 90
    log_bytes: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="Bytes of output kept of all runs together; beyond it the oldest expire. 0 is no limit."
        ),
    ] = 0
    free_disk: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="Bytes of the data directory's disk below which no job is started (at most a twentieth of it).",
        ),
    ] = 1 << 30
    free_inodes: Annotated[
        int, msgspec.Meta(ge=0, description="Files that it must have room for, else no job is started.")
    ] = 10_000
    work_limit: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            description="Bytes of disk that a job's working directory may take; looked at every few seconds, a job "
            "with more is ended. 0 is no limit.",
        ),
    ] = 100 << 30
    code_limit: Annotated[
        int,
        msgspec.Meta(ge=0, description="Bytes to which the code of a job, a zip, may be unpacked."),
    ] = 4 << 30
    output_limit: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes that may become the file set of a job; with more the job fails.")
    ] = 100 << 30
    partial_limit: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="Bytes that are kept aside of what a job had written that did not succeed. 0: nothing is."
        ),
    ] = 1 << 30
    preparation_limit: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds that staging a source and building an environment may take.")
    ] = 3600.0
    finishing_limit: Annotated[
        float, msgspec.Meta(gt=0, description="Seconds after which a log that cannot be stored is given up.")
    ] = 600.0
    build_network: Annotated[
        Literal["auto", "internet", "host"],
        msgspec.Meta(
            description="The network in which environments are built: internet, host (the machine's own), or auto: "
            "internet where the machine can do it and has no package index, proxy or certificate of its own configured."
        ),
    ] = "auto"
    parallel_preparations: Annotated[
        int, msgspec.Meta(ge=1, description="Runs that are prepared at the same time.")
    ] = 4
    app_start: Annotated[
        float,
        msgspec.Meta(gt=0, le=600, description="Seconds within which an app that was started must answer."),
    ] = 60.0
    app_unread: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="Seconds after which a connection to a port of a job is cut, of which a direction has ended, "
            "and of the rest of which the app (or the client) takes nothing. 0: never.",
        ),
    ] = 120.0
    code_pool: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=64,
            description="Sandboxes with a started Python that are kept ready for code sessions, at most: as many as "
            "were opened within a minute lately, none where nobody opens any. 0: none.",
        ),
    ] = 4
    max_active_jobs: Annotated[
        int, msgspec.Meta(ge=1, description="Jobs that one user may have waiting or running at the same time.")
    ] = 10_000
