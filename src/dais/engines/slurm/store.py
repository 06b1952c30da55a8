"""Attempts on the shared file system: one directory for each, which is all that a restarted server needs. Blocking.

`launch` is the sealed launch, which the node takes away; `job` the number that Slurm gave it; `journal` and `log` are
the node's; `stop` is what the server asked for; `end` is what it made of an end that the node did not tell; `told` says
that its end was acknowledged. `unix` says that it is a mapped Unix user's: what the node reads and writes then lies in
a directory of that user's (`mapped`), and only what is the server's here. What nodes write is read as if anybody had.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import LaunchSpec, Status, Usage
from dais.engines.slurm.mapped import Unix, UserPlaces
from dais.engines.supervised.frames import Record
from dais.engines.supervised.plain import directory_beneath, read_plain
from dais.node import log_directory
from dais.node.allocation import BRIDGE, LAUNCH, NEWS, PROBED, STOP, USAGE
from dais.node.sealed import KEY_BYTES, seal
from dais.node.seccomp import FILE as FILTER

_words = 2000
_MOST_JOURNAL, _MOST_FILE = 4 << 20, 64 << 10
_MOST_NEWS = 1000
"""Names of a directory that are looked at in one go."""
_MOST_NUMBER = 1 << 62
_MOST_TEXT, _MOST_WORD = 4000, 32


@dataclass(slots=True)
class Found:
    """What lies in an attempt's directory. `records` are those of the node, in their order."""

    attempt_id: str
    job: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    end: Status | None = None
    told: bool = False
    unix: str = ""


