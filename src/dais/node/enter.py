"""The helper that carries a command into a running container.

It is a fork of the supervisor: to start an interpreter would take longer than most commands. Of what the supervisor
has open it keeps nothing but a socket to it. It becomes what the container's processes are (user, namespaces), forks
again, and waits: entering a pid namespace takes effect for children only, and somebody outside must tell how the
command ended. The child joins the container's control group as the last thing before its exec: whatever runs the user's
code is inside it, and none of what comes before waits for the job's share of the processor.

It has the supervisor's memory, with what other jobs were told in it. Only root may look into it: that it inherits from
the supervisor (see `settle`), and says once more when it has become the job's user, for the kernel decides anew when
the user changes (`fs.suid_dumpable`). The command itself has none of that memory from its exec on.

Namespaces are entered as the job's own user, who owns the sandbox's user namespace: the same way with and without root.
bwrap may nest two user namespaces, the mounts belonging to the outer and the processes to the inner one.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import signal
import socket
import termios

from dais.node import kernel, seccomp
from dais.node.become import drop_privileges, limit_files, set_window, victim
from dais.node.group import enter
from dais.node.launch import NOT_A_COMMAND
from dais.node.spawn import candidates
from dais.node.spec import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

STATUS_FD = 3
FAILED = 255
NAME = b"dais-exec"
_MOST_FDS = 1 << 16
NS_GET_USERNS = 0xB701
_NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")


class Failed(Exception):
    """What goes back to the client: an error code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def fork_helper(stdio: tuple[int, int, int], status: socket.socket, request: dict[str, Any]) -> int:
    """Start the helper of one command, in a session of its own; its pid. Raises OSError."""
    with victim:
        pid = os.fork()
    if pid == 0:
        try:
            _help(stdio, status, request)
        finally:
            os._exit(FAILED)
    return pid


def _keep_only(stdio: tuple[int, int, int], status: socket.socket, doors: list[int]) -> list[int]:
    """Be a process of its own: of the supervisor's signals, descriptors and rights to be looked into nothing stays.

    The status is STATUS_FD from then on; returned is where the doors are.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    # All of these are above the supervisor's reserved numbers, so that none is overwritten before it was copied.
    kept = (*stdio, status.fileno(), *doors)
    for target, source in enumerate(kept):
        os.dup2(source, target, inheritable=target < STATUS_FD)
    os.closerange(len(kept), _MOST_FDS)
    return list(range(STATUS_FD + 1, len(kept)))


def _help(stdio: tuple[int, int, int], status: socket.socket, request: dict[str, Any]) -> NoReturn:
    """Join, start, wait, tell."""
    gc.disable()  # what it would close are the supervisor's numbers, and by then others'
    try:
        doors = [] if request["group"] is None else request["group"].doors()
        doors = _keep_only(stdio, status, doors)
        status = socket.socket(fileno=STATUS_FD)
        _become(request)
        pid = _start(request, status, doors)
    except Failed as error:
        _tell(status, {"error": error.code, "message": str(error)})
        os._exit(0)
    except Exception as error:
        words = str(error) if isinstance(error, OSError) else repr(error)
        _tell(status, {"error": "exec-failed", "message": f"the container cannot be entered: {words}"})
        os._exit(0)
    for fd in (0, 1, 2):
        # Held by the command alone, so that their end is its end.
        os.close(fd)
    _tell(status, {"pid": pid})
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _tell(status, {"exit_code": code} if code >= 0 else {"signal": -code})
    os._exit(0)


def _tell(status: socket.socket, message: dict[str, Any]) -> None:
    try:
        status.send(json.dumps(message).encode())
    except OSError:
        pass  # the supervisor has gone, and this process goes with it


def _become(request: dict[str, Any]) -> None:
    """Take on the container's limits, user and namespaces."""
    kernel.call_itself(NAME)  # in lists of processes; its command line is the supervisor's
    limit_files(request["open_files"])
    namespaces = _open_namespaces(request["inside"]) if request["inside"] else {}
    if request["uid"] is not None:
        drop_privileges(request["uid"], request["gid"])
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    if os.getppid() != request["supervisor"]:
        os._exit(0)
    if namespaces:
        _enter(namespaces)
    kernel.hide()


