"""The accounts that the caller may use."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import (
    LogLimits,
    LogLimitsChange,
    get_log_limits,
    list_log_limits,
    own_interactive_limits,
    set_interactive_limit,
    set_log_limits,
)
from dais.identity import (
    Account,
    create_account,
    list_accounts,
    rename_account,
    resolve_account,
    resolve_place,
    urn,
)
from dais.kit.database import UnitOfWork
from dais.wire import answers

routes = Routes()


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`parent` is an account, or an organization. Without it `name` may be a full name, as `acme.lab.production`.

    A name alone lies at the top of the caller's organization.
    """

    name: str
    parent: str | None = None


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays. Days and bytes of logs; interactive jobs of one user."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    log_days: int | msgspec.UnsetType | None = msgspec.UNSET
    log_bytes: int | msgspec.UnsetType | None = msgspec.UNSET
    interactive_jobs: int | msgspec.UnsetType | None = msgspec.UNSET


@routes.get("/v1/accounts", summary="List the accounts that you may use", action="account:list")
async def accounts(
    ctx: Context, below: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[answers.Account]:
    """Those right below an account, or an organization, or all."""

    def read(uow: UnitOfWork) -> answers.Page[answers.Account]:
        place = resolve_place(uow, ctx.actor, below) if below is not None else None
        page = list_accounts(uow, ctx.actor, below=place, limit=limit, cursor=cursor)
        ids = [one.id for one in page.items]
        limits, most = list_log_limits(uow, ids), own_interactive_limits(uow, ids)
        items = [_answer(one, limits.get(one.id), most.get(one.id)) for one in page.items]
        return answers.Page(items=items, cursor=page.cursor)

    found: answers.Page[answers.Account] = await ctx.db.read(read)
    return found


@routes.post("/v1/accounts", status=201, summary="Make an account", action="account:new")
async def new_account(ctx: Context, body: NewAccount) -> answers.Account:
    def make(uow: UnitOfWork) -> Account:
        parent, name = body.parent, body.name
        if parent is None and "." in name:
            parent, _, name = name.rpartition(".")
        if parent is None:
            return create_account(uow, ctx.actor, name)
        place = resolve_place(uow, ctx.actor, parent)
        if isinstance(place, Account):
            return create_account(uow, ctx.actor, name, place.id)
        return create_account(uow, ctx.actor, name, organization_id=place.id)

    return _answer(await ctx.db.write(make))


@routes.get("/v1/accounts/{ref}", summary="Show an account", action="account:get")
async def account(ctx: Context, ref: str) -> answers.Account:
    def read(uow: UnitOfWork) -> answers.Account:
        return _whole(uow, resolve_account(uow, ctx.actor, ref))

    found: answers.Account = await ctx.db.glance(read)
    return found


@routes.patch(
    "/v1/accounts/{ref}",
    summary="Change an account's name, or its limits",
    action=("account:set", "installation:set"),
)
async def change_account(ctx: Context, ref: str, body: AccountChange) -> answers.Account:
    """With its name the full names of those below change. A personal account is called as its user.

    Limits are for administrators: `null` lets the installation's hold, of interactive jobs those of what the account
    lies in; 0 is no limit.
    """

    def change(uow: UnitOfWork) -> answers.Account:
        found = resolve_account(uow, ctx.actor, ref)
        if body.name is not msgspec.UNSET:
            found = rename_account(uow, ctx.actor, found.id, body.name)
        if body.log_days is not msgspec.UNSET or body.log_bytes is not msgspec.UNSET:
            set_log_limits(uow, ctx.actor, found.id, LogLimitsChange(days=body.log_days, bytes=body.log_bytes))
        if body.interactive_jobs is not msgspec.UNSET:
            set_interactive_limit(uow, ctx.actor, found.id, body.interactive_jobs)
        return _whole(uow, found)

    changed: answers.Account = await ctx.db.write(change)
    return changed


def _whole(uow: UnitOfWork, account: Account) -> answers.Account:
    return _answer(account, get_log_limits(uow, account.id), own_interactive_limits(uow, [account.id]).get(account.id))


def _answer(account: Account, limits: LogLimits | None = None, most: int | None = None) -> answers.Account:
    return answers.Account(
        id=account.id,
        name=account.name,
        full_name=account.full_name,
        urn=urn(account.organization_id, account.id),
        organization=account.organization,
        parent=account.full_name.rpartition(".")[0] if account.parent_id else None,
        parent_id=account.parent_id,
        log_days=limits.days if limits else None,
        log_bytes=limits.bytes if limits else None,
        interactive_jobs=most,
    )
