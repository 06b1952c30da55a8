"""Where the server's words go: JSON lines into a file for programs, short lines on the terminal for people.

Everything logs through the standard library's `logging`; what is given as `extra` becomes fields of the line.
"""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from dais.kit.clock import to_rfc3339

FILE_BYTES = 32 << 20
KEPT_FILES = 3

request_in_hand: ContextVar[str | None] = ContextVar("request_in_hand", default=None)
"""The id of the request that is being answered; lines that are logged meanwhile carry it as `request`."""

_chatty = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "websockets", "alembic")
_standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName", "asctime"}


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record: at, level, logger, event, the extra fields, error and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": to_rfc3339(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if (request := request_in_hand.get()) is not None:
            line["request"] = request
        line |= {name: value for name, value in vars(record).items() if name not in _standard}
        error = _error(record)
        if error is not None:
            line["error"] = f"{type(error).__name__}: {error}"
            line["traceback"] = "".join(traceback.format_exception(error))
        try:
            return msgspec.json.encode(line, enc_hook=repr).decode()
        except UnicodeEncodeError:  # names of files may be no Unicode
            return msgspec.json.encode({name: _unicode(value) for name, value in line.items()}).decode()


class ShortFormatter(logging.Formatter):
    """The sentence alone; the file has the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        error = _error(record)
        tail = f": {type(error).__name__}: {error}" if error is not None else ""
        return f"{record.levelname.lower()}: {record.getMessage()}{tail}"


class LogFile(logging.handlers.RotatingFileHandler):
    """Turned over by itself at its size, also when several processes write it; found again when somebody moved it."""

    def emit(self, record: logging.LogRecord) -> None:
        if self._moved():
            self.reopen()
        super().emit(record)

    def reopen(self) -> None:
        """Close the file, and open what has its name now."""
        if self.stream is not None:
            self.stream.close()
        self.stream = self._open()

    def doRollover(self) -> None:  # noqa: N802 (the standard library's name)
        """Turn it over, unless another process has done so since."""
        if self.stream is None:
            return
        held = os.dup(self.stream.fileno())  # the lock lasts until this is closed, too: beyond the renaming
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            if self._moved():
                self.reopen()
            else:
                super().doRollover()
        finally:
            os.close(held)

    def _moved(self) -> bool:
        if self.stream is None:
            return True
        try:
            found, ours = Path(self.baseFilename).stat(), os.fstat(self.stream.fileno())
        except (OSError, ValueError):
            return True
        return (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)


def reopen_logs() -> None:
    """Open the log files anew; for who moves them by other means (SIGUSR1)."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogFile):
            handler.acquire()
            try:
                handler.reopen()
            finally:
                handler.release()


def set_up_logging(file: Path | None, *, level: int = logging.INFO, terminal: bool = True) -> None:
    """Send the log to `file` as JSON lines, and warnings and worse to stderr in short. Call once for each process.

    The file is turned over at 32 MiB, and three old ones are kept. Raises OSError when it cannot be opened.
    """
    handlers: list[logging.Handler] = []
    if file is not None:
        to_file = LogFile(
            file, maxBytes=FILE_BYTES, backupCount=KEPT_FILES, encoding="utf-8", errors="backslashreplace"
        )
        to_file.setFormatter(JsonFormatter())
        handlers.append(to_file)
    if terminal:
        to_terminal = logging.StreamHandler(sys.stderr)
        to_terminal.setLevel(logging.WARNING)
        to_terminal.setFormatter(ShortFormatter())
        handlers.append(to_terminal)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.raiseExceptions = False  # a full disk must not fill the terminal, too
    for name in _chatty:
        logging.getLogger(name).setLevel(logging.WARNING)


def _unicode(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None
