"""The directory that holds an installation: private, writable, and used by one server at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from types import TracebackType

from dais.kit.errors import Conflict, DaisError, Invalid, Unavailable

LOCK_FILE = "dais.lock"
RESTORING = ".restoring"
"""Where a restore brings things before they get their places."""
PROBE_BYTES = 64 << 10
"""What must be writable before anything is started."""

_LOCK_PAUSE = 0.05
_LOCK_SECONDS = 1.0
_DYING_SECONDS = 10.0
"""How long a lock is waited for whose holder says that it is a process that is no more: another one is starting, or was
killed and is not gone yet."""


def prepare(directory: Path, *, shared: bool = False) -> None:
    """Make the directory, readable by its owner only. Raises Invalid or Unavailable, naming it and the remedy.

    `shared`: it has been laid out for this user by root, who owns it.
    """
    try:
        if shared:
            _probe(directory)
            return
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
        """Take it, if it was not taken before this process was forked, and write whose it is. Raises Conflict."""
        if self._descriptor is None:
            self.take()
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self

    def take(self) -> None:
        """Take it for this process and those that it forks, and write nothing: the file may be another user's.

        Raises Conflict `already-running`, whose field `pid` is the other server's (None: not known).
        """
        try:
            descriptor = _open_lock(self._path)
        except OSError as error:
            raise unwritable(self.directory, error) from error
        begun = time.monotonic()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # `dais status` takes it for an instant to see whether anybody has it; a server keeps it.
                holder = _written_pid(descriptor)
                patience = _LOCK_SECONDS if _is_alive(holder) else _DYING_SECONDS
                if time.monotonic() > begun + patience:
                    break
                time.sleep(_LOCK_PAUSE)
            else:
                self._descriptor = descriptor
                return
        os.close(descriptor)
        raise Conflict(f"Dais runs already on the data directory {self.directory}", code="already-running", pid=holder)

    def let_go(self) -> None:
        """Close this process's copy; one that was forked keeps the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()


def _written_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").is_dir()


def _open_lock(path: Path) -> int:
    """The lock's file, itself and under this name alone: root must not be led to another one."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        # Not at once with O_CREAT: some kernels refuse that for a file of another user, root included.
        descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.ELOOP, f"{path.name} is not a file of its own", str(path))
    return descriptor


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
