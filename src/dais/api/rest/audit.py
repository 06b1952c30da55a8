"""The audit log: who did, or was refused, what."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.routing import Routes
from dais.api.times import instant
from dais.identity import AuditEntry, list_audit, with_ids
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.paging import Page
from dais.wire import answers, rules

routes = Routes()


@routes.get(
    "/v1/audit", summary="List who did, or was refused, what", own="what you did yourself; more takes audit:list"
)
async def audit(
    ctx: Context,
    user: str | None = None,
    action: str | None = None,
    urn: str | None = None,
    allowed: bool | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[rules.AuditEntry]:
    """The newest first. An organization's administrators see what concerned its things, everybody what they did.

    `action` and `urn` may hold `*`; `since` and `until` are RFC 3339. Plain reads are not written down.
    """

    def read(uow: UnitOfWork) -> Page[AuditEntry]:
        return list_audit(
            uow,
            ctx.actor,
            user=user,
            action=action,
            urn=with_ids(uow, ctx.actor, [f"*@{urn}"])[0].partition("@")[2] if urn is not None else None,
            allowed=allowed,
            since=instant(since, "since"),
            until=instant(until, "until"),
            limit=limit,
            cursor=cursor,
        )

    page: Page[AuditEntry] = await ctx.db.read(read)
    return answers.Page(items=[_answer(one) for one in page.items], cursor=page.cursor)


def _answer(entry: AuditEntry) -> rules.AuditEntry:
    return rules.AuditEntry(
        id=entry.id,
        at=to_rfc3339(entry.at),
        user=entry.user,
        action=entry.action,
        urn=entry.urn,
        allowed=entry.allowed,
        address=entry.address,
        organization=entry.organization_id,
        user_id=entry.user_id,
        token=entry.token_id,
        role=entry.role_id,
        detail=entry.detail,
    )
