"""SQLite: one writer thread with group commit, and a pool of readers.

The writer takes every verb that waits, and commits them together (`batch`): one fsync for all of them, durable before
anybody is answered. A failing verb undoes only itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from dais.kit.clock import Clock
from dais.kit.database.base import Database
from dais.kit.database.batch import Call, deliver, next_batch, run_together
from dais.kit.database.bounds import LOOK_AT_CLOCK, Bound
from dais.kit.database.glass import Glass
from dais.kit.database.mounts import refuse_network_file_system
from dais.kit.database.remembered import Remembered
from dais.kit.database.work import UnitOfWork, Verb, write_out
from dais.kit.errors import Conflict, DaisError, Unavailable

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
CHECKPOINT_PAGES = 8000
"""How long the write-ahead log grows (pages of 4 KiB) before it is copied: pages that are written again and again are
copied once. After a kill the next server reads it, in 4 µs a page."""
WAL_TRUNCATE_BYTES = 64 << 20
CRAMPED_WAL_BYTES = 1 << 20
"""How long it grows where less room is left than it might take: a full disk keeps it from being copied, too."""


class SqliteDatabase(Database):
    """A database file. `readers` is the number of reading threads."""

    dialect = "sqlite"

    def __init__(self, path: Path, clock: Clock, *, readers: int = 4) -> None:
        refuse_network_file_system(path.parent)
        super().__init__(clock, readers)
        self.path = path
        self._known = Remembered()
        self._log = f"{path}-wal"
        self._commits = 0
        self._reading: list[sqlite3.Connection | Glass] = []
        self._writer_connection = _connect(path)
        self._writer = threading.Thread(target=self._write_forever, name="dais-writer", daemon=True)
        self._writer.start()

    async def glance(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """Run a reading verb that finds a few rows by their keys, here and now: going to a thread takes longer.

        What is asked within one turn of the event loop sees one snapshot, unless this process commits something
        meanwhile. A verb that takes long, or fails for the database's sake, is run again by a reading thread.
        """
        glass: Glass | None = getattr(self._local, "glass", None)
        if glass is None:
            glass = self._local.glass = Glass(_connect(self.path))
            self._reading.append(glass)
        try:
            # Made before it looks: what it remembers is then no newer than what it sees.
            work = UnitOfWork(glass.connection, self.dialect, self.clock, known=self._known)
            glass.look(self._commits)
            return verb(work, *args, **kwargs)
        except sqlite3.Error as error:
            glass.look_away()
            log.info("a verb cannot be answered at once: %s", error, extra={"verb": getattr(verb, "__qualname__", "")})
        return await self.read(verb, *args, **kwargs)

    def close(self) -> None:
        """Finish what is queued, then close every connection."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._writer_connection.close()
        self._readers.shutdown()
        for connection in self._reading:
            connection.close()

    # -- the readers' side -------------------------------------------------------------------------------

    def _read(self, verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self.path)
            connection.execute("PRAGMA query_only = 1")
            self._reading.append(connection)
        bound = Bound(verb)
        if bound.seconds is not None:
            connection.set_progress_handler(bound.is_over, LOOK_AT_CLOCK)
        try:
            connection.execute("BEGIN")
            work = UnitOfWork(connection, self.dialect, self.clock, known=self._known, bound=bound)
            return verb(work, *args, **kwargs)
        except sqlite3.Error as error:
            raise (bound.error() if bound.is_over() else translated(error)) from error
        finally:
            if bound.seconds is not None:
                connection.set_progress_handler(None, 0)
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    # -- the writer's side -------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        last = False
        while not last:
            batch, last = next_batch(self._queue)
            if batch:
                self._run_batch(batch)

    def _run_batch(self, batch: list[Call]) -> None:
        connection = self._writer_connection
        begun = time.perf_counter()
        try:
            connection.execute("BEGIN IMMEDIATE")
            spoiled = run_together(batch, lambda stale: self._unit(connection, stale))
            if not connection.in_transaction:  # it is gone: the disk is full, or an I/O error
                raise spoiled or next(
                    (call.error for call in batch if call.error), sqlite3.OperationalError("the transaction is gone")
                )
            if spoiled is not None:
                connection.execute("ROLLBACK")
                self._run_apart(connection, batch, spoiled)
            if connection.in_transaction:
                connection.execute("COMMIT")
            self._commits += 1  # before anybody is told: who drops what is stale must not read it again
            tallies = [tally for call in batch if call.error is None for tally in call.tallies]
            self.meter.committed(time.perf_counter() - begun, len(batch), tallies)
        except BaseException as error:  # the writer outlives whatever happens to one batch
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.meter.lost()
            for call in batch:
                call.error = call.error or error
        hints: set[str] = set()
        for call in batch:
            if call.error is None:
                hints |= call.hints
            elif isinstance(call.error, sqlite3.Error):
                call.error = translated(call.error)
        if hints:  # before the answers: whoever listens has dropped what is stale when a change is answered
            self._known.drop(hints)
            self.hints.raise_(hints)
        deliver(batch)
        self._checkpoint()

    def _run_apart(self, connection: sqlite3.Connection, batch: list[Call], spoiled: BaseException) -> None:
        """Run each verb in a savepoint of its own; one that was alone has failed."""
        if len(batch) == 1:
            batch[0].error = spoiled
            return
        stale: set[str] = set()
        connection.execute("BEGIN IMMEDIATE")
        for call in batch:
            work = self._unit(connection, stale)
            connection.execute("SAVEPOINT verb")
            try:
                call.run(work)
                write_out([work])
            except BaseException as error:
                if not connection.in_transaction:
                    raise
                connection.execute("ROLLBACK TO verb")
                call.error = error
            else:
                stale |= call.hints
            connection.execute("RELEASE verb")

    def _unit(self, connection: sqlite3.Connection, stale: set[str]) -> UnitOfWork:
        return UnitOfWork(connection, self.dialect, self.clock, self._memory, self._known, stale)

    def _checkpoint(self) -> None:
        """Keep the write-ahead log short; SQLite's own checkpoint cannot shrink it while readers come and go."""
        try:
            size = os.stat(self._log).st_size  # noqa: PTH116 (after every commit: it must be quick)
            if size < CRAMPED_WAL_BYTES or (size < WAL_TRUNCATE_BYTES and not self._is_cramped()):
                return
            self._writer_connection.execute("PRAGMA busy_timeout = 50")
            self._writer_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._writer_connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        except (OSError, sqlite3.Error) as error:
            log.warning("could not shorten the write-ahead log: %s", error)

    def _is_cramped(self) -> bool:
        disk = os.statvfs(self._log)
        return disk.f_bavail * disk.f_frsize < WAL_TRUNCATE_BYTES


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = 1")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()
        connection.execute("PRAGMA cache_size = -16000")
        connection.create_function("md5", 1, _md5, deterministic=True)  # which PostgreSQL has
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def translated(error: BaseException, path: Path | None = None) -> BaseException:
    """SQLite's error as one of ours, with the remedy."""
    if isinstance(error, DaisError):
        return error
    text = str(error)
    where = f" {path}" if path else ""
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(f"the database refused a row: {text}", code="already-exists")
    if "locked" in text or "busy" in text:
        return Unavailable(
            f"the database{where} has been locked by another process for {BUSY_SECONDS:g} s; "
            "close whatever has it open and try again",
            code="database-locked",
            retry_after=1,
        )
    if "full" in text:
        return Unavailable(
            f"the disk of the database{where} is full; free some space and try again",
            code="disk-full",
            retry_after=30,
        )
    if "readonly" in text or "read-only" in text or "unable to open" in text:
        return Unavailable(
            f"the database{where} cannot be written ({text}); make its directory writable for this user",
            code="database-read-only",
        )
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in text:
        return Unavailable(f"{path or 'the database file'} is not a SQLite database", code="database-damaged")
    return error
