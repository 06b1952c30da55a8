"""Where running jobs report: a Unix socket for each, and a file in its working directory that is looked at.

Whoever reaches a run's socket is the run: it lies in a directory that is mounted into that container alone. A line is
answered after it is stored, so nobody can send faster than is stored; and not more often than RATE.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dais.compute.reports.commands import Taken, file_taken, take_reports
from dais.compute.reports.reading import read_lines, size_of
from dais.kit.database import Database
from dais.kit.errors import DaisError
from dais.kit.ids import is_id
from dais.wire.reports import MAX_LINE, SOCKET, parse_report

log = logging.getLogger(__name__)

RATE, BURST = 50.0, 100.0
"""Lines that a run may send in a second, and at once after a pause. Who sends more waits."""
CONNECTIONS = 8
"""Connections of one run; more are closed at once."""
LOOK_SECONDS = 2.0
"""How often files are looked at."""
SILENT_SECONDS = 3600.0
"""A connection that says nothing for so long is closed."""
SEND_SECONDS = 10.0
SPARE = 128
"""Sockets of runs that have ended, kept for those that come next."""


@dataclass
class _Run:
    """A run that may report, and the directory with its socket."""

    place: Path
    listening: socket.socket | None = None
    open: int = 0
    allowance: float = BURST
    counted_at: float = 0.0
    seen: int = 0
    """The size of its file when that was read the last time."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Desk:
    """The sockets and files of the runs of one group. `place` may be called from any thread, the rest from the loop's.

    `work_of` says where a run's working directory is.
    """

    def __init__(self, db: Database, directory: Path, work_of: Callable[[str], str]) -> None:
        self._db = db
        self._directory = directory
        self._work_of = work_of
        self._runs: dict[str, _Run] = {}
        self._spare: dict[str, socket.socket] = {}
        """By the names of the runs that had them, which their directories still have."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """From now on sockets are answered. Called on the loop, before the first `place`."""
        self._loop = asyncio.get_running_loop()

    def place(self, run_ids: Iterable[str], *, listen: bool = True) -> None:
        """Make a socket for each of these runs that has none, where there can be one. Blocking."""
        fresh = {run_id: run for run_id in run_ids if (run := self._place(run_id, listen=listen)) is not None}
        loop = self._loop
        if fresh and loop is not None:
            loop.call_soon_threadsafe(self._serve, fresh)

    def _place(self, run_id: str, *, listen: bool) -> _Run | None:
        """A run whose socket has just been made, or None."""
        with self._lock:
            if self._loop is None:
                return None
            run = self._runs.get(run_id)
            if run is None:
                run = self._runs[run_id] = _Run(self._directory / run_id)
            if not listen or run.listening is not None:
                return None
            try:
                run.listening = self._used_again(run.place) or _listen(run.place)
            except OSError as error:
                log.warning("run %s has no socket to report to: %s", run_id, error)
                return None
        return run

    def place_of(self, run_id: str) -> Path | None:
        """The directory with a run's socket, if there is one."""
        run = self._runs.get(run_id)
        if run is not None and run.listening is not None:
            return run.place
        directory = self._directory / run_id
        return directory if directory.is_dir() else None

    async def run(self) -> None:
        """Look at the files of all runs, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for run_id in await asyncio.to_thread(self._grown):
                await self._take_file(run_id, last=False)

    def close(self) -> None:
        """Answer nobody any more; a run that is placed from now on gets no socket."""
        with self._lock:
            loop, self._loop = self._loop, None
            spare, self._spare = self._spare, {}
        for run_id in list(self._runs):
            self._let_go(run_id, loop)
        for run_id, listening in spare.items():
            listening.close()
            _remove(self._directory / run_id)

    async def finish(self, run_ids: Iterable[str], written: Iterable[str] | None = None) -> None:
        """These runs have ended: take the rest of their files, and let go of their sockets.

        `written` are those that have a file, where that is known.
        """
        ended = list(run_ids)
        for run_id in await asyncio.to_thread(self.written, ended) if written is None else written:
            await self._take_file(run_id, last=True)
        unwanted = [run_id for run_id in ended if self._let_go(run_id, spare=True)]
        if unwanted:
            await asyncio.to_thread(self._remove, unwanted)

    async def keep(self, placed: Collection[str], launched: Collection[str], *, listen: bool) -> None:
        """Let go of the sockets of all runs but these, also of what a crash left; those that were launched have one."""
        kept = set(placed)
        for run_id in self._runs.keys() - kept:
            self._let_go(run_id)
        await asyncio.to_thread(self._sweep, kept)
        missing = [run_id for run_id in launched if run_id not in self._runs]
        if missing:
            await asyncio.to_thread(self.place, missing, listen=listen)

    # -- files ---------------------------------------------------------------------------------------------

    def _grown(self) -> list[str]:
        """The runs whose file is another size than when it was read. Blocking."""
        grown = []
        for run_id, run in list(self._runs.items()):
            size = size_of(self._work_of(run_id))
            if size and size != run.seen:
                run.seen = size
                grown.append(run_id)
        return grown

    def written(self, run_ids: Iterable[str]) -> list[str]:
        """The runs that have a file with something in it. Blocking."""
        return [run_id for run_id in run_ids if size_of(self._work_of(run_id))]

    async def _take_file(self, run_id: str, *, last: bool) -> None:
        """Take all lines that are there. What cannot be stored now is taken the next time."""
        try:
            start = await self._db.read(file_taken, run_id)
            work = self._work_of(run_id)
            while (lines := await asyncio.to_thread(read_lines, work, start, last=last)) is not None:
                await self._db.write(
                    take_reports, run_id, lines.reports, refused=lines.refused, file=(lines.start, lines.end)
                )
                start = lines.end
        except DaisError as error:
            log.warning("what run %s reported could not be stored: %s", run_id, error)
            if (run := self._runs.get(run_id)) is not None:
                run.seen = 0

    # -- sockets -------------------------------------------------------------------------------------------

    def _serve(self, fresh: Mapping[str, _Run]) -> None:
        for run_id, run in fresh.items():
            if self._loop is not None and run.listening is not None and self._runs.get(run_id) is run:
                self._loop.add_reader(run.listening, self._accept, run_id, run)

    def _accept(self, run_id: str, run: _Run) -> None:
        assert run.listening is not None
        try:
            connection, _ = run.listening.accept()
        except OSError:
            return
        if run.open >= CONNECTIONS:
            connection.close()
            return
        connection.setblocking(False)
        run.open += 1
        task = asyncio.get_running_loop().create_task(self._answer(run_id, run, connection), name=f"reports {run_id}")
        run.tasks.add(task)
        task.add_done_callback(run.tasks.discard)

    async def _answer(self, run_id: str, run: _Run, connection: socket.socket) -> None:
        """Take lines until it is over, or one is too long."""
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=MAX_LINE)
        except OSError:
            connection.close()
            run.open -= 1
            return
        try:
            while True:
                async with asyncio.timeout(SILENT_SECONDS):
                    line = await reader.readuntil(b"\n")
                await self._wait(run)
                writer.write(await self._take(run_id, line))
                async with asyncio.timeout(SEND_SECONDS):
                    await writer.drain()
        except asyncio.LimitOverrunError:
            await _refuse(writer, f"a line has more than {MAX_LINE:,} bytes; report less at once")
        except (OSError, EOFError, TimeoutError):
            pass
        except Exception:
            log.exception("reports of run %s", run_id)
        finally:
            run.open -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _wait(self, run: _Run) -> None:
        """Hold back whoever sends more than RATE."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        run.allowance = min(BURST, run.allowance + (now - run.counted_at) * RATE) - 1
        run.counted_at = now
        if run.allowance < 0:
            await asyncio.sleep(-run.allowance / RATE)

    async def _take(self, run_id: str, line: bytes) -> bytes:
        """Store a line; what is answered."""
        try:
            report = parse_report(line)
        except ValueError as error:
            await self._note_refused(run_id, str(error))
            return _reply(str(error))
        try:
            taken: Taken | None = await self._db.write(take_reports, run_id, [report])
        except DaisError as error:
            return _reply(error.message, later=True)
        if taken is None:
            return _reply("this run is not known any more")
        return _reply(taken.refused[0] if taken.refused else None)

    async def _note_refused(self, run_id: str, problem: str) -> None:
        with contextlib.suppress(DaisError):
            await self._db.write(take_reports, run_id, [], refused=[problem])

    def _let_go(self, run_id: str, loop: asyncio.AbstractEventLoop | None = None, *, spare: bool = False) -> bool:
        """Stop listening for a run; whether its directory is to be removed. `spare`: its socket may be kept."""
        loop = loop or self._loop
        with self._lock:
            run = self._runs.pop(run_id, None)
        if run is None or run.listening is None:
            return False
        if loop is not None:
            loop.remove_reader(run.listening)
        for task in run.tasks:
            task.cancel()
        with self._lock:
            kept = spare and self._loop is not None and len(self._spare) < SPARE
            if kept:
                self._spare[run_id] = run.listening
        if not kept:
            run.listening.close()
        return not kept

    def _used_again(self, directory: Path) -> socket.socket | None:
        """The socket of a run that has ended, in its directory under the new name; None where there is none.

        The container that it was mounted into is gone, and its old name. To make one and remove it costs as much as
        all that is written of a short run.
        """
        while self._spare and not os.path.lexists(directory):  # an earlier server's is used as it is
            before, listening = self._spare.popitem()
            try:
                os.rename(f"{self._directory}/{before}", directory)  # noqa: PTH104 (each run comes through here)
                _hang_up(listening)
                if stat.S_ISSOCK(os.lstat(f"{directory}/{SOCKET}").st_mode):
                    return listening
            except OSError as error:
                log.info("the socket of run %s cannot be used again: %s", before, error)
            listening.close()
        return None

    def _remove(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            _remove(self._directory / run_id)

    def _sweep(self, kept: set[str]) -> None:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._directory):
                if is_id(entry.name) and not (
                    entry.name in kept or entry.name in self._runs or entry.name in self._spare
                ):
                    _remove(Path(entry.path))


