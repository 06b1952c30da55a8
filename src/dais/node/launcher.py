"""What the server needs to start a supervisor and to reach it."""

from __future__ import annotations

import os
import signal
import socket
import sys

from dais.node import seccomp
from dais.node.scope import scope_command, scope_environment

_LOG_BYTES = 1 << 20


def start_supervisor(
    node_dir: str,
    python: str = sys.executable,
    *,
    allow_root: bool = False,
    lease: str | None = None,
    apart: bool = False,
    filter_program: bytes | None = None,
    scope: list[str] | None = None,
) -> None:
    """Start the supervisor of a directory (made if needed), detached from this process.

    Returns once it is on its way; `connect` succeeds a little later. If one serves the directory already, the new one
    ends at once. With `allow_root` a root supervisor also starts unsandboxed containers that stay root, which an
    operator who is root and has no sandbox cannot do without. `lease` are the uids that a root supervisor leases, as
    `Leasing` is written; with `apart` their owner is the server, which is not root, and the directory must be there.
    `filter_program` is the filter of system calls for the sandboxes. `scope` is the command that gives it a scope of
    its own (None: as `scope_command` finds); where that fails it is started without. Raises OSError if it cannot be
    started.
    """
    if not apart:
        os.makedirs(node_dir, mode=0o700, exist_ok=True)
    seccomp.store(node_dir, filter_program)
    argv = [*supervisor_command(python), "--dir", os.path.abspath(node_dir), "--detach"]
    argv += ["--allow-root"] if allow_root else []
    argv += ["--lease", lease] if lease else []
    argv += ["--server-apart"] if apart else []
    log = f"{node_dir}/supervisor.log"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        if os.path.getsize(log) > _LOG_BYTES:
            os.replace(log, f"{log}.1")
    except OSError:
        pass
    scope = scope_command() if scope is None else scope
    mode = 0o640 if apart else 0o600
    if scope and _start([*scope, *argv], log, flags, mode, scope_environment()) == 0:
        return
    status = _start(argv, log, flags, mode, {})
    if status:
        raise OSError(
            f"the node supervisor could not be started (status {os.waitstatus_to_exitcode(status)}); see {log}"
        )


def _start(argv: list[str], log: str, flags: int, mode: int, variables: dict[str, str]) -> int:
    """Run a command that goes on by itself; its status."""
    pid = os.posix_spawn(
        argv[0],
        argv,
        {"PATH": os.environ.get("PATH", os.defpath), **variables},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, mode),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
    )
    return os.waitpid(pid, 0)[1]


def supervisor_command(python: str = sys.executable) -> list[str]:
    """The command line that runs the supervisor's program, to which its options are added."""
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys; sys.path.insert(0, {source!r}); from dais.node.supervisor import main; main()"
    return [python, "-I", "-S", "-c", code]


def connect(node_dir: str) -> socket.socket:
    """A connected, blocking socket to the supervisor, however long the directory's path is.

    Raises OSError (FileNotFoundError, ConnectionRefusedError) when none serves it.
    """
    directory = os.open(node_dir, os.O_RDONLY | os.O_DIRECTORY)
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(f"/proc/self/fd/{directory}/supervisor.sock")
    except OSError:
        connected.close()
        raise
    finally:
        os.close(directory)
    return connected
