"""Engines that keep images of their own: pulled from registries, built, committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from dais.engines.contract.status import Handle


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A name and a password (or token) for one registry, `host[:port]`. Secret: in no log, row or command line."""

    registry: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(registry={self.registry!r}, username={self.username!r}, password=…)"


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An image in an engine's store. `id` is the engine's own and stands for this content; `references` may move.

    `digest` is the manifest's in its registry (None: it was never in one). `size` is in bytes, `created_at` in µs.
    `architecture` is as the registry names it (amd64, arm64).
    """

    id: str
    references: tuple[str, ...] = ()
    digest: str | None = None
    size: int = 0
    system: str = "linux"
    architecture: str = ""
    labels: dict[str, str] = {}
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    created_at: int | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a pull, a push or a build: a line for people, and of what is counted how many bytes of how many."""

    text: str
    done: int | None = None
    total: int | None = None


class ImageProblem(Exception):
    """What could not be done with an image; `args[0]` says why and what to do.

    `code` is image-not-found, bad-credentials, wrong-architecture, registry-unreachable, build-failed, no-disk,
    in-use or image-failed. `line` is the line of the Dockerfile that failed, where that is known.
    """

    def __init__(self, code: str, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.line = line


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Build an image from the directory `context` (a host path, read and not kept) and call it `reference`.

    `dockerfile` is a path below `context`. `secrets` are given to build steps by name and are in no layer, history or
    cache. `cache`: layers that were built before may serve again. `time` is the limit in seconds.
    """

    context: str
    reference: str
    dockerfile: str = "Dockerfile"
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    secrets: Mapping[str, bytes] = {}
    cache: bool = True
    time: float = 3600.0


@runtime_checkable
class ImageStore(Protocol):
    """Engines with images of their own. All raise ImageProblem, and OSError when the engine cannot be reached."""

    async def images(self) -> list[ImageFacts]:
        """Every image that is there now."""
        ...

    async def image(self, reference: str) -> ImageFacts | None:
        """One image by a reference, a digest or an id; None when it is not there."""
        ...

    def pull(self, reference: str, credentials: Credentials | None = None) -> AsyncIterator[Progress]:
        """Fetch an image; it is there once this ends. What it replaces stays as long as a container uses it."""
        ...

    def push(self, reference: str, credentials: Credentials | None = None) -> AsyncIterator[Progress]:
        """Send an image to the registry that its reference names."""
        ...

    def build(self, request: BuildRequest) -> AsyncIterator[Progress]:
        """Build one, telling the log as it comes; it is there once this ends."""
        ...

    async def commit(self, handle: Handle, reference: str, labels: Mapping[str, str]) -> ImageFacts:
        """Make an image of what a running container has written, without what is mounted in it. LookupError: it does
        not run."""
        ...

    async def relabel(self, reference: str, new: str, labels: Mapping[str, str]) -> ImageFacts:
        """The same image with more labels, under a new reference."""
        ...

    async def tag(self, reference: str, new: str) -> None:
        """Give an image another reference."""
        ...

    async def remove_image(self, reference: str) -> None:
        """Take a reference away, and with its last one the image. One that is not there is fine."""
        ...
