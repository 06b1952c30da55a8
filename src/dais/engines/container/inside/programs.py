"""How a process inside a container becomes the program that was asked for, or a connection to a port."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn

NOT_A_COMMAND = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR)
_TIOCSWINSZ, _TIOCSCTTY = 0x5414, 0x540E
_relay_bytes = 256 << 10


def set_size(terminal: int, rows: int, cols: int) -> None:
    """The size of a terminal, in characters."""
    import fcntl  # only for who has a terminal
    import struct

    fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def become(launch: dict[str, Any], ends: tuple[int, int, int], told: int) -> NoReturn:
    """In a new process: turn into the program. Why that failed goes to `told`, as `reason NUL words`."""
    try:
        os.setsid()
        for fd, end in enumerate(ends):
            os.dup2(end, fd)
        if launch["pty"] is not None:
            import fcntl

            fcntl.ioctl(0, _TIOCSCTTY, 0)
        reset_signals()
        raise_oom_score()
        execute(launch, told)
    except BaseException as error:
        os.write(told, f"launch-failed\0the program could not be started: {error}".encode())
    finally:
        os._exit(127)


def execute(launch: dict[str, Any], told: int) -> None:
    """Change to the working directory and run the program; returns only when it told why that is impossible."""
    problem = enter(launch["workdir"])
    if problem is not None:
        os.write(told, f"launch-failed\0{problem}".encode())
        return
    argv, env = launch["argv"], launch["env"]
    failed = errno.ENOENT
    for candidate in candidates(argv[0], env.get(b"PATH", b"/usr/local/bin:/usr/bin:/bin")):
        try:
            os.execve(candidate, argv, env)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                continue
            failed = error.errno or errno.EIO
            if failed not in NOT_A_COMMAND:
                break
    name = os.fsdecode(argv[0])
    words = "not found in the container" if failed == errno.ENOENT else os.strerror(failed)
    reason = "command-not-found" if failed in NOT_A_COMMAND else "launch-failed"
    os.write(told, f"{reason}\0{name}: {words}".encode())


def enter(workdir: bytes) -> str | None:
    """Make a directory the working one; what is wrong with it."""
    try:
        os.makedirs(workdir, exist_ok=True)
        os.chdir(workdir)
    except OSError as error:
        return f"the working directory {os.fsdecode(workdir)} cannot be entered: {error.strerror}"
    return None


def resolve(command: bytes, path: bytes) -> bytes | int:
    """The program's path, or the error number that says why there is none."""
    failed = errno.ENOENT
    for candidate in candidates(command, path):
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            failed = errno.EACCES
    return failed


def candidates(command: bytes, path: bytes) -> list[bytes]:
    """Where a command may be, in order."""
    if b"/" in command:
        return [command]
    return [directory + b"/" + command for directory in path.split(b":") if directory.startswith(b"/")]


def reset_signals() -> None:
    """As a program expects to find them: Python ignores some."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT, _signal.SIGTERM, _signal.SIGCHLD):
        _signal.signal(number, _signal.SIG_DFL)


def raise_oom_score() -> None:
    """When memory ends the program goes first, and the process that tells of it stays."""
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:
            score = int(file.read())
            file.seek(0)
            file.write(str(min(1000, score + 200)))
    except (OSError, ValueError):
        pass  # then nothing is told apart there


def relay(fd: int, inherited: Iterable[int]) -> NoReturn:
    """In a new process: serve one connection. It says `PORT newline`; it is told `+` or why not, then bytes follow."""
    for other in inherited:
        os.close(other)
    code = 1
    try:
        _serve(fd)
        code = 0
    finally:
        os._exit(code)


def _serve(fd: int) -> None:
    _signal.set_wakeup_fd(-1)
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    client = _socket.socket(fileno=fd)
    client.settimeout(10.0)
    line = b""
    while not line.endswith(b"\n"):
        if len(line) > 8 or not (byte := client.recv(1)):
            return
        line += byte
    server = _connect(int(line))
    if isinstance(server, str):
        client.send(b"-" + server.encode() + b"\n")
    else:
        client.send(b"+\n")
        _shuttle(client, server)


def _connect(port: int) -> _socket.socket | str:
    failure = "refused"
    for family, address in ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1")):
        try:
            server = _socket.socket(family, _socket.SOCK_STREAM)
            server.settimeout(10.0)
            server.connect((address, port))
        except ConnectionRefusedError:
            continue
        except OSError as error:
            failure = failure if family == _socket.AF_INET6 else error.strerror or str(error)
            continue
        server.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return server
    return failure


def _shuttle(client: _socket.socket, server: _socket.socket) -> None:
    """Bytes both ways, each until its end."""
    client.settimeout(None)
    server.settimeout(None)
    done = _thread.allocate_lock()
    done.acquire()

    def back() -> None:
        try:
            _copy(server, client)
        finally:
            done.release()

    _thread.start_new_thread(back, ())
    _copy(client, server)
    done.acquire()


def _copy(source: _socket.socket, target: _socket.socket) -> None:
    try:
        while data := source.recv(_relay_bytes):
            target.sendall(data)
        target.shutdown(_socket.SHUT_WR)
    except OSError:  # one side is gone: so is the other then
        for end in (source, target):
            try:
                end.shutdown(_socket.SHUT_RDWR)
            except OSError:
                pass
