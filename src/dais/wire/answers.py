"""What the native API answers. Instants are RFC 3339 text; sizes bytes; durations seconds.

Readers ignore unknown fields, so that an older client can talk to a newer server.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from dais.wire.answer import Answer as Answer
from dais.wire.job_answers import Change as Change
from dais.wire.job_answers import Delivery as Delivery
from dais.wire.job_answers import Exposed as Exposed
from dais.wire.job_answers import InputSet as InputSet
from dais.wire.job_answers import Job as Job
from dais.wire.job_answers import JobAddress as JobAddress
from dais.wire.job_answers import JobDetail as JobDetail
from dais.wire.job_answers import OutputSet as OutputSet
from dais.wire.job_answers import Run as Run

T = TypeVar("T")


class Page(Answer, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `cursor` asks for the next and is None on the last."""

    items: list[T]
    cursor: str | None = None


class Problem(Answer, frozen=True, kw_only=True):
    """RFC 9457 problem details; `code` is for programs, `fields` carries the values, `instance` names the request."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    fields: dict[str, Any] = msgspec.field(default_factory=dict)
    instance: str | None = None


class Folder(Answer, frozen=True, kw_only=True):
    """A mutable directory tree that jobs mount. `size` and `files` are counted when asked for."""

    id: str
    name: str
    full_name: str
    urn: str
    account: str
    account_id: str
    owner: str
    created_at: str
    size: int | None = None
    files: int | None = None


class Entry(Answer, frozen=True, kw_only=True):
    """A file, directory or link inside a folder."""

    path: str
    kind: str
    size: int = 0
    modified_at: str | None = None
    executable: bool = False
    target: str | None = None


class Environment(Answer, frozen=True, kw_only=True):
    """A cached virtual environment. `state` is BUILDING, READY or FAILED."""

    id: str
    urn: str
    state: str
    requirements: str
    interpreter: str
    size: int | None = None
    created_at: str
    last_used_at: str | None = None
    detail: str | None = None


class Secret(Answer, frozen=True, kw_only=True):
    """A secret of an account: never its value. `size` is in bytes."""

    name: str
    account: str
    urn: str
    size: int
    set_by: str
    set_at: str


class Dotfile(Answer, frozen=True, kw_only=True):
    """A small file in the home of a user's interactive jobs, without its content. `size` is in bytes, `mode` octal."""

    path: str
    size: int
    mode: str
    set_at: str


class ImageProgress(Answer, frozen=True, kw_only=True):
    """What fetching or building an image says now, and bytes of bytes where they are counted."""

    text: str | None = None
    done: int | None = None
    total: int | None = None


class Image(Answer, frozen=True, kw_only=True):
    """What jobs can start from: a root directory (`kind` root), or an image in its engine's store (container).

    `path` is told to administrators. A container image has an `id`, a `reference`, and a `state`: missing (it is
    fetched when it is first used), pulling, building, there or failed (`reason`, and `problem` in words). `account` is
    None for the installation's. `least_…` and `ports` are what its labels say.
    """

    name: str
    urn: str
    group: str
    kind: str = "root"
    path: str | None = None
    id: str | None = None
    account: str | None = None
    reference: str | None = None
    digest: str | None = None
    engine_id: str | None = None
    architecture: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    aliases: list[str] = msgspec.field(default_factory=list)
    state: str = "there"
    reason: str | None = None
    problem: str | None = None
    progress: ImageProgress | None = None
    least_cpu: float = 0.0
    least_mem: int = 0
    least_gpu: int = 0
    ports: list[str] = msgspec.field(default_factory=list)
    origin: str = "registered"
    system: str | None = None
    python: str | None = None
    size: int | None = None
    registered_by: str
    created_at: str


class ImageLog(Answer, frozen=True, kw_only=True):
    """A piece of what a build printed, from the character `offset` on; `next` is where the following begins.

    `complete`: the build has ended, and this is the last piece.
    """

    text: str
    offset: int
    next: int
    complete: bool


class Rescanned(Answer, frozen=True, kw_only=True):
    """What a rescan found: images that are new in the catalogue, those seen again, and those that are gone."""

    new: list[str]
    seen: int
    gone: list[str]


