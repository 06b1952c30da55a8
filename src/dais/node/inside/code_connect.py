"""The server's end of a connection to a job's code runner: hands it over, and starts the runner if need be.

What is handed over are this program's own standard input and output: to carry each message from one to the other would
be two more turns of the processor for each cell. The connection ends with this program, and this program with it.

The runner is apart from this program and outlives it: it goes on while the server restarts. Its socket is in a
directory that the job's user alone may enter; a directory of anybody else's is refused.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

SOCKET = "socket-2"
"""The number is that of what is said over it: a runner that an older server began is left alone."""
BOOT = "DAIS_CODE_BOOT"


def place() -> str:
    """The runner's directory: short, for the address of a socket may have 107 bytes."""
    run = os.environ.get("DAIS_JOB_ID", "")[-36:].replace("/", "")
    return f"/tmp/.dais-code-{os.getuid()}-{run}-{os.environ.get('DAIS_RUN_INDEX', '')[:8]}"  # noqa: S108


def main() -> None:
    """Arguments: `connect` or `run`, and as JSON the words that run this Python, as those that run it know best."""
    if sys.argv[1] == "run":
        from dais.node.inside.code_runner import serve

        serve(int(sys.argv[3]), json.loads(sys.argv[2]))
        return
    try:
        directory = place()
        _make(directory)
        peer = _connect(directory) or _begin(directory)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
    os.write(1, b"\n")  # an empty line: connected
    peer.sendmsg([b"2"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("2i", 0, 1))])
    for fd in (0, 1):
        os.close(fd)  # the runner's alone: when it has gone the server is told
    peer.recv(1)  # until then


def _make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(1, "the directory of the code runner belongs to somebody else", directory)


def _connect(directory: str) -> socket.socket | None:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.connect(f"{directory}/{SOCKET}")
        return peer
    except (FileNotFoundError, ConnectionRefusedError):
        peer.close()
        return None


def _begin(directory: str) -> socket.socket:
    """Start the runner, unless another connection is about to; it listens before this returns."""
    import fcntl

    lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        peer = _connect(directory)
        if peer is not None:
            return peer
        address = f"{directory}/{SOCKET}"
        try:
            os.unlink(address)
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(address)
        listener.listen(16)
        peer = _connect(directory)
        assert peer is not None
        child = os.fork()
        if child == 0:
            _become_runner(listener)
        os.waitpid(child, 0)
        listener.close()
        return peer
    finally:
        os.close(lock)


def _become_runner(listener: socket.socket) -> NoReturn:
    """Away from the command that we are part of, whose whole tree ends with its connection."""
    try:
        os.setsid()
        between = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == between:  # from here on its parent is whoever runs the job
            time.sleep(0.0005)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        fd = os.dup(listener.fileno())
        os.set_inheritable(fd, True)
        os.closerange(3, fd)
        os.closerange(fd + 1, 4096)
        python = json.loads(sys.argv[2])
        with open("/proc/self/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        text = words[words.index(b"-c") + 1]
        environment = {name: value for name, value in os.environ.items() if name != "DAIS_EXEC"}
        argv = [*python, "-I", "-S", "-B", "-c", os.fsdecode(text), "run", sys.argv[2], str(fd)]
        os.execve(python[0], argv, environment)
    finally:
        os._exit(1)
