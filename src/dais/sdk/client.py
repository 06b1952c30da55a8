"""`dais.Client` and `dais.AsyncClient`."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation
from dais.sdk.pages import whole
from dais.sdk.profiles import Access, find_access
from dais.wire.answers import Me, Node, SignInLink, Version
from dais.wire.meta import Meta

if TYPE_CHECKING:
    from dais.sdk.accounts import Accounts, AsyncAccounts
    from dais.sdk.audit import AsyncAudit, Audit
    from dais.sdk.code import AsyncCode, Code
    from dais.sdk.dotfiles import AsyncDotfiles, Dotfiles
    from dais.sdk.environments import AsyncEnvironments, Environments
    from dais.sdk.files import AsyncFiles, Files
    from dais.sdk.filesets import AsyncFileSets, FileSets
    from dais.sdk.folders import AsyncFolders, Folders
    from dais.sdk.groups import AsyncGroups, Groups
    from dais.sdk.identity_providers import AsyncIdentityProviders, IdentityProviders
    from dais.sdk.images import AsyncImages, AsyncRegistries, Images, Registries
    from dais.sdk.invitations import AsyncInvitations, Invitations
    from dais.sdk.jobs import AsyncJobs, Jobs
    from dais.sdk.keys import AsyncKeys, Keys
    from dais.sdk.lineage import AsyncLineage, Lineage
    from dais.sdk.login import AsyncLogin, Login
    from dais.sdk.meta import AsyncMetas, Metas, Wanted
    from dais.sdk.notify import AsyncNotifications, Notifications
    from dais.sdk.organizations import AsyncOrganizations, Organizations
    from dais.sdk.policies import AsyncPolicies, Policies
    from dais.sdk.roles import AsyncRoles, Roles
    from dais.sdk.rules import AsyncRulesOf, RulesOf
    from dais.sdk.secrets import AsyncSecrets, Secrets
    from dais.sdk.sources import AsyncSources, Sources
    from dais.sdk.ssh_keys import AsyncSshKeys, SshKeys
    from dais.sdk.teams import AsyncTeams, Teams
    from dais.sdk.templates import AsyncTemplates, Templates
    from dais.sdk.transport import AsyncTransport, BlockingTransport
    from dais.sdk.users import AsyncUsers, Users

R = TypeVar("R")
T = TypeVar("T")

PATIENCE = 10.0
"""Seconds for which a request is tried again when nothing answers and trying again is safe."""


def resource(target: str) -> Any:
    """A client's part, "module:class", which is imported and made when it is first used."""

    def made(client: Any) -> Any:
        module, _, name = target.partition(":")
        return getattr(importlib.import_module(module), name)(client)

    return cached_property(made)


class ClientApi(Resource):
    """What both clients have: where they connect to, and what they answer themselves."""

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
        self._client = self
        self.access: Access = find_access(url, token, profile, account)
        self.account = self.access.account
        self.patience = patience
        self.on_wait = on_wait
        self.target = self.access.target

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

    @listing
    def find(
        self,
        kind: str,
        *where: Wanted,
        order: str | None = None,
        limit: int | None = None,
        account: str | None = None,
    ) -> Items[Meta]:
        """Files, file sets, folders or jobs that meet all conditions: `find("fileset", "model=cnn max(accuracy)")`.

        Sorted by `order`, a key (`-key` downward); without it the newest come first. Raises Invalid, Forbidden.
        """
        from dais.sdk.meta import finding

        yield from finding(self, kind, where, order, limit, account)