def _open_namespaces(pid: int) -> dict[str, int]:
    fds = {}
    for name in ("user", *_NAMESPACES):
        try:
            fds[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if not os.path.exists(f"/proc/{pid}"):
                raise Failed("not-running", "the container has just ended") from None
    return fds


def _enter(namespaces: dict[str, int]) -> None:
    # Looked at first: the container's /proc does not show this process.
    own = {name: os.stat(f"/proc/self/ns/{name}").st_ino for name in ("user", *namespaces)}
    own_user = own["user"]
    owner = fcntl.ioctl(namespaces["mnt"], NS_GET_USERNS)
    owner_is = os.fstat(owner).st_ino
    if os.fstat(namespaces["net"]).st_ino != own["net"]:
        # A way to the internet belongs to a user namespace above the sandbox's.
        above = fcntl.ioctl(namespaces["net"], NS_GET_USERNS)
        if os.fstat(above).st_ino not in (owner_is, own_user):
            kernel.setns(above)
            kernel.setns(namespaces.pop("net"))
    if owner_is != own_user:
        kernel.setns(owner)
    for name in _NAMESPACES:
        if name in namespaces and os.fstat(namespaces[name]).st_ino != own[name]:
            kernel.setns(namespaces[name])
    if os.fstat(namespaces["user"]).st_ino not in (owner_is, own_user):
        kernel.setns(namespaces["user"])


def _start(request: dict[str, Any], status: socket.socket, doors: list[int]) -> int:
    """Fork the command; returns its pid as seen from outside. Raises Failed when it could not be started."""
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    helper = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(error_read)
        _command(request, status, helper, error_write, doors)
    for fd in (error_write, *doors):
        os.close(fd)
    message = b""
    while part := os.read(error_read, 4096):
        message += part
    os.close(error_read)
    if message:
        os.waitpid(pid, 0)
        code, _, words = message.decode("utf-8", "replace").partition(":")
        raise Failed(code, words)
    return pid


def _command(request: dict[str, Any], status: socket.socket, helper: int, report: int, doors: list[int]) -> NoReturn:
    """The child: becomes the command, or writes why it could not."""
    argv = request["argv"]
    code, words = "exec-failed", ""
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
        if os.getppid() not in (helper, 0):  # 0: it is outside of our process namespace
            os._exit(1)  # the helper died before it could have taken us with it
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.setsid()
        os.umask(0o022)
        if request["pty"] is not None:
            _terminal(status, *request["pty"])
        try:
            os.chdir(request["workdir"] or "/")
        except OSError as error:
            raise Failed("exec-failed", f"{request['workdir']}: {error.strerror}") from None
        env = {os.fsencode(name): os.fsencode(value) for name, value in request["env"].items()}
        try:
            enter(doors)
        except OSError as error:
            raise Failed("exec-failed", f"the job's control group cannot be joined: {error.strerror}") from None
        if request["filter"] is not None:
            seccomp.install(request["filter"])
        failure = errno.ENOENT
        for program in candidates(argv[0], request["env"].get("PATH", DEFAULT_PATH)):
            try:
                os.execve(program, argv, env)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                failure = error.errno or failure
        code = "command-not-found" if failure in NOT_A_COMMAND else "exec-failed"
        words = f"{argv[0]}: {os.strerror(failure)}"
    except Failed as error:
        code, words = error.code, str(error)
    except BaseException as error:
        words = repr(error)
    os.write(report, f"{code}:{words}".encode("utf-8", "replace")[:4000])
    os._exit(1)


def _terminal(status: socket.socket, rows: int, cols: int) -> None:
    """A terminal of the container's own, so that programs find its name; the other side goes to the supervisor."""
    try:
        master, slave = os.openpty()
    except OSError as error:
        raise Failed("exec-failed", f"no terminal can be opened in the container: {error}") from None
    set_window(slave, rows, cols)
    socket.send_fds(status, [b'{"terminal":true}'], [master])
    os.close(master)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
