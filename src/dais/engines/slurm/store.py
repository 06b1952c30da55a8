"""Attempts on the shared file system: one directory for each, which is all that a restarted server needs. Blocking.

`launch` is the sealed launch, which the node takes away; `job` the number that Slurm gave it; `journal` and `log` are
the node's; `stop` is what the server asked for; `end` is what it made of an end that the node did not tell; `told` says
that its end was acknowledged.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import LaunchSpec, Status, Usage
from dais.node import log_directory
from dais.node.allocation import BRIDGE, LAUNCH, NEWS, PROBED, STOP, USAGE
from dais.node.sealed import KEY_BYTES, seal

_words = 2000


@dataclass(slots=True)
class Found:
    """What lies in an attempt's directory. `records` are those of the node, in their order."""

    attempt_id: str
    job: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    end: Status | None = None
    told: bool = False


class Store:
    """The directory of one group. What is in it belongs to `owner` (uid, gid), if that is not who we are."""

    def __init__(self, directory: Path, owner: tuple[int, int] | None) -> None:
        self.directory = directory
        self._owner = owner
        self._attempts = directory / "attempts"
        self._news = directory / NEWS

    def make(self) -> None:
        """Make the group's directories. Raises OSError."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, self._attempts, self._news, self.directory / PROBED):
            path.mkdir(mode=0o700, exist_ok=True)
            self.give(path)

    def place(self, attempt_id: str) -> Path:
        return self._attempts / attempt_id

    def log(self, attempt_id: str) -> str:
        return log_directory(str(self.place(attempt_id)), attempt_id)

    def prepare(self, spec: LaunchSpec, remote: bytes | None) -> bytes:
        """Make an attempt's directory with its launch, and return the key to it. Raises OSError.

        Prepared again, the launch that was there before can be opened by nobody any more. `remote` is how the
        supervisor and the server reach each other (JSON).
        """
        place, key = self.place(spec.attempt_id), secrets.token_bytes(KEY_BYTES)
        launch = b'{"spec":' + msgspec.json.encode(spec) + b',"remote":' + (remote or b"null") + b"}"
        place.mkdir(mode=0o700, exist_ok=True)
        self.give(place)
        self._write(place / LAUNCH, seal(key, spec.attempt_id, launch))
        return key

    def keep(self, path: Path, content: bytes) -> None:
        """Write a file of the group's own. Raises OSError."""
        self._write(path, content)

    def submitted(self, attempt_id: str, job: str) -> None:
        self._write(self.place(attempt_id) / "job", job.encode())

    def ask_stop(self, attempt_id: str, grace: float, reason: str) -> None:
        """Write down what the supervisor finds when it is told to end."""
        self._write(self.place(attempt_id) / STOP, json.dumps({"grace": grace, "reason": reason}).encode())

    def ask_bridge(self, attempt_id: str) -> bool:
        """Write down that a bridge is wanted; False where somebody has before. Raises OSError."""
        place = self.place(attempt_id) / BRIDGE
        try:
            place.touch(mode=0o600, exist_ok=False)  # by one of many who connect at once
        except FileExistsError:
            return False
        self.give(place)
        return True

    def usage(self, attempt_id: str) -> Usage | None:
        """What the node has noted last that it uses."""
        try:
            return msgspec.json.decode(_read(self.place(attempt_id) / USAGE), type=Usage)
        except msgspec.DecodeError:
            return None

    def sign(self, attempt_id: str) -> int:
        """When the node wrote down last what the attempt uses, by the file system's clock; 0 if it never has."""
        try:
            return (self.place(attempt_id) / USAGE).stat().st_mtime_ns
        except OSError:
            return 0

    def ended(self, status: Status) -> None:
        """Keep an end that the node has not told."""
        self._write(self.place(status.attempt_id) / "end", msgspec.json.encode(status))

    def told(self, attempt_ids: Iterable[str]) -> None:
        for attempt_id in attempt_ids:
            try:
                self._write(self.place(attempt_id) / "told", b"")
            except FileNotFoundError:
                continue  # forgotten meanwhile

    def remove(self, attempt_ids: Iterable[str]) -> None:
        """What cannot be removed now (a file system that is away) is found by the next server."""
        for attempt_id in attempt_ids:
            shutil.rmtree(self.place(attempt_id), ignore_errors=True)

    def news(self) -> dict[str, list[dict[str, Any]]]:
        """The records of attempts that have something to tell; asked again, only of those that came since."""
        with os.scandir(self._news) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            (self._news / name).unlink(missing_ok=True)
        return {name: self.records(name) for name in names}

    def load(self) -> list[Found]:
        """Everything that is there."""
        with os.scandir(self._attempts) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [self._look(name) for name in names]

    def records(self, attempt_id: str) -> list[dict[str, Any]]:
        """What the node has written of an attempt: its starts and its end."""
        found = []
        for line in _read(self.place(attempt_id) / "journal").splitlines():
            try:
                document = json.loads(line)
                if document["j"] == "record":
                    found.append(document["record"])
            except (ValueError, KeyError, TypeError):
                continue  # torn, by a node that died as it wrote
        return found

    def was_taken(self, attempt_id: str) -> bool:
        """Whether a node has taken the launch away."""
        return not (self.place(attempt_id) / LAUNCH).exists()

    def said(self, attempt_id: str) -> str:
        """What Slurm or the supervisor printed about it, the end of it."""
        return _read(self.place(attempt_id) / "slurm.out").decode("utf-8", "replace").strip()[-_words:]

    def _look(self, attempt_id: str) -> Found:
        place = self.place(attempt_id)
        found = Found(attempt_id, records=self.records(attempt_id), told=(place / "told").exists())
        found.job = _read(place / "job").decode("ascii", "replace").strip() or None
        try:
            found.stop_reason = str(json.loads(_read(place / STOP))["reason"])
        except (ValueError, KeyError, TypeError):
            pass
        try:
            found.end = msgspec.json.decode(_read(place / "end"), type=Status)
        except msgspec.DecodeError:
            pass
        return found

    def _write(self, path: Path, content: bytes) -> None:
        """Whole or not at all. Raises OSError."""
        new = path.with_name(f".{path.name}.new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, content)
            if self._owner is not None:
                os.fchown(fd, *self._owner)
        finally:
            os.close(fd)
        new.replace(path)

    def give(self, path: Path) -> None:
        """Let it belong to whom the jobs belong to."""
        if self._owner is not None:
            os.chown(path, *self._owner)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
