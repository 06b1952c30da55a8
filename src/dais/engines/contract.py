"""The engine contract: small, idempotent, with an opaque handle that is all a restarted server needs.

One suite (`tests/contract`) runs on every engine, the fake first. Calls return at once: what takes time is told
through `poll`, or pushed through `watch`.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

Handle = dict[str, Any]
"""JSON that names a launched container to its engine, also after a restart of the server. Opaque to everybody else."""

STDOUT, STDERR, SYSTEM = 1, 2, 3
"""Log streams. SYSTEM carries marks such as "output beyond 1 GiB was discarded"."""


FRAME_HEAD = 13
"""Bytes before the data of an encoded frame: 8 of time (ns), 1 of stream, 4 of length, big-endian."""


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory or file at a path in the container; the server has checked and created it.

    `exact`: `source` has no link in any part of it. A job may have put one there since; it must not be followed then.
    """

    source: str
    target: str
    read_only: bool = True
    exact: bool = False


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A read-only file whose content is kept in memory, never on a disk; it belongs to the container's user."""

    target: str
    content: bytes
    mode: int = 0o400


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Cores, bytes, counts and seconds; None is no limit. `grace` is the time between TERM and KILL, in seconds."""

    cpu: float | None = None
    memory: int | None = None
    pids: int | None = 4096
    shm: int = 64 << 20
    open_files: int = 65_536
    log: int = 1 << 30
    time: float | None = None
    grace: float = 10.0


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """A pseudo-terminal's size and type."""

    rows: int = 24
    cols: int = 80
    term: str = "xterm-256color"


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """What a container holds of its node while it runs, as the scheduler counts: thousandths of a core, and bytes."""

    cpu_millis: int = 0
    memory: int = 0


class LaunchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an engine needs to start one container.

    `root` is "host" (the machine's own tools, read-only) or a registered root directory. `ro_host` are host paths
    bound read-only at the same place (an interpreter's prefix). `gpus` are the UUIDs of those that are its own;
    `devices` are device nodes, which the engine that knows the GPUs adds. `env` is the whole environment. `isolation`
    is "sandbox" or "process". With `lease` a root supervisor gives the container a uid of its own for as long as it
    lives, and what is bound belongs to that; else `uid` and `gid` are what it drops to. `env` and `files` may hold
    secrets: an engine shows them to the container alone, and writes them to no disk, log or command line.
    """

    attempt_id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str | None = None
    root: str = "host"
    binds: tuple[Bind, ...] = ()
    files: tuple[File, ...] = ()
    ro_host: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    devices: tuple[Bind, ...] = ()
    network: str = "none"
    hostname: str = "dais"
    uid: int | None = None
    gid: int | None = None
    lease: bool = False
    pty: Terminal | None = None
    limits: Limits = Limits()
    slots: Slots = Slots()
    isolation: str = "sandbox"


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


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as its engine sees it: whole slots, not what is free. `gpus` are UUIDs; `isolation` is the probe's
    result."""

    name: str
    cpu: float
    memory: int
    gpus: tuple[str, ...] = ()
    isolation: dict[str, Any] = {}


class HostTools(msgspec.Struct, frozen=True, kw_only=True):
    """What the image `host` is on an engine's machines, and how jobs are isolated there.

    `interpreter` is a Python that a job's uid can execute, `version` what it says of itself; `paths` are host paths
    outside `/usr` that it needs, bound read-only at the same place. `uid` and `gid` are whose files in folders and
    working directories must be (None: the server's own). With `lease` each job runs as a user of its own, who sees them
    as its own; else jobs run as that user. `internet`: the network of that name can be had. `missing` says what is not
    isolated, and why.
    """

    interpreter: str
    version: str
    paths: tuple[str, ...] = ()
    isolation: str = "sandbox"
    uid: int | None = None
    gid: int | None = None
    lease: bool = False
    internet: bool = False
    missing: tuple[str, ...] = ()


class LaunchRefused(Exception):
    """The engine can never start this spec; `args[0]` says why."""


class CommandNotFound(LaunchRefused):
    """There is no program of that name in the container, or none that may be executed."""


class Engine(Protocol):
    """What every engine can do. All calls are idempotent; a handle whose container is long gone is no error."""

    name: str

    async def start(self) -> None:
        """Connect to whatever runs the containers; called once, before anything else."""
        ...

    async def retire(self) -> None:
        """The server is going away on purpose: what was started for it, and runs nothing, may end."""
        ...

    async def close(self) -> None:
        """Disconnect. Containers go on."""
        ...

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        """Start containers; the same `attempt_id` twice gives the same handle and one container.

        Returns before they run. A spec that cannot be started is reported as ended with `launch-failed`.
        Raises OSError when the engine cannot be reached: nothing is known, try again with the same ids.
        """
        ...

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """The state of each, in the same order. A handle that the engine never saw is `LOST` (see `Phase`).

        Raises OSError while the engine cannot be reached: that says nothing about the containers.
        """
        ...

    def watch(self) -> AsyncIterator[Batch]:
        """Changes as they happen; engines that must be asked yield nothing and only `poll` tells.

        Delivery is at least once: what was not acknowledged is told again by the next `watch()`, also to the next
        server. One watcher at a time; it ends when the engine is closed, and an outage of the engine only delays it.
        """
        ...

    async def acknowledge(self, batch: Batch) -> None:
        """The batch is committed: the engine may forget that it told it."""
        ...

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        """TERM, then KILL after `grace` seconds; also covers what has not started yet. Absent means success.

        The first call's `reason` is the one that is echoed. Raises OSError when the engine cannot be reached.
        """
        ...

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        """Output from `cursor` (None: the beginning), at most about `limit` bytes; does not wait for more.

        A cursor is `segment:offset`: the offset counts encoded bytes, 13 for the head of each frame and its data. The
        frames of one answer lie in one segment, so that each frame's own cursor can be told, and a log that was copied
        elsewhere keeps its cursors. `eof` comes only with an empty answer. An attempt without output, or unknown, has
        no frames. Raises ValueError for what is no cursor.
        """
        ...

    async def log_end(self, handle: Handle) -> str:
        """The cursor behind the last output there is now; for reading backwards from the end."""
        ...

    async def forget(self, handles: Sequence[Handle]) -> None:
        """The server holds log and result: remove what the engine still keeps of these. Running ones stay."""
        ...

    async def ended(self) -> list[Handle]:
        """Containers that have ended and of which something is still kept; a server that comes back sweeps them."""
        ...

    async def nodes(self) -> list[NodeInfo]:
        """The machines."""
        ...

    async def host_tools(self) -> HostTools:
        """What the image `host` is here. Raises LaunchRefused when there is no Python that jobs could execute."""
        ...


@runtime_checkable
class Backfills(Protocol):
    """Engines that may be given more than fits on a node: each container starts, in order, once its slots are free."""

    @property
    def backfills(self) -> bool:
        """Whether it does so now; what runs the containers may be older than the server."""
        ...


class ExecStream(Protocol):
    """A command running inside a container."""

    async def send(self, data: bytes) -> None:
        """Bytes to its stdin; waits while it does not read."""
        ...

    async def send_eof(self) -> None: ...
    async def resize(self, rows: int, cols: int) -> None: ...
    async def signal(self, name: str) -> None: ...

    async def receive(self) -> tuple[int, bytes] | int:
        """The next (stream, bytes); or, last, the exit code (128 + n for signal n)."""
        ...

    async def close(self) -> None:
        """End it, if it still runs."""
        ...


@runtime_checkable
class Exec(Protocol):
    """Engines that can run a command inside a running container."""

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        """`env` is set over what the container was launched with.

        Raises LookupError when it does not run, CommandNotFound, LaunchRefused when it cannot be started.
        """
        ...


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a running container uses now. Of its GPUs together: bytes, and the mean share of time that they worked."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    pids: int | None = None
    gpu_memory: int | None = None
    gpu_utilization: float | None = None


@runtime_checkable
class Connected(Protocol):
    """An engine that may be out of reach for a while, and knows it."""

    @property
    def connected(self) -> bool: ...


@runtime_checkable
class Metered(Protocol):
    """Engines that can tell what running containers use."""

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]: ...


class RootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a root directory: its system's own name, and the path of its Python inside it, where it has them."""

    system: str | None = None
    python: str | None = None


@runtime_checkable
class Rooted(Protocol):
    """Engines whose containers can have a directory of their machines as root file system."""

    async def add_root(self, path: str) -> RootFacts:
        """Let launches name this directory as `root`. Raises LaunchRefused with what is wrong with it, OSError."""
        ...

    async def remove_root(self, path: str) -> None:
        """No launch may name it any more; one that is not known is fine. Raises LaunchRefused, OSError."""
        ...
