"""`dais.report`: from inside a running job, tell how it goes.

    import dais
    dais.report(accuracy=0.91, step=3, model="cnn")

Goes over the job's socket; while nobody answers there, into a file that is read later. Outside a job it does nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import warnings
from collections.abc import Sequence
from typing import Any

from dais.wire.reports import MAX_LINE, report_of

PATIENCE = 10.0
"""Seconds for which an answer is waited for."""

_sending = threading.Lock()
_connection: socket.socket | None = None
_owner = 0


def report(
    *,
    step: int | None = None,
    tags: Sequence[str] = (),
    progress: float | None = None,
    message: str | None = None,
    **values: float | str | bool,
) -> bool:
    """Report numbers as metrics, and texts and truths as key-values of this job; whether anybody was told.

    `step` orders the values of a metric; without one they are counted. `progress` is from 0 to 1. A number that is not
    finite is left out with a warning: training goes on. Raises ValueError for names that are none. For several threads
    and after a fork.
    """
    finite = {name: value for name, value in values.items() if not _endless(name, value)}
    document: dict[str, Any] = {**{name: _plain(value) for name, value in finite.items()}}
    if step is not None:
        document["step"] = int(step)
    if tags:
        document["tags"] = list(tags)
    if progress is not None:
        document["progress"] = float(progress)
    if message is not None:
        document["message"] = message
    if not document or document.keys() == {"step"}:
        return False
    report_of(document)
    line = json.dumps(document, allow_nan=False).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise ValueError(
            f"a report has {len(line):,} bytes, and at most {MAX_LINE:,} are possible; report less at once"
        )
    with _sending:
        return _send(line) or _append(line)


def _plain(value: Any) -> Any:
    """Numbers of other libraries (a scalar of NumPy or PyTorch) as Python's."""
    if isinstance(value, bool | int | float | str):
        return value
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _endless(name: str, value: Any) -> bool:
    plain = _plain(value)
    if isinstance(plain, float) and not math.isfinite(plain):
        warnings.warn(f"dais.report: {name} is {plain} and was left out", stacklevel=3)
        return True
    return False


def _send(line: bytes) -> bool:
    """Over the socket; False when there is none, or nobody answers."""
    global _connection, _owner
    if not os.environ.get("DAIS_SOCKET"):
        return False
    try:
        if _connection is None or _owner != os.getpid():
            _connection, _owner = _connected(os.environ["DAIS_SOCKET"]), os.getpid()
        _connection.sendall(line)
        answer = json.loads(_line(_connection))
    except (OSError, ValueError):
        if _connection is not None:
            with contextlib.suppress(OSError):
                _connection.close()
        _connection = None
        return False
    if answer.get("ok") is not True:
        if answer.get("later"):
            return False
        warnings.warn(f"dais.report: {answer.get('error')}", stacklevel=4)
    return True


def _connected(path: str) -> socket.socket:
    """By the directory's descriptor: a path may be longer than an address can be. Raises OSError."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # noqa: PTH120
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")  # noqa: PTH119
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def _line(connection: socket.socket) -> bytes:
    """An answer. Raises OSError."""
    data = b""
    while not data.endswith(b"\n"):
        more = connection.recv(4096)
        if not more or len(data) > MAX_LINE:
            raise ConnectionError("nobody answers")
        data += more
    return data


def _append(line: bytes) -> bool:
    """Into the file: a line is written in one piece."""
    path = os.environ.get("DAIS_REPORT")
    if not path:
        return False
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        warnings.warn(f"dais.report: {path} cannot be written: {error}", stacklevel=4)
        return False
    try:
        os.write(file, line)
    finally:
        os.close(file)
    return True
