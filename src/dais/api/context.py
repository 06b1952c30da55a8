"""What a request works with: who asks, and the parts that the composition root made."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dais.api.limits import UserLimits
from dais.api.meter import RequestMeter
from dais.api.refusals import Refusals
from dais.api.settings import LimitSettings
from dais.identity import Actor, SignInDesk
from dais.kit.clock import Clock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Unauthenticated, Unavailable
from dais.wire.ssh import SshCertificate, SshGateway

if TYPE_CHECKING:
    from dais.api.auth import Authenticator
    from dais.api.bulk import BulkListener
    from dais.compute import Compute, Notifier, Place, Work
    from dais.data import BlobStore, FolderStore
    from dais.engines.contract import Engine
    from dais.kit.vault import Vault

T = TypeVar("T")
Check = Callable[[UnitOfWork, Actor], object]
"""Something that a stream rests on: it raises when its reader may not have it any more."""


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts that routes use. `engines` are by the name of their group; `stopping` is set when the server stops.

    `settings` are by the name of their package; `schema` is the step of the migrations that the program needs. `url` is
    where browsers find the installation, without a slash at its end. A part that this process does not have answers
    `not-available`.
    """

    db: Database
    clock: Clock
    data_dir: Path
    authenticator: Authenticator
    engines: Mapping[str, Engine] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    meter: RequestMeter = field(default_factory=RequestMeter)
    url: str = ""
    schema: str | None = None
    probed: tuple[float, dict[str, str]] = (float("-inf"), {})
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    limits: UserLimits = field(default_factory=lambda: UserLimits(LimitSettings()))
    parts: Parts = field(default_factory=lambda: Parts())
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self.refusals = Refusals(self.db, self.settings.get("audit"))

    @property
    def blobs(self) -> BlobStore:
        return self._have("blob store", self.parts.blobs)

    @property
    def folders(self) -> FolderStore:
        return self._have("folder store", self.parts.folders)

    @property
    def compute(self) -> Compute:
        return self._have("compute", self.parts.compute)

    @property
    def notifier(self) -> Notifier:
        return self._have("notifier", self.parts.notifier)

    @property
    def desk(self) -> SignInDesk:
        return self._have("sign-in desk", self.parts.desk)

    @property
    def doors(self) -> Doors:
        return self._have("proxy to apps", self.parts.doors)

    @property
    def ssh(self) -> SshDoor:
        return self._have("SSH gateway", self.parts.ssh)

    @property
    def vault(self) -> Vault:
        return self._have("key", self.parts.vault)

    def _have(self, name: str, part: T | None) -> T:
        if part is None:
            raise Unavailable(f"this server has no {name}", code="not-available")
        return part


class SshDoor(Protocol):
    """The SSH gateway, as the API knows it."""

    def about(self) -> SshGateway:
        """Where it is. Raises Unavailable `no-ssh`."""
        ...

    async def certify(self, actor: Actor, public: str) -> SshCertificate:
        """A certificate for the line of a public key. Raises Invalid `bad-ssh-key`, `weak-ssh-key`, `no-token`."""
        ...

    async def take(self, sock: socket.socket, address: str) -> None:
        """Speak SSH on a connected socket. Raises TooMany."""
        ...


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a server may lack: one that only answers about accounts needs none of these."""

    blobs: BlobStore | None = None
    folders: FolderStore | None = None
    compute: Compute | None = None
    vault: Vault | None = None
    notifier: Notifier | None = None
    bulk: BulkListener | None = None
    desk: SignInDesk | None = None
    doors: Doors | None = None
    ssh: SshDoor | None = None


class Doors(Protocol):
    """The addresses of jobs' apps, and the way in for browsers. `public`: owners may open ports to everybody."""

    @property
    def public(self) -> bool: ...

    async def url(self, work: Work, target: str) -> str:
        """The address of a port (`8080`) or an app (`jupyter`) of a running job, which ends with a slash."""
        ...

    async def known_url(self, work: Work, target: str) -> str | None:
        """The same, where it is there without that anything is allotted for it."""
        ...

    async def admit(self, actor: Actor, session_id: str, place: Place, state: str, after: str) -> str:
        """Where to send a browser whose session may reach a place. Raises NotFound, Forbidden, Conflict."""
        ...


class Context:
    """One request. Routes that need no token have no actor; to read it there is a mistake that answers 401."""

    __slots__ = ("_actor", "_held", "db", "services")

    def __init__(self, services: Services, actor: Actor | None) -> None:
        self.services = services
        self.db = services.db
        self._actor = actor
        self._held: list[Check] = []

    @property
    def actor(self) -> Actor:
        """Who asks. Raises Unauthenticated on a route that needs no token."""
        if self._actor is None:
            raise Unauthenticated("this route knows no caller", code="token-missing")
        return self._actor

    def hold(self, check: Check) -> None:
        """End this stream as soon as `check` raises for whoever reads it; it is asked as they are then."""
        self._held.append(check)

    @property
    def held(self) -> Sequence[Check]:
        """What the stream rests on, beside that its reader is still known."""
        return self._held
