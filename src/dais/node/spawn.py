"""Starting processes: the vfork path where nothing has to be set up, else fork and set up.

`_posixsubprocess.fork_exec` is private and its signature changes between versions: it is called in one place here, and
a Python that has another one gets the ordinary path. Both paths tell exactly why a program could not be started.
"""

from __future__ import annotations

import os
import sys

from dais.node.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

_fork_exec: Any = None
try:
    from _posixsubprocess import fork_exec as _fork_exec
except ImportError:  # another implementation of Python
    _fork_exec = None
# 3.14 has no switch for vfork any more: it always uses it where it is safe.
_SWITCH: tuple[bool, ...] = (True,) if sys.version_info < (3, 14) else ()

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
LOWEST_FREE = 128
"""Descriptors below are kept free in the supervisor, so that a child can be given fixed numbers: a few for bwrap, and
one for each file that is written into a sandbox."""
_NULL = LOWEST_FREE - 1


class SpawnError(Exception):
    """A process could not be started. `stage` is "exec", "chdir", "fork" or what a set-up step called itself."""

    def __init__(self, stage: str, number: int, text: str = "") -> None:
        self.stage = stage
        self.errno = number
        super().__init__(text or os.strerror(number))


class SetupError(Exception):
    """Raised by a set-up step in the child: a stage name and an errno."""

    def __init__(self, stage: str, error: OSError) -> None:
        super().__init__(stage)
        self.stage = stage
        self.number = error.errno or 0
        self.text = str(error)


def reserve_low_descriptors() -> None:
    """Occupy 3 … LOWEST_FREE-1 so that no descriptor of ours is ever in the way of a child's fixed numbers."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    while null < _NULL:
        null = os.dup(null)


def candidates(program: str, path: str) -> list[bytes]:
    """Where `program` may be: itself if it has a slash, else in each directory of `path`."""
    if "/" in program:
        return [os.fsencode(program)]
    return [os.fsencode(f"{directory or '.'}/{program}") for directory in path.split(":")]


def spawn_plain(
    argv: Sequence[str],
    programs: list[bytes],
    env: list[bytes],
    stdio: tuple[int, int, int],
    *,
    cwd: str | None = None,
    keep: dict[int, int] | None = None,
) -> int:
    """Start a process in a session of its own with the vfork path. Returns its pid; raises SpawnError.

    `keep` as in `spawn_prepared`. The child has the supervisor's user, limits and namespaces of that moment.
    """
    if _fork_exec is None:
        return spawn_prepared(argv, programs, env, stdio, lambda: _chdir(cwd), keep)
    for target, source in (keep or {}).items():
        os.dup2(source, target)
    try:
        return _vfork(argv, programs, env, stdio, cwd)
    except TypeError:
        _forget_private_interface()
        return spawn_prepared(argv, programs, env, stdio, lambda: _chdir(cwd), keep)
    finally:
        for target in keep or {}:
            os.dup2(_NULL, target, inheritable=False)


def _vfork(
    argv: Sequence[str], programs: list[bytes], env: list[bytes], stdio: tuple[int, int, int], cwd: str | None
) -> int:
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid: int = _fork_exec(
            [os.fsencode(word) for word in argv], programs, False, (), cwd, env,
            stdio[0], -1, -1, stdio[1], -1, stdio[2], error_read, error_write,
            True, True, -1, None, None, None, 0o022, None, *_SWITCH,
        )  # fmt: skip
    except OSError as error:
        os.close(error_read)
        raise SpawnError("fork", error.errno or 0) from None
    except TypeError:
        os.close(error_read)
        raise
    finally:
        os.close(error_write)
    try:
        message = os.read(error_read, 1024)
    finally:
        os.close(error_read)
    if message:
        os.waitpid(pid, 0)
        fields = message.split(b":", 2)
        stage = "chdir" if fields[2].startswith(b"noexec") else "exec"
        raise SpawnError(stage, int(fields[1], 16))
    return pid


def spawn_prepared(
    argv: Sequence[str],
    programs: list[bytes],
    env: list[bytes],
    stdio: tuple[int, int, int],
    prepare: Callable[[], None],
    keep: dict[int, int] | None = None,
) -> int:
    """Start a process in a session of its own after `prepare` has run in it. Returns its pid; raises SpawnError.

    `keep` maps descriptor numbers that the program shall have (3 … LOWEST_FREE-1) to ours. The supervisor has one
    thread, so running Python between fork and exec is safe.
    """
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
    except OSError as error:
        os.close(error_read)
        os.close(error_write)
        raise SpawnError("fork", error.errno or 0) from None
    if pid == 0:
        _child(argv, programs, env, stdio, prepare, keep or {}, error_write)
    os.close(error_write)
    message = b""
    while part := os.read(error_read, 4096):
        message += part
    os.close(error_read)
    if message:
        os.waitpid(pid, 0)
        stage, number, text = message.decode("utf-8", "replace").split(":", 2)
        raise SpawnError(stage, int(number), text)
    return pid


def _child(
    argv: Sequence[str],
    programs: list[bytes],
    env: list[bytes],
    stdio: tuple[int, int, int],
    prepare: Callable[[], None],
    keep: dict[int, int],
    report: int,
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in _IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.umask(0o022)
        prepare()
        for target, source in enumerate(stdio):
            os.dup2(source, target)
        for target, source in keep.items():
            os.dup2(source, target)
        environment = dict(item.split(b"=", 1) for item in env)
        failure = _exec(argv, programs, environment)
        message = f"exec:{failure.errno or 0}:{os.strerror(failure.errno or 0)}"
    except SetupError as error:
        message = f"{error.stage}:{error.number}:{error.text}"
    except BaseException as error:
        message = f"setup:{getattr(error, 'errno', None) or 0}:{error!r}"
    os.write(report, message.encode("utf-8", "replace")[:4000])
    os._exit(255)


def _exec(argv: Sequence[str], programs: list[bytes], env: dict[bytes, bytes]) -> OSError:
    kept: OSError | None = None
    missing = OSError(2, "not found")
    for program in programs:
        try:
            os.execve(program, list(argv), env)
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        except OSError as error:
            kept = kept or error
    return kept or missing


def _chdir(cwd: str | None) -> None:
    if cwd is not None:
        try:
            os.chdir(cwd)
        except OSError as error:
            raise SetupError("chdir", error) from None


def _forget_private_interface() -> None:
    global _fork_exec
    _fork_exec = None
