"""What is asked and answered about resource groups. Sizes are bytes, CPU is in cores, instants are RFC 3339 text."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from dais.wire.answers import Answer


class NewGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group to attach. `name` is by default the engine's; `default_image` what jobs start from that name none."""

    engine: Annotated[str, msgspec.Meta(max_length=32)]
    name: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    options: dict[str, Any] = {}
    default_image: Annotated[str, msgspec.Meta(max_length=255)] | None = None


class GroupChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a group; an option that is null is as by default again."""

    default_image: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    options: dict[str, Any] | None = None


class Group(Answer, frozen=True, kw_only=True):
    """A resource group: its engine, what its machines have, and what is in use.

    `state` is UP, or AWAY while its engine cannot be reached; `problem` says why. `options` are told to administrators.
    `others_*` is used by what Dais did not start. `waiting` and `running` are counts of jobs.
    """

    name: str
    urn: str
    engine: str
    state: str
    problem: str | None = None
    default_image: str
    options: dict[str, Any] | None = None
    nodes: int
    cpu: float
    mem: int
    gpu: int
    free_cpu: float
    free_mem: int
    free_gpu: int
    others_cpu: float
    others_mem: int
    others_gpu: int
    waiting: int
    running: int
    created_at: str


class EngineFinding(Answer, frozen=True, kw_only=True):
    """One thing that was looked at. Without `ok`, what is `needed` keeps the engine from being attached."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


class EngineCheck(Answer, frozen=True, kw_only=True):
    """Whether an engine could be attached with these options, which hold what was found where nothing was said."""

    engine: str
    name: str
    sound: bool
    findings: list[EngineFinding]
    options: dict[str, Any]
    default_image: str
