"""PostgreSQL: a few threads that write and a few that read, each with its connection.

A writer takes every verb that waits, and commits them together (`batch`): one round trip and one sync for the commit,
one statement for the events and one for the audit log of all of them, and what they remember is read once. Glances that
wait share a snapshot likewise. Any other reading verb, and one that fails after it has written, has a transaction of
its own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Any

import psycopg
from psycopg import errors as pg

from dais.kit.clock import Clock
from dais.kit.database.base import Database
from dais.kit.database.batch import Call, Turn, call_async, deliver, next_batch, run_together
from dais.kit.database.bounds import Bound
from dais.kit.database.work import UnitOfWork, Verb, write_out
from dais.kit.errors import Conflict, DaisError, Unavailable

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""How often a verb is tried that lost against another transaction or a broken connection."""

LOCK_WAIT = "200ms"
"""How long a batch waits for rows that another transaction changes; then each of its verbs waits on its own. So two
batches that want each other's rows are not found out by PostgreSQL, after a second, but part."""

TURN_SECONDS = 0.05
"""How long a writer waits for another one's verbs, so that more are committed together."""

GLANCERS, MOST_GLANCES = 2, 16
"""Connections for glances, and how many share a snapshot: beginning and ending one takes longer than a few rows."""

NOTIFY_SECONDS = 0.05
"""At most twenty notifications a second leave this process."""

BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

CHANNEL = "dais"


