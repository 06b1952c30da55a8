"""What a request works with: who asks, and the parts that the composition root made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dais.identity import Actor
from dais.kit.clock import Clock
from dais.kit.database import Database
from dais.kit.errors import Unauthenticated

if TYPE_CHECKING:
    from dais.api.auth import Authenticator
    from dais.engines.contract import Engine


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts that routes use. `engines` are by name; `stopping` is set when the server begins to stop.

    `blobs` and `folders` are the installation's `BlobStore` and `FolderStore`.
    """

    db: Database
    clock: Clock
    data_dir: Path
    authenticator: Authenticator
    blobs: Any = None
    folders: Any = None
    engines: Mapping[str, Engine] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Context:
    """One request. Routes that need no token have no actor; to read it there is a mistake that answers 401."""

    __slots__ = ("_actor", "db", "services")

    def __init__(self, services: Services, actor: Actor | None) -> None:
        self.services = services
        self.db = services.db
        self._actor = actor

    @property
    def actor(self) -> Actor:
        """Who asks. Raises Unauthenticated on a route that needs no token."""
        if self._actor is None:
            raise Unauthenticated("this route knows no caller", code="token-missing")
        return self._actor
