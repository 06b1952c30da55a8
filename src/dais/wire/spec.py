"""The job specification: one document, the same from a YAML file, the CLI, the SDK and REST.

These structs are the canonical form: bytes, seconds, complete names. What people may write beside it (suffixes,
`K=V` lists, the Element AI spellings) is turned into it by `wire.read`. The spec is stored whole as JSON.
"""

from __future__ import annotations

from typing import Literal

import msgspec

GIB = 1 << 30

JobType = Literal["batch", "interactive"]
NetworkMode = Literal["none", "internet", "host"]


class Mount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder at a path in the job. `name` is its name or id; `path` a directory below its root ("": all of it)."""

    name: str
    target: str
    path: str = ""
    read_only: bool = False


class SecretUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A secret of the job's account by its name, as a variable (`variable`, else its own name) or as a file."""

    name: str
    variable: str | None = None
    file: str | None = None


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file set (`NAME` or `NAME:N`) that the job reads; `target` None: laid out in the working directory."""

    fileset: str
    target: str | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is written below `path` of the working directory becomes a file set (None: `job_<number>_output`)."""

    path: str
    fileset: str | None = None


class Port(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A port that the job listens on, by a name. `http` ones have an address for browsers, WebSockets included."""

    name: str
    port: int
    protocol: Literal["http", "tcp"] = "http"


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cores, bytes of memory, whole GPUs, and bytes of `/dev/shm` (None: half of `mem`, at most 2 GiB)."""

    cpu: float = 1.0
    mem: int = GIB
    gpu: int = 0
    shm: int | None = None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request for compute. `None` means the installation's or the group's default.

    `max_run_time` is in seconds; so is `idle_timeout`, of an interactive job, after which it is stopped if nobody uses
    it (0: never). `source` is the digest of a source snapshot, staged as the working directory.
    `requirements` is the path, inside the source, of what the environment is built from (`requirements.txt` or
    `pyproject.toml`); "" means none even if the source has one.
    `code` is a zip in the data lake, `/path` or `/path:N`, unpacked in the working directory.
    `notify` is who is told when it ends (see `wire.notify`); empty: whoever its owner's default names.
    """

    command: tuple[str, ...]
    name: str | None = None
    account: str | None = None
    image: str | None = None
    workdir: str | None = None
    data: tuple[Mount, ...] = ()
    environment: dict[str, str] = {}
    secrets: tuple[SecretUse, ...] = ()
    resources: Resources = Resources()
    type: JobType = "batch"
    preemptable: bool = False
    restartable: bool = False
    bid: int = 0
    max_run_time: int | None = None
    idle_timeout: int | None = None
    tags: dict[str, str] = {}
    network: NetworkMode = "none"
    pty: bool = False
    source: str | None = None
    requirements: str | None = None
    inputs: tuple[Input, ...] = ()
    output: Output | None = None
    code: str | None = None
    notify: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    group: str | None = None
