"""Lock-out that grows with failures: kept for each user in the database, for each address in memory.

An attempt is counted before its outcome is known, so that many at a time get no further than one after the other; one
that succeeds is taken back. Names that nobody has are counted and locked exactly like those that somebody has.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

import msgspec
from sqlalchemy import Integer, bindparam, delete, func, insert, select, update

from dais.identity.signing_in.tables import sign_in_failures
from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import TooMany

log = logging.getLogger(__name__)

FREE = 5
"""Failures of a user that cost no time."""
FREE_OF_ADDRESS = 50
"""The same of an address: many people may share one, and begin work at the same time."""
FIRST_SECONDS, LONGEST_SECONDS = 30, 15 * 60
"""The first lock-out, and the longest: each is twice the one before."""
FORGOTTEN_SECONDS = 24 * 3600
"""After so long without a failure all of them are forgotten."""
MOST_SUBJECTS = 20_000
"""Rows of failures, and addresses, that are kept; the oldest go first."""

_day = FORGOTTEN_SECONDS * SECOND
_count = Statement(
    insert(sign_in_failures),
    suffix="ON CONFLICT (subject) DO UPDATE SET last_at = excluded.last_at, failures = CASE "
    f"WHEN sign_in_failures.last_at < excluded.last_at - {_day} THEN 1 ELSE sign_in_failures.failures + 1 END "
    "WHERE sign_in_failures.locked_until <= excluded.last_at RETURNING failures",
)
_lock = Statement(
    update(sign_in_failures)
    .where(sign_in_failures.c.subject == bindparam("its_subject"))
    .values(locked_until=bindparam("until"))
)
_locked_until = Statement(
    select(sign_in_failures.c.locked_until).where(sign_in_failures.c.subject == bindparam("its_subject"))
)
_take_back = Statement(
    update(sign_in_failures)
    .where(sign_in_failures.c.subject == bindparam("its_subject"), sign_in_failures.c.failures > 0)
    .values(failures=sign_in_failures.c.failures - 1)
    .returning(sign_in_failures.c.failures, sign_in_failures.c.last_at)
)
_forget = Statement(delete(sign_in_failures).where(sign_in_failures.c.subject == bindparam("its_subject")))
_total = Statement(select(func.count()).select_from(sign_in_failures))
_oldest = Statement(
    delete(sign_in_failures).where(
        sign_in_failures.c.subject.in_(
            select(sign_in_failures.c.subject)
            .order_by(sign_in_failures.c.last_at)
            .limit(bindparam("most", type_=Integer()))
        )
    )
)


def subject_of(user_id: str | None, name: str) -> str:
    """What failures are counted under: the user, or the name that nobody has."""
    text = f"user\0{user_id}" if user_id is not None else f"name\0{name.strip().lower()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def count_attempt(uow: UnitOfWork, subject: str) -> int:
    """Count an attempt as failed, until `take_back` or `forget`; 0, or the seconds for which nothing is tried."""
    failures = uow.scalar(_count, subject=subject, failures=1, last_at=uow.now, locked_until=0)
    if failures is None:
        until: int = uow.scalar(_locked_until, its_subject=subject)
        return max(1, -(-(until - uow.now) // SECOND))
    wait = wait_after(failures, FREE)
    if wait:
        uow.run(_lock, its_subject=subject, until=uow.now + wait * SECOND)
        log.warning("signing in as somebody is locked for %d s after %d failures", wait, failures)
    elif failures == 1:
        _keep_bounded(uow)
    return 0


def take_back(uow: UnitOfWork, subject: str) -> None:
    """The attempt was none that failed; those before it stay counted, and what they locked stays locked."""
    row = uow.one(_take_back, its_subject=subject)
    if row is not None:
        wait = wait_after(row.failures, FREE)
        uow.run(_lock, its_subject=subject, until=row.last_at + wait * SECOND if wait else 0)


def forget(uow: UnitOfWork, subject: str) -> None:
    """Somebody proved to be the user: all is forgiven."""
    uow.run(_forget, its_subject=subject)


def wait_after(failures: int, free: int) -> int:
    """Seconds of lock-out after so many failures."""
    if failures < free:
        return 0
    return min(FIRST_SECONDS << min(failures - free, 16), LONGEST_SECONDS)


def locked(seconds: int) -> TooMany:
    """What is answered while nothing is tried, whoever it is about."""
    return TooMany(
        f"there were too many failed attempts; try again in {_words(seconds)}",
        code="locked-out",
        retry_after=seconds,
    )


class _Seen(msgspec.Struct):
    failures: int
    last_at: int
    until: int


class Addresses:
    """Failures by the address that they came from; of an IPv6 network the first 64 bits. Bounded in memory."""

    def __init__(self, *, free: int = FREE_OF_ADDRESS, most: int = MOST_SUBJECTS) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._free = free
        self._most = most

    def count(self, address: str, now: int) -> None:
        """Count an attempt as failed, until `take_back`. Raises TooMany `locked-out`."""
        key = _network(address)
        seen = self._seen.pop(key, None)
        if seen is None or seen.last_at < now - _day:
            seen = _Seen(0, now, 0)
        self._seen[key] = seen
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        if seen.until > now:
            raise locked(max(1, -(-(seen.until - now) // SECOND)))
        seen.failures += 1
        seen.last_at = now
        seen.until = now + wait_after(seen.failures, self._free) * SECOND

    def take_back(self, address: str) -> None:
        """The attempt did not fail. Those before it stay counted: one's own account buys no guesses at others'."""
        seen = self._seen.get(_network(address))
        if seen is not None and seen.failures:
            seen.failures -= 1
            wait = wait_after(seen.failures, self._free)
            seen.until = seen.last_at + wait * SECOND if wait else 0


def _network(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return found.exploded[:19]
    return str(found)


def _keep_bounded(uow: UnitOfWork) -> None:
    extra = uow.scalar(_total) - MOST_SUBJECTS
    if extra > 0:
        uow.run(_oldest, most=extra + MOST_SUBJECTS // 100)


def _words(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