class Registry(Answer, frozen=True, kw_only=True):
    """A registry of images. Its password is never told; `insecure` is plain HTTP."""

    host: str
    kind: str
    insecure: bool
    username: str | None = None
    organization_id: str | None = None
    created_at: str


class RegistryChecked(Answer, frozen=True, kw_only=True):
    """A registry that answers, and whom it lets in (None: everybody)."""

    host: str
    username: str | None = None


class AllowedRegistries(Answer, frozen=True, kw_only=True):
    """An organization's `own` list of registries ([]: it has none), and those that its jobs may use (`usable`)."""

    organization: str
    own: list[str]
    usable: list[str]


class Notify(Answer, frozen=True, kw_only=True):
    """Who is told of a user's jobs that name nobody, and whether their webhooks are signed."""

    targets: list[str]
    signed: bool


class SigningSecret(Answer, frozen=True, kw_only=True):
    """The key that webhooks are signed with, told once."""

    secret: str


class Account(Answer, frozen=True, kw_only=True):
    """A node of the organization's tree; `parent` is the full name of what it lies in, None: the organization.

    `log_days`, `log_bytes`: its own limits of logs; None: the installation's. `interactive_jobs`: how many one user may
    have in it; None: as many as in what it lies in.
    """

    id: str
    name: str
    full_name: str
    urn: str
    organization: str
    parent: str | None = None
    parent_id: str | None = None
    log_days: int | None = None
    log_bytes: int | None = None
    interactive_jobs: int | None = None


class Me(Answer, frozen=True, kw_only=True):
    """Who the bearer of the token is. `mail` is the address, by the name that Element AI's clients read."""

    id: str
    number: int
    name: str
    urn: str
    organization: str
    account: str
    administrator: bool
    mail: str | None = None


class Event(Answer, frozen=True, kw_only=True):
    """One event of the outbox; `seq` is what `Last-Event-ID` resumes from."""

    seq: int
    at: str
    kind: str
    subject_type: str
    subject_id: str
    data: dict[str, Any]


class LogFrame(Answer, frozen=True, kw_only=True):
    """A chunk of output. `stream` is stdout, stderr or system; `data` is base64 when `encoding` says so, else text."""

    at: str
    stream: str
    data: str
    encoding: str = "utf-8"


class LogPage(Answer, frozen=True, kw_only=True):
    """Frames and where to go on. `eof`: the run has ended and this is all; `truncated`: output was cut at the cap."""

    frames: list[LogFrame]
    cursor: str
    eof: bool
    truncated: bool = False


class Node(Answer, frozen=True, kw_only=True):
    """A machine of a resource group, with its slots and what is free of them. `gpus` are the UUIDs of its GPUs.

    `others_*` is used there by what Dais did not start.
    """

    name: str
    urn: str
    group: str
    state: str
    cpu: float
    mem: int
    gpu: int
    free_cpu: float
    free_mem: int
    free_gpu: int
    others_cpu: float = 0.0
    others_mem: int = 0
    others_gpu: int = 0
    gpus: list[str] = msgspec.field(default_factory=list)
    isolation: dict[str, Any] = msgspec.field(default_factory=dict)
    disk_free: int | None = None
    disk_size: int | None = None
    warnings: list[str] = msgspec.field(default_factory=list)


class Version(Answer, frozen=True, kw_only=True):
    """What runs here."""

    version: str
    api: int = 1


class SignInLink(Answer, frozen=True, kw_only=True):
    """A way into the pages: open `path` at the server's address, once, within `seconds`."""

    path: str
    seconds: int


class DeviceLogin(Answer, frozen=True, kw_only=True):
    """A machine that waits for somebody's word (RFC 8628). `device_code` is its secret, `user_code` what it shows.

    The addresses are below the one that was asked where the installation has no public address. Times are in seconds.
    """

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class DeviceToken(Answer, frozen=True, kw_only=True):
    """The token that a machine was given; `expires_in` is in seconds."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind, no secret)
    expires_in: int
    expires_at: str
    user: str
    organization: str
    account: str