class PostgresDatabase(Database):
    """A database server. `readers` and `writers` are the numbers of connections for verbs; GLANCERS more are for
    glances, and one listens."""

    dialect = "postgresql"

    def __init__(self, url: str, clock: Clock, *, readers: int = 4, writers: int = 3) -> None:
        super().__init__(clock, readers)
        self.url = url
        self._connections: set[psycopg.Connection[Any]] = set()
        self._lock = threading.Lock()
        self._turn = Turn(TURN_SECONDS)
        self._glances: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._pending: set[str] = set()
        _connect(url).close()  # fail now, with a clear message, rather than at the first verb
        self._writers = [
            threading.Thread(target=self._write_forever, name=f"dais-writer-{number}", daemon=True)
            for number in range(writers)
        ]
        self._glancers = [
            threading.Thread(target=self._glance_forever, name=f"dais-glancer-{number}", daemon=True)
            for number in range(GLANCERS)
        ]
        self._listener = threading.Thread(target=self._listen, name="dais-listener", daemon=True)
        for thread in (*self._writers, *self._glancers, self._listener):
            thread.start()

    async def glance(self, verb: Verb, *args: Any, **kwargs: Any) -> Any:
        """Run a reading verb that finds a few rows by their keys, on one snapshot with others that wait for theirs.

        The snapshot is no older than the question. A server over a network is never asked on the event loop.
        """
        if Bound(verb).seconds is not None:
            return await self.read(verb, *args, **kwargs)
        call = call_async(verb, args, kwargs)
        self._put(call, self._glances)
        return await call.future

    def close(self) -> None:
        """Finish what is queued, then close every connection."""
        if self._closed:
            return
        self._closed = True
        for threads, waiting in ((self._writers, self._queue), (self._glancers, self._glances)):
            for _ in threads:
                waiting.put(None)
            for thread in threads:
                thread.join()
        self._readers.shutdown()
        self._closing.set()
        self._listener.join(timeout=5)
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    # -- writing ---------------------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        last = False
        while not last:
            batch, last = next_batch(self._queue, turn=self._turn)
            try:
                if len(batch) < 2 or not self._write_together(batch):
                    for call in batch:
                        self._run_alone(call, read_only=False)
            finally:
                self._turn.give()
            deliver(batch)

    def _write_together(self, batch: list[Call]) -> bool:
        """Commit the verbs in one transaction; False when nothing was kept, and each is to be run alone."""
        committing = False
        begun = time.perf_counter()
        own: dict[str, dict[Any, Any]] = {}
        try:
            connection = self._connection()
        except DaisError:
            return False  # alone they are tried again
        try:
            connection.execute("BEGIN")
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
            spoiled = run_together(
                batch, lambda _: UnitOfWork(connection, self.dialect, self.clock, self._memory, own=own)
            )
            if spoiled is not None or any(isinstance(call.error, psycopg.Error) for call in batch):
                self._roll_back(connection)
                return False
            committing = True
            self._turn.give()
            connection.execute("COMMIT")
        except psycopg.Error as error:
            self.meter.lost()
            self._discard(connection)
            if not committing:
                return False
            for call in batch:  # whether it was kept is not known: to ask again is theirs
                call.error = translated(error)
            return True
        tallies = [tally for call in batch if call.error is None for tally in call.tallies]
        self.meter.committed(time.perf_counter() - begun, len(batch), tallies)
        self._raise(set().union(*(call.hints for call in batch if call.error is None)))
        return True

    def _run_alone(self, call: Call, *, read_only: bool) -> None:
        try:
            call.error = None
            call.result = self._transact(call.verb, call.args, call.kwargs, read_only=read_only)
        except BaseException as error:
            call.error = error

    # -- glancing --------------------------------------------------------------------------------------------

    def _glance_forever(self) -> None:
        last = False
        while not last:
            batch, last = next_batch(self._glances, MOST_GLANCES)
            if len(batch) < 2 or not self._glance_together(batch):
                for call in batch:
                    self._run_alone(call, read_only=True)
            deliver(batch)

    def _glance_together(self, batch: list[Call]) -> bool:
        """Run reading verbs on one snapshot; False when the database failed, and each is to be run alone."""
        own: dict[str, dict[Any, Any]] = {}
        try:
            connection = self._connection()
        except DaisError:
            return False  # alone they are tried again
        try:
            connection.execute(BEGIN_READING)
            for call in batch:
                try:
                    call.run(UnitOfWork(connection, self.dialect, self.clock, self._memory, own=own))
                except psycopg.Error:
                    raise
                except BaseException as error:
                    call.error = error
            connection.execute("COMMIT")
        except psycopg.Error:
            self._discard(connection)
            return False
        return True

    def _raise(self, hints: set[str]) -> None:
        if hints:
            self.hints.raise_(hints)
            with self._lock:
                self._pending |= hints

    def _read(self, verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._transact(verb, args, kwargs, read_only=True)

    def _transact(self, verb: Verb, args: tuple[Any, ...], kwargs: dict[str, Any], *, read_only: bool) -> Any:
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            connection = self._connection()
            committing = False
            begun = time.perf_counter()
            bound = Bound(verb)
            try:
                connection.execute(BEGIN_READING if read_only else "BEGIN")
                if bound.seconds is not None:
                    connection.execute(f"SET LOCAL statement_timeout = {int(bound.seconds * 1000)}")
                work = UnitOfWork(connection, self.dialect, self.clock, self._memory, bound=bound)
                result = verb(work, *args, **kwargs)
                if not read_only:
                    write_out([work])
                hints = work.hints
                committing = True
                self._turn.give()
                connection.execute("COMMIT")
                if not read_only:
                    self.meter.committed(time.perf_counter() - begun, 1, work.tallies)
            except pg.QueryCanceled as error:
                self._roll_back(connection)
                raise (bound.error() if bound.seconds is not None else translated(error)) from error
            except (pg.SerializationFailure, pg.DeadlockDetected) as error:
                self._roll_back(connection)
                self.meter.lost()
                if last:
                    raise Unavailable(
                        f"the database was too busy with the same rows: {error}", code="database-busy", retry_after=1
                    ) from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # Before COMMIT was sent nothing is kept, so a broken connection may be tried again; a COMMIT
                # without an answer is the caller's to repeat (idempotency keys are for that).
                broken = connection.broken
                self._discard(connection)
                if last or committing or not broken:
                    raise translated(error) from error
                time.sleep(0.05 * 2**attempt)
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, psycopg.Error):
                    raise translated(error) from error
                raise
            else:
                self._raise(hints)
                return result
        raise AssertionError("unreachable")

    def _connection(self) -> psycopg.Connection[Any]:
        connection: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = self._local.connection = _connect(self.url)
            with self._lock:
                self._connections.add(connection)
        return connection

    def _roll_back(self, connection: psycopg.Connection[Any]) -> None:
        """Keep nothing. A connection that is lost by then has kept nothing, and what happened before is what counts."""
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._discard(connection)

    def _discard(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            self._connections.discard(connection)
        connection.close()
        self._local.connection = None

    def _listen(self) -> None:
        """Carry hints between processes: what others notify is raised here, what is raised here is notified."""
        connection: psycopg.Connection[Any] | None = None
        while not self._closing.is_set():
            try:
                if connection is None:
                    connection = _connect(self.url)
                    connection.execute(f"LISTEN {CHANNEL}")
                for notice in connection.notifies(timeout=NOTIFY_SECONDS):
                    if notice.pid != connection.info.backend_pid:
                        self.hints.raise_(notice.payload.split(","))
                with self._lock:
                    pending, self._pending = self._pending, set()
                if pending:
                    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, ",".join(sorted(pending))))
            except (psycopg.Error, DaisError) as error:
                log.warning("notifications are interrupted, polling goes on: %s", error)
                if connection is not None:
                    connection.close()
                    connection = None
                self._closing.wait(1.0)
        if connection is not None:
            connection.close()


def _connect(url: str) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="dais")
    except psycopg.Error as error:
        raise translated(error) from error


def translated(error: psycopg.Error) -> DaisError | psycopg.Error:
    """PostgreSQL's error as one of ours, with the remedy. Never repeats the URL: it may hold a password."""
    if isinstance(error, psycopg.IntegrityError):
        return Conflict(f"the database refused a row: {error}", code="already-exists")
    if isinstance(error, pg.DiskFull):
        return Unavailable("the disk of the database server is full", code="disk-full", retry_after=30)
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return Unavailable(
            "the database server takes no writes (a standby?); point DAIS_DATABASE_URL at the primary",
            code="database-read-only",
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return Unavailable(
            f"the database server cannot be reached: {_one_line(error)}; check DAIS_DATABASE_URL",
            code="database-unreachable",
            retry_after=2,
        )
    return error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