class Store:
    """The directory of one group. What is in it belongs to `owner` (uid, gid), if that is not who we are."""

    def __init__(self, directory: Path, owner: tuple[int, int] | None, own_directories: Iterable[str] = ()) -> None:
        self.directory = directory
        self._owner = owner
        self._attempts = directory / "attempts"
        self._news = directory / NEWS
        self.owner = os.geteuid() if owner is None else owner[0]
        """The uid of the group's own user."""
        self._users = UserPlaces(directory, *(owner or (os.geteuid(), os.getegid())), own_directories)
        self._unix: dict[str, Unix] = {}
        self.apptainer: str | None = None
        """Apptainer's program on the nodes, once that is known."""

    def make(self) -> None:
        """Make the group's directories. Raises OSError."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, self._attempts, self._news, self.directory / PROBED):
            path.mkdir(mode=0o700, exist_ok=True)
            self.give(path)

    def place(self, attempt_id: str) -> Path:
        """Where an attempt's node reads and writes."""
        unix = self._unix.get(attempt_id)
        return self._attempts / attempt_id if unix is None else self._users.place(unix, attempt_id)

    def shared(self, attempt_id: str) -> Path:
        """What the attempts of one Unix user have together."""
        unix = self._unix.get(attempt_id)
        return self.directory if unix is None else self._users.shared(unix)

    @contextmanager
    def log(self, attempt_id: str, segment: int, offset: int) -> Iterator[str]:
        """The directory of an attempt's log, to be read from there on; no longer than this lasts.

        Raises FileNotFoundError where there is none (yet), or no log would reach that far.
        """
        unix = self._unix.get(attempt_id)
        place = self.place(attempt_id)
        if unix is None:
            yield log_directory(str(place), attempt_id)
            return
        if not unix.holds(segment, offset):
            raise FileNotFoundError(f"segment {segment} of {attempt_id} at {offset}")
        with directory_beneath(place, log_directory(".", attempt_id)) as directory:
            yield directory

    def attend(self, spec: LaunchSpec, unix: Unix | None) -> None:
        """Make an attempt's directory, and note whose it is. Raises OSError."""
        own = self._attempts / spec.attempt_id
        own.mkdir(mode=0o700, exist_ok=True)
        self.give(own)
        if unix is not None:
            self._write(own / "unix", msgspec.json.encode(unix))
            self._unix[spec.attempt_id] = unix
            self._users.make(unix, self.directory / FILTER)

    def prepare(self, spec: LaunchSpec, remote: bytes | None) -> bytes:
        """Lay down the launch of an attempt that is attended to, and return the key to it. Raises OSError.

        Prepared again, the launch that was there before can be opened by nobody any more. `remote` is how the
        supervisor and the server reach each other (JSON).
        """
        attempt_id, key = spec.attempt_id, secrets.token_bytes(KEY_BYTES)
        apptainer = msgspec.json.encode(self.apptainer)
        mapped, unix = b"null", self._unix.get(attempt_id)
        if unix is not None:
            spec, told = self._users.prepare(unix, spec)
            mapped = msgspec.json.encode(told)
        parts = {
            "spec": msgspec.json.encode(spec),
            "remote": remote or b"null",
            "mapped": mapped,
            "apptainer": apptainer,
        }
        launch = b",".join(b'"%s":%s' % (name.encode(), part) for name, part in parts.items())
        self._write(self.place(attempt_id) / LAUNCH, seal(key, attempt_id, b"{" + launch + b"}"))
        return key

    def keep(self, path: Path, content: bytes) -> None:
        """Write a file of the group's own. Raises OSError."""
        self._write(path, content)

    def submitted(self, attempt_id: str, job: str) -> None:
        self._write(self._attempts / attempt_id / "job", job.encode())

    def ask_stop(self, attempt_id: str, grace: float, reason: str) -> None:
        """Write down what the supervisor finds when it is told to end."""
        asked = json.dumps({"grace": grace, "reason": reason}).encode()
        for place in {self._attempts / attempt_id, self.place(attempt_id)}:
            self._write(place / STOP, asked)

    def ask_bridge(self, attempt_id: str) -> bool:
        """Write down that a bridge is wanted; False where somebody has before. Raises OSError."""
        try:
            os.close(self._create(self.place(attempt_id) / BRIDGE, 0o600))  # by one of many who connect at once
        except FileExistsError:
            return False
        return True

    def usage(self, attempt_id: str) -> Usage | None:
        """What the node has noted last that it uses."""
        try:
            return msgspec.json.decode(read_plain(self.place(attempt_id) / USAGE, _MOST_FILE), type=Usage)
        except msgspec.DecodeError:
            return None

    def sign(self, attempt_id: str) -> int:
        """When the node wrote down last what the attempt uses, by the file system's clock; 0 if it never has."""
        try:
            return (self.place(attempt_id) / USAGE).lstat().st_mtime_ns
        except OSError:
            return 0

    def ended(self, status: Status) -> None:
        """Keep an end that the node has not told."""
        self._write(self._attempts / status.attempt_id / "end", msgspec.json.encode(status))

    def told(self, attempt_ids: Iterable[str]) -> None:
        for attempt_id in attempt_ids:
            try:
                self._write(self._attempts / attempt_id / "told", b"")
            except FileNotFoundError:
                continue  # forgotten meanwhile

    def remove(self, attempt_ids: Iterable[str]) -> None:
        """What cannot be removed now (a file system that is away) is found by the next server."""
        for attempt_id in attempt_ids:
            unix = self._unix.pop(attempt_id, None)
            if unix is not None:
                self._users.remove(unix, attempt_id)
            shutil.rmtree(self._attempts / attempt_id, ignore_errors=True)

    def news(self) -> dict[str, list[dict[str, Any]]]:
        """The records of attempts that have something to tell; asked again, only of those that came since.

        Of a mapped user's words only those about that user's own attempts count.
        """
        told = [name for name in _taken(self._news) if name not in self._unix]
        for user in self._users.names():
            told += [name for name in _taken(self._users.news(user)) if self._is_of(name, user)]
        return {name: self.records(name) for name in told}

    def _is_of(self, attempt_id: str, user: str) -> bool:
        unix = self._unix.get(attempt_id)
        return unix is not None and unix.name == user

    def load(self) -> list[Found]:
        """Everything that is there."""
        with os.scandir(self._attempts) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [self._look(name) for name in names]

    def records(self, attempt_id: str) -> list[dict[str, Any]]:
        """What the node has written of an attempt: its starts and its end."""
        found = []
        for line in read_plain(self.place(attempt_id) / "journal", _MOST_JOURNAL).splitlines():
            try:
                said = _line(line)
            except msgspec.DecodeError:
                continue  # torn, by a node that died as it wrote; or no record of a supervisor's
            if said.j == "record" and said.record is not None and _is_sane(said.record):
                found.append(msgspec.structs.asdict(said.record))
        return found

    def was_taken(self, attempt_id: str) -> bool:
        """Whether a node has taken the launch away."""
        return not os.path.lexists(self.place(attempt_id) / LAUNCH)

    def said(self, attempt_id: str) -> str:
        """What Slurm or the supervisor printed about it, the end of it."""
        said = read_plain(self.place(attempt_id) / "slurm.out", _MOST_FILE, tail=True)
        return said.decode("utf-8", "replace").strip()[-_words:]

    def _look(self, attempt_id: str) -> Found:
        place = self._attempts / attempt_id
        try:
            self._unix[attempt_id] = msgspec.json.decode(read_plain(place / "unix", _MOST_FILE), type=Unix)
        except msgspec.DecodeError:
            pass
        found = Found(attempt_id, records=self.records(attempt_id), told=(place / "told").exists())
        found.unix = self._unix[attempt_id].name if attempt_id in self._unix else ""
        found.job = read_plain(place / "job", _MOST_FILE).decode("ascii", "replace").strip() or None
        try:
            found.stop_reason = str(json.loads(read_plain(place / STOP, _MOST_FILE))["reason"])
        except (ValueError, KeyError, TypeError):
            pass
        try:
            found.end = msgspec.json.decode(read_plain(place / "end", _MOST_FILE), type=Status)
        except msgspec.DecodeError:
            pass
        return found

    def _write(self, path: Path, content: bytes) -> None:
        """Whole or not at all, and never through a link. Raises OSError."""
        new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(self._create(new, 0o640), "wb") as file:  # which writes all of it, or raises
            file.write(content)
        new.replace(path)

    def _create(self, path: Path, mode: int) -> int:
        """A file that was not there, open for writing. By its descriptor: what has its name may be a link by now."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        if self._owner is not None:
            os.fchown(fd, *self._owner)
        return fd

    def give(self, path: Path) -> None:
        """Let it belong to whom the jobs belong to."""
        if self._owner is not None:
            os.chown(path, *self._owner)


def _taken(directory: Path) -> list[str]:
    """The names in a directory, which are taken away. What cannot be (a directory, say) is nobody's word."""
    found = []
    with os.scandir(directory) as entries:
        for entry, _ in zip(entries, range(_MOST_NEWS), strict=False):
            try:
                (directory / entry.name).unlink()
            except FileNotFoundError:
                pass
            except OSError:
                continue
            found.append(entry.name)
    return found


class _Line(msgspec.Struct):
    """One of a journal."""

    j: str
    record: Record | None = None


_line = msgspec.json.Decoder(_Line).decode


def _is_sane(record: Record) -> bool:
    """Whether a database can hold it: who writes a journal may be no supervisor."""
    numbers = (record.seq, record.at, record.pid, record.exit_code, record.signal, record.memory_peak, record.log_bytes)
    texts = (record.reason, record.detail, *record.isolation, *record.missing)
    return (
        all(number is None or abs(number) < _MOST_NUMBER for number in numbers)
        and all(text is None or (len(text) <= _MOST_TEXT and "\0" not in text) for text in texts)
        and len(record.isolation) + len(record.missing) <= 100
        and len(record.stop_reason or "") <= _MOST_WORD
        and record.kind in ("started", "ended")
        and (record.kind == "started" or record.reason in _REASONS)
    )


_REASONS = frozenset(
    {"exit-code", "signal", "out-of-memory", "time-limit", "command-not-found", "launch-failed", "stopped"}
)
