"""The accounts that the caller may use."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import Account, create_account, list_accounts, resolve_account, urn
from dais.kit.database import UnitOfWork
from dais.wire import answers

routes = Routes()


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parent` is an account's name or id; without it the account lies at the top of the organization."""

    name: str
    parent: str | None = None


@routes.get("/v1/accounts", summary="List the accounts that you may use")
async def accounts(ctx: Context, limit: int = 100, cursor: str | None = None) -> answers.Page[answers.Account]:
    page = await ctx.db.read(list_accounts, ctx.actor, limit=limit, cursor=cursor)
    return answers.Page(items=[_answer(account) for account in page.items], cursor=page.cursor)


@routes.post("/v1/accounts", status=201, summary="Make an account")
async def new_account(ctx: Context, body: NewAccount) -> answers.Account:
    def make(uow: UnitOfWork) -> Account:
        parent = resolve_account(uow, ctx.actor, body.parent).id if body.parent is not None else None
        return create_account(uow, ctx.actor, body.name, parent)

    return _answer(await ctx.db.write(make))


@routes.get("/v1/accounts/{ref}", summary="Show an account")
async def account(ctx: Context, ref: str) -> answers.Account:
    return _answer(await ctx.db.glance(resolve_account, ctx.actor, ref))


def _answer(account: Account) -> answers.Account:
    return answers.Account(
        id=account.id,
        name=account.name,
        full_name=account.full_name,
        urn=urn(account.organization_id, account.id),
        organization=account.organization,
        parent=account.parent_id,
    )
