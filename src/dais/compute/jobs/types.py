"""Frozen values of jobs that other modules of this package pass around."""

from __future__ import annotations

import msgspec

from dais.compute.images.types import Pin
from dais.compute.jobs.lifecycle import Action
from dais.compute.jobs.pins import NOTHING, Pins
from dais.wire.spec import JobSpec


class FolderMount(msgspec.Struct, frozen=True, kw_only=True):
    """A mount whose folder has been found and permitted: `path` is below the folder's root."""

    folder_id: str
    path: str
    target: str
    read_only: bool


class Segment(msgspec.Struct, frozen=True):
    """One segment of a shipped log: a blob of zstd-compressed frames, and their size before compression."""

    index: int
    digest: str
    size: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that preparing and launching a run needs, read in one go."""

    run_id: str
    run_index: int
    job_id: str
    job_name: str | None
    job_number: int
    group: str
    node: str
    state: str
    spec: JobSpec
    mounts: tuple[FolderMount, ...]
    pins: Pins = NOTHING
    """What it has of the data lake."""
    image: str
    root: str | None
    """The root directory of a registered image; None for the group's own."""
    python: str | None
    """The path of that image's Python, if it has one."""
    image_id: str | None = None
    """The image in the catalogue, where the group's engine has an image store; `image` is what the engine starts."""
    pin: Pin | None = None
    """The content that it meant."""
    organization_id: str
    account_id: str
    account: str
    user: str
    owner_id: str = ""
    gpus: tuple[str, ...] = ()
    launched_at: int | None = None
    handle: dict[str, object] | None = None
    environment_id: str | None = None
    cancel_reason: str | None = None


class Effect(msgspec.Struct, frozen=True):
    """What has to be done about a run after the commit."""

    action: Action
    run_id: str
