"""What is done once an hour: removing uploads that nobody finished, and what crashes left on the disk."""

from __future__ import annotations

import asyncio
import logging

from dais.data.commands import expire_staged
from dais.data.folder_store import FolderStore
from dais.data.queries import existing_folders
from dais.data.settings import DataSettings
from dais.kit.clock import SECOND
from dais.kit.database import Database

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0


async def tidy(db: Database, store: FolderStore, settings: DataSettings) -> None:
    """Tidy up once. Meant for the start of the server, too: it finishes removals that a crash interrupted."""
    seconds = settings.unfinished_hours * 3600
    await db.write(expire_staged, db.clock.now() - int(seconds * SECOND))
    existing = await db.read(existing_folders)
    await asyncio.to_thread(store.sweep, existing, unfinished_seconds=seconds)


async def keep_tidy(db: Database, store: FolderStore, settings: DataSettings) -> None:
    """Tidy up now and every hour, until cancelled. A failure is logged, and tried again an hour later."""
    while True:
        try:
            await tidy(db, store, settings)
        except Exception:
            log.exception("tidying up folders failed")
        await asyncio.sleep(INTERVAL_SECONDS)
