"""What an engine is given to start a container."""

from __future__ import annotations

import msgspec


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

    `root` is "host" (the machine's own tools, read-only) or a registered root directory; an engine with an image store
    goes by `image` instead, the id or a reference of one that is there. `ro_host` are host paths bound read-only at the
    same place (an interpreter's prefix). `gpus` are the UUIDs of those that are its own; `devices` are device nodes,
    which the engine that knows the GPUs adds. `env` is the whole environment (that of an image is below it).
    `isolation` is "sandbox", "process" or "container". With `lease` a root supervisor gives the container a uid of its
    own for as long as it lives, and what is bound belongs to that; else `uid` and `gid` are what it drops to (None: the
    server's own). `env` and `files` may hold secrets: an engine shows them to the container alone and writes them to no
    disk, log or command line. `labels` say whose it is, to who looks at the engine itself; `bid` is what it offers to
    be sooner, to an engine that has an order of its own. `owner` is the id of whose it is, to engines whose
    jobs are Unix users of their own (`people`); empty: the server's.
    """

    attempt_id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str | None = None
    root: str = "host"
    image: str | None = None
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
    bid: int = 0
    owner: str = ""
    labels: dict[str, str] = {}


class LaunchRefused(Exception):
    """The engine can never start this spec; `args[0]` says why."""


class CommandNotFound(LaunchRefused):
    """There is no program of that name in the container, or none that may be executed."""
