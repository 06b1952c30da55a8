"""What the server needs to start a supervisor and to reach it."""

from __future__ import annotations

import os
import signal
import socket
import sys

from dais.node import seccomp

_LOG_BYTES = 1 << 20


def start_supervisor(
    node_dir: str,
    python: str = sys.executable,
    *,
    allow_root: bool = False,
    lease: str | None = None,
    apart: bool = False,
    filter_program: bytes | None = None,
) -> None:
    """Start the supervisor of a directory (made if needed), detached from this process.

    Returns once it is on its way; `connect` succeeds a little later. If one serves the directory already, the new one
    ends at once. With `allow_root` a root supervisor also starts unsandboxed containers that stay root, which an
    operator who is root and has no sandbox cannot do without. `lease` are the uids that a root supervisor leases, as
    `Leasing` is written; with `apart` their owner is the server, which is not root, and the directory must be there.
    `filter_program` is the filter of system calls for the sandboxes. Raises OSError if it cannot be started.
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
            flags |= os.O_TRUNC
    except OSError:
        pass
    pid = os.posix_spawn(
        python,
        argv,
        {"PATH": os.environ.get("PATH", os.defpath)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o640 if apart else 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
    )
    _, status = os.waitpid(pid, 0)
    if status:
        raise OSError(
            f"the node supervisor could not be started (status {os.waitstatus_to_exitcode(status)}); see {log}"
        )


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