def _listen(directory: Path) -> socket.socket:
    """A socket in a directory, which is made; one that an earlier server left there is replaced. Raises OSError."""
    try:
        os.mkdir(directory, 0o755)  # noqa: PTH102 (each run comes through here)
        fresh = True
    except FileExistsError:
        fresh = False
    except FileNotFoundError:
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = False
    opened = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if not fresh:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(SOCKET, dir_fd=opened)
        # By the descriptor: the path of a data directory may be longer than an address can be.
        listening.bind(f"/proc/self/fd/{opened}/{SOCKET}")
        os.chmod(SOCKET, 0o666, dir_fd=opened)  # noqa: S103 (the container's user may be another)
        listening.listen(CONNECTIONS)
    except BaseException:
        listening.close()
        raise
    finally:
        os.close(opened)
    return listening


def _hang_up(listening: socket.socket) -> None:
    """Close what has called and was never answered."""
    with contextlib.suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()


def _remove(directory: Path) -> None:
    try:
        (directory / SOCKET).unlink(missing_ok=True)
        directory.rmdir()
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)


def _reply(error: str | None, *, later: bool = False) -> bytes:
    """An answer to a line. `later`: it can be sent again."""
    document = {"ok": True} if error is None else {"ok": False, "error": error, "later": later}
    return msgspec.json.encode(document) + b"\n"


async def _refuse(writer: asyncio.StreamWriter, problem: str) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(_reply(problem))
        async with asyncio.timeout(SEND_SECONDS):
            await writer.drain()
