"""Named leases in the database: of several processes that could do a thing, one does it, and any of them may die.

A lease is a row with a token and an expiry. Taking it is one guarded UPDATE, the same on both databases. Whoever
holds it renews it while working; who was too slow finds the token changed and must drop what it did. Expiry is
reckoned by the clocks of the processes: on several machines these must agree to within a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import and_, bindparam, insert, or_, select, update

from dais.kit.clock import SECOND
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import Conflict, DaisError
from dais.kit.ids import new_id
from dais.kit.tables import leases

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
MAX_BACKOFF_SECONDS = 30.0

_claim = Statement(
    update(leases)
    .where(
        leases.c.name == bindparam("wanted"),
        or_(leases.c.expires_at <= bindparam("now"), and_(leases.c.holder == bindparam("gone"))),
    )
    .values(token=bindparam("new_token"), holder=bindparam("new_holder"), expires_at=bindparam("until"))
    .returning(leases.c.token)
)
_first = Statement(insert(leases), suffix="ON CONFLICT DO NOTHING")
_renew = Statement(
    update(leases)
    .where(leases.c.name == bindparam("wanted"), leases.c.token == bindparam("mine"))
    .values(expires_at=bindparam("until"))
)
_holder = Statement(select(leases.c.holder).where(leases.c.name == bindparam("wanted")))
_unexpired = Statement(select(leases.c.holder).where(leases.c.expires_at > bindparam("now")))
_token = Statement(select(leases.c.token).where(leases.c.name == bindparam("wanted")))


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was taken; it holds while nobody else took it after `expires_at` (µs)."""

    name: str
    token: str
    expires_at: int


def take(uow: UnitOfWork, name: str, holder: str, seconds: float = LEASE_SECONDS) -> Lease | None:
    """Take a lease that is free, has expired, or whose holder is known to be dead; None when another has it."""
    token, until = new_id(), uow.now + int(seconds * SECOND)
    current = uow.scalar(_holder, wanted=name)
    if current is None:
        taken: object = uow.run(_first, name=name, token=token, holder=holder, expires_at=until)
    else:
        gone = current if is_gone(current) else ""
        taken = uow.one(_claim, wanted=name, now=uow.now, gone=gone, new_token=token, new_holder=holder, until=until)
    return Lease(name, token, until) if taken else None


def renew(uow: UnitOfWork, lease: Lease, seconds: float = LEASE_SECONDS) -> Lease | None:
    """The lease with a later expiry; None when another has taken it."""
    until = uow.now + int(seconds * SECOND)
    if not uow.run(_renew, wanted=lease.name, mine=lease.token, until=until):
        return None
    return Lease(lease.name, lease.token, until)


def release(uow: UnitOfWork, lease: Lease) -> None:
    """Let the next one have it at once. One that was lost already is left alone."""
    uow.run(_renew, wanted=lease.name, mine=lease.token, until=0)


def check(uow: UnitOfWork, lease: Lease) -> None:
    """Return when the lease is still held, inside the transaction that rests on it. Raises Conflict `lease-lost`."""
    if uow.scalar(_token, wanted=lease.name) != lease.token:
        raise Conflict(f"the lease {lease.name} was taken over by another process", code="lease-lost", lease=lease.name)


def live_holder(uow: UnitOfWork) -> str | None:
    """Who holds a lease that has not expired and is not known to be dead; None when nobody works on this database."""
    return next((row.holder for row in uow.all(_unexpired, now=uow.now) if not is_gone(row.holder)), None)


def holder_name() -> str:
    """This process, so that others on the same machine can tell whether it still lives."""
    return f"{socket.gethostname()}/{_machine()}/{os.getpid()}/{_started(os.getpid())}"


def is_gone(holder: str) -> bool:
    """Whether the holder was a process of this machine that is dead. False when that cannot be known."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[1] != _machine() or not parts[2].isdigit():
        return False
    return _started(int(parts[2])) != parts[3]


def _machine() -> str:
    """The boot and the pid namespace: a pid means the same process only within both."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"unknown:{new_id()}"


def _started(pid: int) -> str:
    """When a process started; "none" when it is dead, also while nobody has collected it yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "none" if fields[0] in ("Z", "X") else fields[19]
    except (OSError, IndexError):
        return "none"


Step = Callable[[Lease], Awaitable[None]]


class LeasedLoop:
    """Repeats a step while this process holds the lease.

    A step is run when `topic` is hinted, and at the latest `interval` seconds after the last one; two steps begin at
    least `pause` seconds apart. An error is logged and the step tried again, later each time. While a step runs its
    lease is renewed; a step whose lease is lost is cancelled.
    """

    def __init__(
        self,
        db: Database,
        name: str,
        step: Step,
        *,
        topic: str | None = None,
        interval: float = 5.0,
        pause: float = 0.0,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._db = db
        self._step = step
        self._topic = topic or f"loop:{name}"
        self._interval = interval
        self._pause = pause
        self._seconds = seconds
        self._lease: Lease | None = None
        self._failures = 0
        self.name = name

    async def run(self) -> None:
        """Work until cancelled; the lease is given back at the end."""
        holder = holder_name()
        with self._db.hints.subscribe(self._topic) as hint:
            try:
                while True:
                    if await self._turn(holder):
                        await asyncio.sleep(self._pause)
                        await hint.wait(self._interval)
                    else:
                        await asyncio.sleep(self._rest())
            finally:
                await self._give_back()

    async def _turn(self, holder: str) -> bool:
        """One step under the lease; False when it failed or another process has the lease."""
        try:
            self._lease = await self._hold(holder)
            if self._lease is None:
                self._failures = 0
                return False
            await self._renewing(self._lease)
        except DaisError as error:
            self._failures += 1
            log.warning("the loop %s failed, %d times in a row: %s", self.name, self._failures, error)
            return False
        except Exception:
            self._failures += 1
            log.exception("the loop %s failed, %d times in a row", self.name, self._failures)
            return False
        self._failures = 0
        return True

    async def _hold(self, holder: str) -> Lease | None:
        lease = self._lease
        if lease is not None:
            if lease.expires_at - self._db.clock.now() > self._seconds * SECOND / 2:
                return lease
            renewed: Lease | None = await self._db.write(renew, lease, self._seconds)
            if renewed is not None:
                return renewed
            log.warning("the loop %s goes on in another process", self.name)
        taken: Lease | None = await self._db.write(take, self.name, holder, self._seconds)
        return taken

    async def _renewing(self, lease: Lease) -> None:
        """Run one step, and renew the lease meanwhile. Raises what the step raises, Conflict when the lease is lost."""
        step = asyncio.ensure_future(self._step(lease))
        try:
            while True:
                done, _ = await asyncio.wait((step,), timeout=self._seconds / 3)
                if done:
                    step.result()
                    return
                renewed: Lease | None = await self._db.write(renew, lease, self._seconds)
                if renewed is None:
                    self._lease = None
                    raise Conflict(f"the lease {lease.name} was lost during a step", code="lease-lost")
                self._lease = lease = renewed
        finally:
            if not step.done():
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)

    def _rest(self) -> float:
        if self._failures == 0:
            return self._seconds / 3
        return min(MAX_BACKOFF_SECONDS, 0.1 * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)

    async def _give_back(self) -> None:
        if self._lease is not None:
            with contextlib.suppress(Exception):  # it expires by itself
                await self._db.write(release, self._lease)
