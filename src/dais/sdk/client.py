"""`dais.Client` and `dais.AsyncClient`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import pages, whole
from dais.sdk.profiles import Access, find_access
from dais.sdk.transport import AsyncTransport, BlockingTransport, Target
from dais.wire.answers import Account, Me, Node, SignInLink, Version

if TYPE_CHECKING:
    from dais.sdk.environments import AsyncEnvironments, Environments
    from dais.sdk.folders import AsyncFolders, Folders
    from dais.sdk.images import AsyncImages, Images
    from dais.sdk.jobs import AsyncJobs, Jobs
    from dais.sdk.notify import AsyncNotifications, Notifications
    from dais.sdk.secrets import AsyncSecrets, Secrets
    from dais.sdk.sources import AsyncSources, Sources

R = TypeVar("R")
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for which a request is tried again when nothing answers and trying again is safe."""


class ClientApi(Resource):
    """What a client answers itself."""

    @operation
    def me(self) -> Flow[Me]:
        """Who the token belongs to."""
        return (yield from self.call(Request("GET", "/v1/me"), Me))

    @operation
    def version(self) -> Flow[Version]:
        """What the server runs; needs no token."""
        return (yield from self.call(Request("GET", "/v1/version"), Version))

    @operation
    def sign_in_link(self) -> Flow[SignInLink]:
        """A one-time link into the pages, as the token's user."""
        return (yield from self.call(Request("POST", "/v1/sign-in-links"), SignInLink))

    @listing
    def nodes(self) -> Items[Node]:
        """The machines, with what is free of each."""
        yield from whole(self, "/v1/nodes", Node)


class AccountsApi(Resource):
    """Accounts: nodes of the organization's tree."""

    @listing
    def list(self, limit: int | None = None) -> Items[Account]:
        """The accounts that you may see."""
        yield from pages(self, "/v1/accounts", {}, Account, limit)

    @operation
    def get(self, ref: str) -> Flow[Account]:
        """An account by its full name or id. Raises NotFound."""
        return (yield from self.call(Request("GET", f"/v1/accounts/{quoted(ref)}"), Account))

    @operation
    def set(self, ref: str, change: Mapping[str, int | None]) -> Flow[Account]:
        """Change `log_days` and `log_bytes` (None: as in the installation, 0: no limit); for administrators."""
        body = msgspec.json.encode(change)
        request = Request("PATCH", f"/v1/accounts/{quoted(ref)}", body=body, repeatable=True)
        return (yield from self.call(request, Account))


class Accounts(AccountsApi, Blocking):
    """Accounts, blocking."""


class AsyncAccounts(AccountsApi, Asynchronous):
    """Accounts, on asyncio."""


class Client(ClientApi, Blocking):
    """A connection to one Dais server; may be used by several threads; close it, or use it as a context manager.

    `url`, `token`, `profile` and `account` default to DAIS_URL, DAIS_TOKEN, DAIS_PROFILE and DAIS_ACCOUNT, then to the
    profile file (`dais.sdk.profiles`). `patience` is for how many seconds a request is tried again when nothing
    answers; `on_wait` is then told why it takes long. Every call raises `dais.sdk.errors.DaisError`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        profile: str | None = None,
        *,
        account: str | None = None,
        patience: float = PATIENCE,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(self)
        self.access: Access = find_access(url, token, profile, account)
        self.account = self.access.account
        self.patience = patience
        self.on_wait = on_wait
        self.transport = BlockingTransport(_target(self.access))

    def run(self, flow: Flow[R]) -> R:
        """Run an operation that was described as a flow."""
        return self.transport.run(flow)

    def iterate(self, flow: Items[T]) -> Iterator[T]:
        """Run a flow and yield what it emits."""
        return self.transport.iterate(flow)

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def jobs(self) -> Jobs:
        from dais.sdk.jobs import Jobs

        return Jobs(self)

    @cached_property
    def environments(self) -> Environments:
        from dais.sdk.environments import Environments

        return Environments(self)

    @cached_property
    def images(self) -> Images:
        from dais.sdk.images import Images

        return Images(self)

    @cached_property
    def folders(self) -> Folders:
        from dais.sdk.folders import Folders

        return Folders(self)

    @cached_property
    def notify(self) -> Notifications:
        from dais.sdk.notify import Notifications

        return Notifications(self)

    @cached_property
    def secrets(self) -> Secrets:
        from dais.sdk.secrets import Secrets

        return Secrets(self)

    @cached_property
    def sources(self) -> Sources:
        from dais.sdk.sources import Sources

        return Sources(self)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self)


class AsyncClient(ClientApi, Asynchronous):
    """As Client, for asyncio: operations are awaited and lists are asynchronous iterators."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        profile: str | None = None,
        *,
        account: str | None = None,
        patience: float = PATIENCE,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(self)
        self.access: Access = find_access(url, token, profile, account)
        self.account = self.access.account
        self.patience = patience
        self.on_wait = on_wait
        self.transport = AsyncTransport(_target(self.access))

    async def run(self, flow: Flow[R]) -> R:
        """Run an operation that was described as a flow."""
        return await self.transport.run(flow)

    def iterate(self, flow: Items[T]) -> AsyncIterator[T]:
        """Run a flow and yield what it emits."""
        return self.transport.iterate(flow)

    def blocking(self) -> Client:
        """A blocking client of the same server, for work that is done in a thread; close it."""
        access = self.access
        return Client(access.url, access.token, account=self.account, patience=self.patience, on_wait=self.on_wait)

    async def close(self) -> None:
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @cached_property
    def jobs(self) -> AsyncJobs:
        from dais.sdk.jobs import AsyncJobs

        return AsyncJobs(self)

    @cached_property
    def environments(self) -> AsyncEnvironments:
        from dais.sdk.environments import AsyncEnvironments

        return AsyncEnvironments(self)

    @cached_property
    def images(self) -> AsyncImages:
        from dais.sdk.images import AsyncImages

        return AsyncImages(self)

    @cached_property
    def folders(self) -> AsyncFolders:
        from dais.sdk.folders import AsyncFolders

        return AsyncFolders(self)

    @cached_property
    def notify(self) -> AsyncNotifications:
        from dais.sdk.notify import AsyncNotifications

        return AsyncNotifications(self)

    @cached_property
    def secrets(self) -> AsyncSecrets:
        from dais.sdk.secrets import AsyncSecrets

        return AsyncSecrets(self)

    @cached_property
    def sources(self) -> AsyncSources:
        from dais.sdk.sources import AsyncSources

        return AsyncSources(self)

    @cached_property
    def accounts(self) -> AsyncAccounts:
        return AsyncAccounts(self)


def _target(access: Access) -> Target:
    return Target(access.url, access.token, access.token_origin)
