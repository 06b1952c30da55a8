"""What the engine keeps of each attempt in a directory, so that the next server goes on. All of it blocks.

attempts/<id>/attempt.json    it was accepted; which container it is, once there is one
attempts/<id>/stop.json       it is to end, and why
attempts/<id>/end.json        how it ended
attempts/<id>/told            the end was acknowledged
attempts/<id>/log/            mounted into the container: its output, and its report. The job can write there
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dais.engines.contract import Limits, Status
from dais.node import log_directory, read

_T = TypeVar("_T")
_report_limit = 1 << 16


class Kept(msgspec.Struct, kw_only=True):
    """An attempt that was accepted."""

    attempt_id: str
    container: str = ""
    limits: Limits = Limits()
    gpus: tuple[str, ...] = ()
    kit: str = ""
    user: tuple[int, int] = (0, 0)


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """That an attempt is to end: the cause (stopped, time-limit), the caller's reason, seconds, an instant in s."""

    cause: str
    reason: str | None = None
    grace: float = 0.0
    at: float = 0.0


class Store:
    """The engine's own directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._attempts = directory / "attempts"

    def installation(self) -> str:
        """An id that only this directory's containers have as a label; made when there is none."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._attempts.mkdir(mode=0o700, exist_ok=True)
        file = self.directory / "installation"
        if not file.exists():
            _write(file, secrets.token_hex(8).encode())
        return file.read_text().strip()

    def names(self) -> list[str]:
        return [entry.name for entry in self._attempts.iterdir()]

    def load(self, attempt_id: str) -> tuple[Kept | None, Stop | None, Status | None, bool]:
        """What is kept of it, and whether its end was acknowledged."""
        place = self._attempts / attempt_id
        return (
            _load(place / "attempt.json", Kept),
            _load(place / "stop.json", Stop),
            _load(place / "end.json", Status),
            (place / "told").exists(),
        )

    def accept(self, kept: Kept, owner: tuple[int, int]) -> None:
        """Keep it, with a directory that the container's user can write."""
        log = Path(self.log(kept.attempt_id))
        log.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(log, *owner)
        self.keep(kept)

    def keep(self, kept: Kept) -> None:
        _write(self._attempts / kept.attempt_id / "attempt.json", msgspec.json.encode(kept))

    def stop(self, attempt_id: str, stop: Stop) -> None:
        _write(self._attempts / attempt_id / "stop.json", msgspec.json.encode(stop))

    def end(self, status: Status) -> None:
        _write(self._attempts / status.attempt_id / "end.json", msgspec.json.encode(status))

    def told(self, attempt_id: str) -> None:
        place = self._attempts / attempt_id
        if place.is_dir():
            (place / "told").touch()

    def remove(self, attempt_id: str) -> None:
        with contextlib.suppress(OSError):  # the job may have closed its own directory
            Path(self.log(attempt_id)).chmod(0o700)
        shutil.rmtree(self._attempts / attempt_id, ignore_errors=True)

    def log(self, attempt_id: str) -> str:
        return log_directory(str(self.directory), attempt_id)

    def empty_log(self, attempt_id: str) -> None:
        """What a container that never ran the program has left, so that another can be made."""
        for entry in Path(self.log(attempt_id)).iterdir():
            entry.unlink(missing_ok=True)

    def has_begun(self, attempt_id: str) -> bool:
        """Whether process 1 has run: a daemon whose machine went down may not remember."""
        return os.path.lexists(f"{self.log(attempt_id)}/report")

    def report(self, attempt_id: str) -> dict[str, Any] | None:
        """What process 1 wrote at its end; None if it did not. The job could write there: it lies about itself only."""
        try:
            fd = os.open(f"{self.log(attempt_id)}/report", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            content = file.read(_report_limit)
        try:
            return msgspec.json.decode(content)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def logged(self, attempt_id: str) -> int:
        """Bytes of output that are there."""
        total, segment, offset = 0, 0, 0
        while True:
            try:
                frames, segment, offset = read(self.log(attempt_id), segment, offset)
            except OSError:  # the job has put something else there
                return total
            if not frames:
                return total
            total += sum(len(data) for _, stream, data in frames if stream != 3)


def _write(path: Path, content: bytes) -> None:
    """Whole, or as it was before."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    half.write_bytes(content)
    half.replace(path)


def _load(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
