"""Frozen values of images that other modules pass around."""

from __future__ import annotations

import msgspec


class ServicePort(msgspec.Struct, frozen=True):
    """A service that the image offers: its name, protocol (http, tcp, pty, preopen, …) and ports."""

    name: str
    protocol: str
    ports: tuple[int, ...]


class Pin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content that a job's image meant, so that it means the same when the job runs again.

    `id` is the engine's (None until it was fetched), `digest` the registry's. `counted` are the variables that are set
    to the number of cores; `python` is a path ("": it has none, None: not known); `path` is the image's own PATH,
    `services` are what its labels say that it offers.
    """

    reference: str
    id: str | None = None
    digest: str | None = None
    python: str | None = None
    path: str | None = None
    counted: tuple[str, ...] = ()
    services: tuple[ServicePort, ...] = ()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a job's image turned out to be. `image_id` is None where it is not in the catalogue yet: `enter` does so."""

    pin: Pin
    image_id: str | None
    warnings: tuple[str, ...] = ()
