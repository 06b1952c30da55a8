"""The directory that holds an installation: private, writable, and used by one server at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from dais.kit.errors import Conflict, DaisError, Invalid, Unavailable

LOCK_FILE = "dais.lock"
RESTORING = ".restoring"
"""Where a restore brings things before they get their places."""
PROBE_BYTES = 64 << 10
"""What must be writable before anything is started."""

_LOCK_TRIES = 20
_LOCK_PAUSE = 0.05


def prepare(directory: Path) -> None:
    """Make the directory, readable by its owner only. Raises Invalid or Unavailable, naming it and the remedy."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if os.geteuid() not in (0, status.st_uid):
            raise Invalid(
                f"the data directory {directory} belongs to another user; choose another with --data-dir",
                code="data-directory-of-another",
            )
        if status.st_mode & 0o077:
            directory.chmod(0o700)
        _probe(directory)
    except FileExistsError as error:
        raise Invalid(
            f"{directory} is not a directory; choose another with --data-dir", code="not-a-directory"
        ) from error
    except OSError as error:
        raise unwritable(directory, error) from error


def refuse_unfinished_restore(directory: Path) -> None:
    """Return when no restore was interrupted here. Raises Conflict `restore-unfinished`."""
    if (directory / RESTORING).exists():
        raise Conflict(
            f"a restore into {directory} was interrupted; say `dais restore` again, which begins anew, or remove "
            f"{directory / RESTORING} to go on without it",
            code="restore-unfinished",
        )


def unwritable(directory: Path, error: OSError) -> DaisError:
    """The error that says why nothing can be written in the data directory, with the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            f"the disk of the data directory {directory} is full; free some space and try again", code="disk-full"
        )
    return Unavailable(
        f"the data directory {directory} cannot be written ({error.strerror}); make it writable for this user, or "
        "choose another with --data-dir",
        code="data-directory-unwritable",
    )


class DirectoryLock:
    """Held by the server of a data directory for as long as it lives; the kernel lets it go when it dies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / LOCK_FILE
        self._descriptor: int | None = None

    def __enter__(self) -> DirectoryLock:
        """Take it. Raises Conflict `already-running`, whose field `pid` is the other server's (None: not known)."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(self.directory, error) from error
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # `dais status` takes it for an instant to see whether anybody has it; a server keeps it.
                if attempt < _LOCK_TRIES - 1:
                    time.sleep(_LOCK_PAUSE)
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                self._descriptor = descriptor
                return self
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise Conflict(
            f"Dais runs already on the data directory {self.directory}",
            code="already-running",
            pid=int(text) if text.isdigit() else None,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _probe(directory: Path) -> None:
    probe = directory / f".probe-{os.getpid()}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(bytes(PROBE_BYTES))
        while left:  # the last bytes of a disk are written in part, and only the next write fails
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        probe.unlink()
