"""With whom people sign in, beside their passwords: OpenID providers. All of it is for administrators."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import (
    IdentityProvider,
    NewProvider,
    RoleRule,
    create_provider,
    get_organization,
    get_role,
    list_providers,
    remove_provider,
    require,
    resolve_organization,
    resolve_role,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire import answers, identities

routes = Routes()

CALLBACK = "/sign-in/with/{name}/back"
"""The page that a provider sends people back to."""


class NewIdentityProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`roles` are `CLAIM=VALUE:ROLE`; `organization` is one's own unless told; see IdentityProvider for the others."""

    name: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    organization: str | None = None
    label: str = ""
    scopes: str = "openid email profile"
    creates_users: bool = False
    links_by_email: bool = False
    strong: bool = False
    internal: bool = False
    domains: list[str] = []
    roles: list[str] = []


@routes.get("/v1/identity-providers", summary="List the identity providers", action="installation:get")
async def providers(ctx: Context) -> answers.Page[identities.IdentityProvider]:
    def read(uow: UnitOfWork) -> answers.Page[identities.IdentityProvider]:
        return answers.Page(items=[_answer(uow, one, ctx) for one in list_providers(uow, ctx.actor)])

    found: answers.Page[identities.IdentityProvider] = await ctx.db.read(read)
    return found


@routes.post(
    "/v1/identity-providers", status=201, summary="Let people sign in with a provider", action="installation:set"
)
async def new_provider(ctx: Context, body: NewIdentityProvider) -> identities.IdentityProvider:
    """The client's secret is encrypted, and never shown again."""

    def make(uow: UnitOfWork) -> identities.IdentityProvider:
        require(uow, ctx.actor, "installation:set")  # before names are looked up that others may not see
        owner = resolve_organization(uow, ctx.actor, body.organization)
        wanted = NewProvider(
            name=body.name,
            issuer=body.issuer,
            client_id=body.client_id,
            secret=body.client_secret,
            organization_id=owner.id,
            label=body.label,
            scopes=body.scopes,
            creates_users=body.creates_users,
            links_by_email=body.links_by_email,
            strong=body.strong,
            internal=body.internal,
            domains=tuple(body.domains),
            roles=tuple(_rule(uow, ctx, text) for text in body.roles),
        )
        return _answer(uow, create_provider(uow, ctx.actor, ctx.services.vault, wanted), ctx)

    made: identities.IdentityProvider = await ctx.db.write(make)
    return made


@routes.delete(
    "/v1/identity-providers/{name}",
    summary="Let nobody sign in with a provider any more",
    status=204,
    action="installation:set",
)
async def delete_provider(ctx: Context, name: str) -> None:
    """Whom its users are here is forgotten, too."""
    await ctx.db.write(remove_provider, ctx.actor, name)


def _rule(uow: UnitOfWork, ctx: Context, text: str) -> RoleRule:
    condition, colon, role = text.rpartition(":")
    claim, equals, value = condition.partition("=")
    if not (colon and equals and claim and value and role):
        raise Invalid(
            f"{text[:200]!r} is no rule for a role; it looks like groups=vision:acme.vision.user: who has `vision` in "
            "the claim `groups` is a member of that role",
            code="bad-role-rule",
        )
    return RoleRule(claim=claim, value=value, role_id=resolve_role(uow, ctx.actor, role).id)


def _answer(uow: UnitOfWork, one: IdentityProvider, ctx: Context) -> identities.IdentityProvider:
    return identities.IdentityProvider(
        id=one.id,
        name=one.name,
        label=one.label,
        issuer=one.issuer,
        client_id=one.client_id,
        has_secret=one.sealed is not None,
        redirect_uri=f"{ctx.services.url}{CALLBACK.format(name=one.name)}",
        scopes=one.scopes,
        organization=get_organization(uow, one.organization_id).name,
        creates_users=one.creates_users,
        links_by_email=one.links_by_email,
        strong=one.strong,
        internal=one.internal,
        domains=list(one.domains),
        roles=[f"{rule.claim}={rule.value}:{get_role(uow, rule.role_id).full_name}" for rule in one.roles],
        created_at=to_rfc3339(one.created_at),
    )
