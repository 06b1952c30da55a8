"""Expiring stored logs: by age and by bytes, the oldest first, for the installation and for single accounts.

Bytes are those that jobs printed; on the disk logs take less, for they are compressed. A run keeps everything else that
is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import BigInteger, and_, bindparam, delete, func, insert, not_, select, update

from dais.compute.jobs.tables import jobs, runs
from dais.compute.retention.tables import log_limits
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, require, resolve_account
from dais.kit.clock import SECOND
from dais.kit.database import Event, Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid

BATCH = 1_000
DAY = 86_400 * SECOND
MAX_DAYS = 36_500

_stored = and_(runs.c.log_bytes > 0, runs.c.shipped_at.is_not(None), runs.c.log_expired_at.is_(None))
_logs = (
    select(runs.c.id, runs.c.log_bytes)
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(_stored)
    .order_by(runs.c.shipped_at)
    .limit(BATCH)
)
_of_account = jobs.c.account_id == bindparam("account_id")
_old = runs.c.shipped_at < bindparam("before")
_oldest = Statement(_logs)
_oldest_of = Statement(_logs.where(_of_account))
_older = Statement(_logs.where(_old, not_(in_list(jobs.c.account_id, "others"))))
_older_of = Statement(_logs.where(_old, _of_account))
_bytes = select(func.sum(runs.c.log_bytes).cast(BigInteger)).where(_stored)
_total = Statement(_bytes)
_total_of = Statement(_bytes.select_from(runs.join(jobs, jobs.c.id == runs.c.job_id)).where(_of_account))
_expire = Statement(
    update(runs)
    .where(in_list(runs.c.id, "ids"), runs.c.shipped_at.is_not(None))
    .values(log_expired_at=bindparam("now"), log_segments="[]")
)
LOG_LIMITS = "log limits"
"""What is remembered of them is forgotten when one changes."""

_limits = Statement(select(log_limits))
_limits_of = Statement(select(log_limits).where(log_limits.c.account_id == bindparam("account_id")))
_limits_of_some = Statement(select(log_limits).where(in_list(log_limits.c.account_id, "ids")))
_set = Statement(
    insert(log_limits), suffix="ON CONFLICT (account_id) DO UPDATE SET days = excluded.days, bytes = excluded.bytes"
)
_unset = Statement(delete(log_limits).where(log_limits.c.account_id == bindparam("account_id")))


class LogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """An account's own limits: days and bytes. None: the installation's holds; 0: none at all."""

    days: int | None = None
    bytes: int | None = None


class LogLimitsChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays."""

    days: int | msgspec.UnsetType | None = msgspec.UNSET
    bytes: int | msgspec.UnsetType | None = msgspec.UNSET


def get_log_limits(uow: UnitOfWork, account_id: str) -> LogLimits:
    """The limits that are an account's own; whoever may see the account may see them."""
    return uow.remembered(LOG_LIMITS, account_id, lambda: _load(uow, account_id))


def list_log_limits(uow: UnitOfWork, account_ids: Sequence[str]) -> dict[str, LogLimits]:
    """The limits that are the accounts' own, of those that have any."""
    rows = uow.all(_limits_of_some, ids=account_ids)
    return {row.account_id: LogLimits(days=row.days, bytes=row.bytes) for row in rows}


def set_log_limits(uow: UnitOfWork, actor: Actor, account: str, change: LogLimitsChange) -> str:
    """Give an account limits of its own; its id. They may be larger than the installation's, so that one must
    be allowed to change that.

    Raises Invalid `bad-limit`, NotFound, Forbidden.
    """
    found = resolve_account(uow, actor, account)
    require(uow, actor, "installation:set")
    before = get_log_limits(uow, found.id)
    days = before.days if change.days is msgspec.UNSET else change.days
    size = before.bytes if change.bytes is msgspec.UNSET else change.bytes
    if days is not None and not 0 <= days <= MAX_DAYS:
        raise Invalid(f"logs cannot be kept for {days} days; write 0 (for ever) to {MAX_DAYS}", code="bad-limit")
    if size is not None and not 0 <= size < 1 << 60:
        raise Invalid(f"{size} bytes cannot be a limit of logs; write 0 for none", code="bad-limit")
    if days is None and size is None:
        uow.run(_unset, account_id=found.id)
    else:
        uow.run(_set, account_id=found.id, days=days, bytes=size)
    uow.hint(LOG_LIMITS)
    uow.emit(Event("account.changed", "account", found.id, found.id, {"log_days": days, "log_bytes": size}))
    return found.id


def _load(uow: UnitOfWork, account_id: str) -> LogLimits:
    row = uow.one(_limits_of, account_id=account_id)
    return LogLimits(days=row.days, bytes=row.bytes) if row else LogLimits()


def expire_logs(uow: UnitOfWork, settings: ComputeSettings) -> int:
    """Expire what is over a limit now, at most a batch for each limit; how many logs. Repeated until none is left."""
    own = uow.all(_limits)
    expired: dict[str, None] = {}
    if settings.log_days:
        others = [row.account_id for row in own if row.days is not None]
        rows = uow.all(_older, before=uow.now - settings.log_days * DAY, others=others)
        expired |= dict.fromkeys(row.id for row in rows)
    for row in own:
        if row.days:
            old = uow.all(_older_of, before=uow.now - row.days * DAY, account_id=row.account_id)
            expired |= dict.fromkeys(one.id for one in old)
        if row.bytes:
            over = (uow.scalar(_total_of, account_id=row.account_id) or 0) - row.bytes
            if over > 0:
                expired |= dict.fromkeys(_first(uow.all(_oldest_of, account_id=row.account_id), over))
    if settings.log_bytes and not expired:  # what the others expire counts first
        over = (uow.scalar(_total) or 0) - settings.log_bytes
        if over > 0:
            expired |= dict.fromkeys(_first(uow.all(_oldest), over))
    return uow.run(_expire, ids=list(expired), now=uow.now) if expired else 0


def _first(rows: Iterable[Row], wanted: int) -> list[str]:
    """The first logs that have so many bytes together."""
    taken = []
    for row in rows:
        if wanted <= 0:
            break
        wanted -= row.log_bytes
        taken.append(row.id)
    return taken
