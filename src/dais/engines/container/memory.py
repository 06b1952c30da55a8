"""What a container is told and nobody else may see: directories in memory, mounted into it read-only.

The daemon keeps what it creates on a disk and shows it to whoever may ask it, so environment and secret files go this
way: below one directory that only the server's user may enter, on a file system that has no disk. It is removed when
the container has ended.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dais.engines.contract import LaunchRefused, LaunchSpec

STOP = "stop"


class Memory:
    """The directories of one installation's containers. All of it blocks."""

    def __init__(self, installation: str, places: Sequence[str] | None = None) -> None:
        self._name = f"dais-{installation}"
        self._places = places
        self._root: Path | None = None

    def root(self) -> Path:
        """The directory above all; made when there is none. Raises OSError where nothing is kept in memory."""
        if self._root is None:
            self._root = self._make_root()
        return self._root

    def write(
        self, spec: LaunchSpec, image_env: Sequence[str], workdir: str, user: tuple[int, int], binds: list[Any]
    ) -> Path:
        """Everything for a new container; what an earlier try left is replaced. Raises LaunchRefused, OSError."""
        directory = self.root() / spec.attempt_id
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o755)
        limits = spec.limits
        launch = {
            "argv": _words(spec.argv),
            "env": environment(image_env, spec.env),
            "workdir": os.fsencode(workdir),
            "binds": binds,
            "log": limits.log,
            "time": limits.time,
            "grace": limits.grace,
            "pty": (spec.pty.rows, spec.pty.cols) if spec.pty is not None else None,
        }
        _put(directory / "launch", marshal.dumps(launch, 2), 0o400, user)
        for n, file in enumerate(spec.files):
            _put(directory / f"file-{n}", file.content, file.mode, user)
        return directory

    def launched(self, attempt_id: str) -> dict[str, Any]:
        """What a container was told. Raises LookupError."""
        try:
            content = (self.root() / attempt_id / "launch").read_bytes()
        except OSError as error:
            raise LookupError(f"nothing is known of attempt {attempt_id} any more") from error
        found: dict[str, Any] = marshal.loads(content)  # noqa: S302 - what `write` wrote, where nobody else can
        return found

    def put(self, attempt_id: str, name: str, content: bytes, user: tuple[int, int]) -> None:
        """One more file for a container; whole, or not there. Raises OSError."""
        directory = self.root() / attempt_id
        _put(directory / f".{name}", content, 0o400, user)
        (directory / f".{name}").replace(directory / name)

    def take_away(self, attempt_id: str, name: str) -> None:
        (self.root() / attempt_id / name).unlink(missing_ok=True)

    def remove(self, attempt_id: str) -> None:
        """Nothing of it is left; absent is fine."""
        if self._root is not None:
            shutil.rmtree(self._root / attempt_id, ignore_errors=True)

    def close(self) -> None:
        """Leave nothing behind where nothing runs."""
        if self._root is not None:
            with contextlib.suppress(OSError):
                self._root.rmdir()
            self._root = None

    def names(self) -> list[str]:
        """The attempts that have a directory."""
        return [entry.name for entry in self.root().iterdir()]

    def _make_root(self) -> Path:
        problems = []
        for place in memory_file_systems() if self._places is None else self._places:
            root = Path(place) / self._name
            try:
                root.mkdir(mode=0o700, exist_ok=True)
                seen = root.lstat()
            except OSError as error:
                problems.append(f"{place}: {error.strerror}")
                continue
            if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o077:
                return root
            problems.append(f"{root} belongs to somebody else")
        raise OSError(
            "secrets cannot be kept in memory, because no tmpfs can be written here (/dev/shm, $XDG_RUNTIME_DIR): "
            + ("; ".join(problems) or "there is none")
        )


def environment(image: Sequence[str], own: Mapping[str, str]) -> dict[bytes, bytes]:
    """An image's variables with a job's over them. Raises LaunchRefused for what no program can be given."""
    variables = dict(entry.partition("=")[::2] for entry in image if "=" in entry)
    found: dict[bytes, bytes] = {}
    for name, value in {**variables, **own}.items():
        if not name or "=" in name or "\0" in name + value:
            raise LaunchRefused(f"the variable {name!r} cannot be given to a program")
        found[os.fsencode(name)] = os.fsencode(value)
    return found


def _words(argv: Sequence[str]) -> list[bytes]:
    if not argv or any("\0" in word for word in argv):
        raise LaunchRefused("the command is empty, or has a NUL in it")
    try:
        return [os.fsencode(word) for word in argv]
    except UnicodeEncodeError as error:
        raise LaunchRefused(f"the command cannot be written down: {error}") from error


def _put(path: Path, content: bytes, mode: int, user: tuple[int, int]) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)
        if os.geteuid() == 0:
            os.fchown(fd, *user)


def memory_file_systems() -> Iterator[str]:
    kinds: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        head, _, tail = line.partition(" - ")
        kinds[head.split()[4]] = tail.split()[0]
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    for place in ("/dev/shm", own, f"/run/user/{os.geteuid()}", "/run"):  # noqa: S108 - looked at before it is used
        if place and kinds.get(place) in ("tmpfs", "ramfs"):
            yield place