class Client(ClientApi, Blocking):
    """A connection to one Dais server; may be used by several threads; close it, or use it as a context manager.

    `url`, `token`, `profile` and `account` default to DAIS_URL, DAIS_TOKEN, DAIS_PROFILE and DAIS_ACCOUNT, then to the
    profile file (`dais.sdk.profiles`). `patience` is for how many seconds a request is tried again when nothing
    answers; `on_wait` is then told why it takes long. Every call raises `dais.sdk.errors.DaisError`.
    """

    accounts: Accounts = resource("dais.sdk.accounts:Accounts")
    audit: Audit = resource("dais.sdk.audit:Audit")
    code: Code = resource("dais.sdk.code:Code")
    environments: Environments = resource("dais.sdk.environments:Environments")
    files: Files = resource("dais.sdk.files:Files")
    filesets: FileSets = resource("dais.sdk.filesets:FileSets")
    folders: Folders = resource("dais.sdk.folders:Folders")
    groups: Groups = resource("dais.sdk.groups:Groups")
    identity_providers: IdentityProviders = resource("dais.sdk.identity_providers:IdentityProviders")
    images: Images = resource("dais.sdk.images:Images")
    registries: Registries = resource("dais.sdk.images:Registries")
    invitations: Invitations = resource("dais.sdk.invitations:Invitations")
    jobs: Jobs = resource("dais.sdk.jobs:Jobs")
    keys: Keys = resource("dais.sdk.keys:Keys")
    lineage: Lineage = resource("dais.sdk.lineage:Lineage")
    login: Login = resource("dais.sdk.login:Login")
    meta: Metas = resource("dais.sdk.meta:Metas")
    notify: Notifications = resource("dais.sdk.notify:Notifications")
    organizations: Organizations = resource("dais.sdk.organizations:Organizations")
    policies: Policies = resource("dais.sdk.policies:Policies")
    roles: Roles = resource("dais.sdk.roles:Roles")
    rules: RulesOf = resource("dais.sdk.rules:RulesOf")
    secrets: Secrets = resource("dais.sdk.secrets:Secrets")
    dotfiles: Dotfiles = resource("dais.sdk.dotfiles:Dotfiles")
    sources: Sources = resource("dais.sdk.sources:Sources")
    ssh_keys: SshKeys = resource("dais.sdk.ssh_keys:SshKeys")
    teams: Teams = resource("dais.sdk.teams:Teams")
    templates: Templates = resource("dais.sdk.templates:Templates")
    users: Users = resource("dais.sdk.users:Users")

    @cached_property
    def transport(self) -> BlockingTransport:
        """What requests go through, made for the first of them: a command in a job needs none."""
        from dais.sdk.transport import BlockingTransport

        return BlockingTransport(self.target)

    def run(self, flow: Flow[R]) -> R:
        """Run an operation that was described as a flow."""
        return self.transport.run(flow)

    def iterate(self, flow: Items[T]) -> Iterator[T]:
        """Run a flow and yield what it emits."""
        return self.transport.iterate(flow)

    def close(self) -> None:
        if "transport" in vars(self):
            self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(ClientApi, Asynchronous):
    """As Client, for asyncio: operations are awaited and lists are asynchronous iterators."""

    accounts: AsyncAccounts = resource("dais.sdk.accounts:AsyncAccounts")
    audit: AsyncAudit = resource("dais.sdk.audit:AsyncAudit")
    code: AsyncCode = resource("dais.sdk.code:AsyncCode")
    environments: AsyncEnvironments = resource("dais.sdk.environments:AsyncEnvironments")
    files: AsyncFiles = resource("dais.sdk.files:AsyncFiles")
    filesets: AsyncFileSets = resource("dais.sdk.filesets:AsyncFileSets")
    folders: AsyncFolders = resource("dais.sdk.folders:AsyncFolders")
    groups: AsyncGroups = resource("dais.sdk.groups:AsyncGroups")
    identity_providers: AsyncIdentityProviders = resource("dais.sdk.identity_providers:AsyncIdentityProviders")
    images: AsyncImages = resource("dais.sdk.images:AsyncImages")
    registries: AsyncRegistries = resource("dais.sdk.images:AsyncRegistries")
    invitations: AsyncInvitations = resource("dais.sdk.invitations:AsyncInvitations")
    jobs: AsyncJobs = resource("dais.sdk.jobs:AsyncJobs")
    keys: AsyncKeys = resource("dais.sdk.keys:AsyncKeys")
    lineage: AsyncLineage = resource("dais.sdk.lineage:AsyncLineage")
    login: AsyncLogin = resource("dais.sdk.login:AsyncLogin")
    meta: AsyncMetas = resource("dais.sdk.meta:AsyncMetas")
    notify: AsyncNotifications = resource("dais.sdk.notify:AsyncNotifications")
    organizations: AsyncOrganizations = resource("dais.sdk.organizations:AsyncOrganizations")
    policies: AsyncPolicies = resource("dais.sdk.policies:AsyncPolicies")
    roles: AsyncRoles = resource("dais.sdk.roles:AsyncRoles")
    rules: AsyncRulesOf = resource("dais.sdk.rules:AsyncRulesOf")
    secrets: AsyncSecrets = resource("dais.sdk.secrets:AsyncSecrets")
    dotfiles: AsyncDotfiles = resource("dais.sdk.dotfiles:AsyncDotfiles")
    sources: AsyncSources = resource("dais.sdk.sources:AsyncSources")
    ssh_keys: AsyncSshKeys = resource("dais.sdk.ssh_keys:AsyncSshKeys")
    teams: AsyncTeams = resource("dais.sdk.teams:AsyncTeams")
    templates: AsyncTemplates = resource("dais.sdk.templates:AsyncTemplates")
    users: AsyncUsers = resource("dais.sdk.users:AsyncUsers")

    @cached_property
    def transport(self) -> AsyncTransport:
        """As Client's."""
        from dais.sdk.transport import AsyncTransport

        return AsyncTransport(self.target)

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
        if "transport" in vars(self):
            await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
