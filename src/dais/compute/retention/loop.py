"""The loop that expires logs and the audit log every hour, and every few hours frees blobs and sweeps metadata."""

from __future__ import annotations

import asyncio
import logging

from dais.compute.images.described import IMAGE
from dais.compute.jobs.described import JOB
from dais.compute.retention.blobs import collect_blobs
from dais.compute.retention.logs import expire_logs
from dais.compute.settings import ComputeSettings
from dais.data import BlobStore
from dais.identity import AuditSettings, expire_audit
from dais.kit.clock import SECOND
from dais.kit.database import Database
from dais.kit.leases import Lease, LeasedLoop
from dais.provenance import FILE, FILESET, FOLDER, USER, sweep_meta

log = logging.getLogger(__name__)

EXPIRE_SECONDS = 3600.0
COLLECT_SECONDS = 6 * 3600.0
FIRST_SECONDS = 600.0
"""A server that has just come up has better things to do."""


class Retention:
    """Keeps what is stored within its limits. One process of an installation works at a time."""

    def __init__(
        self, db: Database, blobs: BlobStore, settings: ComputeSettings, audit: AuditSettings | None = None
    ) -> None:
        self._db = db
        self._blobs = blobs
        self._settings = settings
        self._audit = audit or AuditSettings()
        self._collect_at = db.clock.now() + int(FIRST_SECONDS * SECOND)
        self.loop = LeasedLoop(db, "retention", self._step, interval=EXPIRE_SECONDS)

    async def expire(self) -> int:
        """Expire every log that is over a limit; how many."""
        total = 0
        while expired := await self._db.write(expire_logs, self._settings):
            total += expired
            await asyncio.sleep(0)
        if total:
            log.info("logs have expired", extra={"logs": total})
        return total

    async def expire_audit(self) -> int:
        """Forget every entry of the audit log that is too old; how many."""
        total = 0
        while expired := await self._db.write(expire_audit, self._audit.days):
            total += expired
            await asyncio.sleep(0)
        if total:
            log.info("entries of the audit log have expired", extra={"entries": total})
        return total

    async def sweep_meta(self) -> None:
        """Remove the metadata of what is gone."""
        after: str | None = ""
        while after is not None:
            after = await self._db.write(sweep_meta, (FILE, FILESET, FOLDER, JOB, IMAGE, USER), after)
            await asyncio.sleep(0)

    async def _step(self, _lease: Lease) -> None:
        await self.expire_audit()
        expired = await self.expire()
        if expired or self._db.clock.now() >= self._collect_at:
            await collect_blobs(self._db, self._blobs)
            await self.sweep_meta()
            self._collect_at = self._db.clock.now() + int(COLLECT_SECONDS * SECOND)
