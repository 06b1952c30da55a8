"""What an engine tells: where containers are, what they print, which machines there are."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

Handle = dict[str, Any]
"""JSON that names a launched container to its engine, also after a restart of the server. Opaque to everybody else."""

STDOUT, STDERR, SYSTEM = 1, 2, 3
"""Log streams. SYSTEM carries marks such as "output beyond 1 GiB was discarded"."""


FRAME_HEAD = 13
"""Bytes before the data of an encoded frame: 8 of time (ns), 1 of stream, 4 of length, big-endian."""


class Phase(enum.StrEnum):
    """Where a container is.

    LOST means that the engine cannot know how it ended, and that nothing of it is left. With reason `node-lost` it had
    been accepted, and may have run. With reason None and detail `NEVER_ACCEPTED` the engine has never heard of it: it
    has not run, and the same attempt may be launched again.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


NEVER_ACCEPTED = "never accepted"
"""`Status.detail` of an attempt that the engine does not know: it was never launched, or the launch did not arrive."""

TOLD_BEFORE = "told before"
"""`Status.detail` of an attempt that has ended and whose end was acknowledged: the engine no longer knows how."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows of one attempt. Instants are µs since the epoch.

    `reason`, once ended: exit-code, signal, out-of-memory, time-limit, command-not-found, launch-failed, stopped,
    node-lost. `stop_reason` echoes what `stop` was given. `exit_code` comes with exit-code, `signal` with signal; both
    may come beside other reasons, as what was seen. None means "not told here": a status after a restart of the server
    need not repeat what an acknowledged one has said (`started_at`, `isolation`, …).
    """

    attempt_id: str
    phase: Phase
    reason: str | None = None
    stop_reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    detail: str | None = None
    node: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    isolation: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    log_bytes: int = 0
    log_truncated: bool = False


class Batch(msgspec.Struct, frozen=True):
    """Changes that an engine tells of its own accord; `token` is given back once they are committed.

    An attempt is named at most once, with its newest state: one that started and ended meanwhile is told as ended.
    """

    statuses: tuple[Status, ...]
    token: Any = None


class Frame(msgspec.Struct, frozen=True):
    """A chunk of output: nanoseconds since the epoch, stream, bytes (not necessarily whole lines)."""

    time_ns: int
    stream: int
    data: bytes


class LogChunk(msgspec.Struct, frozen=True):
    """Frames from a cursor on. `eof`: the container has ended and nothing follows."""

    frames: list[Frame]
    cursor: str
    eof: bool
    truncated: bool = False


class Others(msgspec.Struct, frozen=True, kw_only=True):
    """What is used on a node by what Dais did not start: thousandths of a core, bytes, GPUs."""

    cpu_millis: int = 0
    memory: int = 0
    gpu: int = 0


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as its engine sees it: whole slots, not what is free. `gpus` are UUIDs; `isolation` is the probe's
    result. `others` is what runs there that Dais did not start; `away` says why nothing can be started there now.
    `longest` is after how many seconds the engine ends any job there."""

    name: str
    cpu: float
    memory: int
    gpus: tuple[str, ...] = ()
    isolation: dict[str, Any] = {}
    others: Others = Others()
    away: str | None = None
    longest: int | None = None


class HostTools(msgspec.Struct, frozen=True, kw_only=True):
    """What the image `host` is on an engine's machines, and how jobs are isolated there.

    `interpreter` is a Python that a job's uid can execute, `version` what it says of itself; `paths` are host paths
    outside `/usr` that it needs, bound read-only at the same place. All three are empty where there is no such image,
    because every container starts from one of the engine's store (`isolation` is "container" then). `uid` and `gid` are
    whose files in folders and working directories must be (None: the server's own). With `lease` each job runs as a
    user of its own, who sees them as its own; else jobs run as that user. `internet`: the network of that name can be
    had. `labelled`: launches should have labels. `missing` says what is not isolated, and why. `runner` are the first
    words of a command line that run a Python which is mounted in every container, whatever its image; () for none.
    """

    interpreter: str = ""
    version: str = ""
    paths: tuple[str, ...] = ()
    isolation: str = "sandbox"
    uid: int | None = None
    gid: int | None = None
    lease: bool = False
    internet: bool = False
    labelled: bool = False
    missing: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
