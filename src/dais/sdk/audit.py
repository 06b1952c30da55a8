"""The audit log: who did, or was refused, what."""

from __future__ import annotations

from dais.sdk.flow import Asynchronous, Blocking, Items, Resource, listing
from dais.sdk.pages import pages
from dais.wire.rules import AuditEntry


class AuditApi(Resource):
    """What changed something, and what was refused; plain reads are not in it."""

    @listing
    def list(
        self,
        *,
        user: str | None = None,
        action: str | None = None,
        urn: str | None = None,
        allowed: bool | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Items[AuditEntry]:
        """Entries that you may see, the newest first.

        `action` and `urn` may hold `*`; `since` (included) and `until` (not) are RFC 3339. Raises Invalid.
        """
        query = {"user": user, "action": action, "urn": urn, "allowed": allowed, "since": since, "until": until}
        yield from pages(self, "/v1/audit", query, AuditEntry, limit)


class Audit(AuditApi, Blocking):
    """The audit log, blocking."""


class AsyncAudit(AuditApi, Asynchronous):
    """The audit log, on asyncio."""
