"""The loop that delivers: claim, send outside any transaction, write how it went.

A message is delivered at least once, always under the same id. One process sends at a time (a lease); a message that
was being sent when it died is sent again after a pause, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from dais.compute.notify.commands import bound_to
from dais.compute.notify.outbox import WAITING, Facts
from dais.compute.notify.queries import Due, Settled, claim_due, forget_old, next_due, settle
from dais.compute.notify.settings import NotifySettings
from dais.compute.notify.webhook import REMEDY, Failed, post
from dais.kit.addresses import Allowed, Internal, refuse_internal
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Database
from dais.kit.errors import DaisError, Invalid
from dais.kit.leases import Lease, LeasedLoop
from dais.kit.mail import Undelivered, send_mail
from dais.kit.vault import Vault
from dais.wire.notify import MAIL, NOBODY

log = logging.getLogger(__name__)

PAUSES = (10.0, 60.0, 300.0, 1800.0)
"""Seconds before the second, third, … try; the last one holds for all that follow."""
LOOK_SECONDS = 10.0
HOLD_SECONDS = 60.0
"""The lease is long, for every renewal is a flush of the disk, also where nobody is told of anything."""
FORGET_SECONDS = 3600.0


class Notifier:
    """Sends the messages of ended jobs. `base_url` is the address of the pages, once it is known."""

    def __init__(self, db: Database, vault: Vault, settings: NotifySettings) -> None:
        self._db = db
        self._vault = vault
        self._settings = settings
        self._allowed = Allowed.of(settings.internal_hosts, "DAIS_NOTIFY_INTERNAL_HOSTS")
        self._forgot = 0
        self.base_url = settings.base_url.rstrip("/")
        self.loop = LeasedLoop(
            db, "notifications", self._step, topic=WAITING, interval=LOOK_SECONDS, seconds=HOLD_SECONDS
        )

    def check(self, targets: Sequence[str]) -> None:
        """Refuse what can never be told from this installation. Raises Invalid `bad-target`."""
        for target in targets:
            if target == NOBODY:
                continue
            if target.startswith(MAIL):
                if not self._settings.smtp_host:
                    raise Invalid(
                        f"{target}: this installation sends no mail; its administrator can set DAIS_NOTIFY_SMTP_HOST, "
                        "or name a webhook (https://…)",
                        code="bad-target",
                    )
                continue
            self._check_url(target)

    def _check_url(self, target: str) -> None:
        url = urlsplit(target)
        host = url.hostname or ""
        try:
            address = ip_address(host)
        except ValueError:
            inside = self._allowed.has_name(host)
        else:
            inside = self._allowed.has_name(host) or self._allowed.has(address)
            if not inside:
                try:
                    refuse_internal(host, address)
                except Internal as error:
                    raise Invalid(f"{target[:200]}: {error}, {REMEDY}", code="bad-target") from error
        if url.scheme != "https" and not inside and not self._allowed.networks:
            raise Invalid(
                f"{target[:200]}: use https, so that nobody on the way reads or changes it", code="bad-target"
            )

    async def deliver_due(self, token: str) -> int:
        """Send what is due now; how many were tried."""
        due: list[Due] = await self._db.write(claim_due, token, 2 * self._settings.timeout + PAUSES[0])
        if due:
            settled = await asyncio.gather(*(self._try(one) for one in due))
            await self._db.write(settle, token, settled)
        return len(due)

    async def _step(self, lease: Lease) -> None:
        now = self._db.clock.now()
        while True:  # looked at first: a write every few seconds would be a disk's flush every few seconds
            at: int | None = await self._db.read(next_due)
            if at is None or at > now or not await self.deliver_due(lease.token):
                break
        if now - self._forgot > FORGET_SECONDS * SECOND:
            self._forgot = now
            await self._db.write(forget_old)

    async def _try(self, due: Due) -> Settled:
        try:
            await self._send(due)
        except (Failed, Undelivered) as error:
            said, final = str(error), error.final
        except DaisError as error:  # its signing key cannot be read
            said, final = error.message, False
        except Exception as error:
            log.exception("message %s could not be sent", due.id)
            said, final = f"a defect in Dais: {type(error).__name__}", False
        else:
            return Settled(due=due)
        if final or due.tries >= self._settings.tries:
            log.warning("message %s of job %s was given up: %s", due.id, due.facts.id, said)
            return Settled(due=due, error=said)
        pause = PAUSES[min(due.tries, len(PAUSES)) - 1] * random.uniform(0.8, 1.2)
        return Settled(due=due, error=said, again=self._db.clock.now() + int(pause * SECOND))

    async def _send(self, due: Due) -> None:
        """Raises Failed, Undelivered."""
        if due.target.startswith(MAIL):
            subject, text = mail_of(due.facts, self._page(due.facts))
            to = due.target.removeprefix(MAIL)
            await asyncio.to_thread(send_mail, self._settings, to, subject, text, due.id)
            return
        key = self._vault.open(due.signing, *bound_to(due.user_id)).decode() if due.signing is not None else None
        now = self._db.clock.now()
        data = {**msgspec.structs.asdict(due.facts), "url": self._page(due.facts)}
        kind = "job.idle" if due.facts.ended_at is None else "job.ended"
        body = msgspec.json.encode({"type": kind, "timestamp": to_rfc3339(now), "data": data})
        limit = self._settings.timeout
        try:
            async with asyncio.timeout(limit):
                await post(due.target, due.id, now // SECOND, body, key=key, allowed=self._allowed)
        except TimeoutError as error:
            raise Failed(f"{urlsplit(due.target).hostname} did not answer within {limit:g} s") from error

    def _page(self, facts: Facts) -> str:
        return f"{self.base_url}/jobs/{facts.id}"


def mail_of(facts: Facts, page: str) -> tuple[str, str]:
    """Subject and text of the mail that tells how a job ended."""
    name = facts.name or f"#{facts.number}"
    why = f" ({facts.reason})" if facts.reason not in (None, "completed") else ""
    lines = [
        f"The job {name} of {facts.account} has ended: {facts.state}{why}."
        if facts.ended_at is not None
        else f"The job {name} of {facts.account} is idle and about to be stopped.",
        "",
        *([facts.detail, ""] if facts.detail else []),
        *([f"exit code  {facts.exit_code}"] if facts.exit_code is not None else []),
        *([f"signal     {facts.signal}"] if facts.signal is not None else []),
        f"submitted  {facts.created_at}",
        *([f"started    {facts.started_at}"] if facts.started_at else []),
        f"ended      {facts.ended_at}",
        f"job        {facts.id}",
        "",
        page,
        "",
    ]
    return f"Job {name}: {facts.state}{why}", "\n".join(lines)
