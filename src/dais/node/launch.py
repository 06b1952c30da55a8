"""Starting one container: which protections this machine gives it, and the process itself."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import struct
import termios

from dais.node import kernel
from dais.node.processes import MARK
from dais.node.sandbox import STATUS_FD, WORD_FD, Plan
from dais.node.spawn import SetupError, SpawnError, candidates, spawn_plain, spawn_prepared
from dais.node.spec import DEFAULT_PATH, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.cgroups import Cgroups, Group
    from dais.node.spec import LaunchSpec

LEAST_UID = 1000
NOT_A_COMMAND = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)
_MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class LaunchFailed(Exception):
    """The container could not be started; `reason` is launch-failed or command-not-found."""

    def __init__(self, detail: str, reason: str = "launch-failed") -> None:
        super().__init__(detail)
        self.reason = reason


class Launched:
    """A started container, as the supervisor holds it. Descriptors are ours to close; -1 is none."""

    __slots__ = ("env", "gid", "group", "isolation", "missing", "outputs", "pid", "sandboxed", "status_fd", "uid",
                 "workdir")  # fmt: skip

    def __init__(self) -> None:
        self.pid = 0
        self.group: Group | None = None
        self.sandboxed = False
        self.status_fd = -1
        self.outputs: list[tuple[int, int]] = []
        self.isolation: list[str] = []
        self.missing: list[str] = []
        self.uid: int | None = None
        self.gid: int | None = None
        self.env: dict[str, str] = {}
        self.workdir: str | None = None


class Machine:
    """What this machine can do, found out by the probe; reasons are texts."""

    def __init__(self) -> None:
        self.root = os.geteuid() == 0
        self.bwrap: str | None = None
        self.bwrap_reason = "not tried"
        self.stage = False
        self.cgroups: Cgroups | None = None
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def launch(self, spec: LaunchSpec, *, uid_in_use: bool) -> Launched:
        """Start a container. Raises LaunchFailed with nothing left behind."""
        made = Launched()
        closing: list[int] = []
        try:
            self._identity(spec, made)
            if spec.isolation == "sandbox":
                self._launch_sandbox(spec, made, closing)
            else:
                self._launch_process(spec, made, closing, uid_in_use=uid_in_use)
        except BaseException as error:
            for fd, _ in made.outputs:
                os.close(fd)
            if made.status_fd >= 0:
                os.close(made.status_fd)
            if made.group is not None:
                made.group.remove()
            if isinstance(error, SpawnError):
                raise _explain(error, spec) from None
            if isinstance(error, SetupError):
                raise LaunchFailed(f"{error.stage}: {error.text}") from None
            if isinstance(error, SpecError):
                raise LaunchFailed(str(error)) from None
            if isinstance(error, OSError):
                raise LaunchFailed(f"the system refused: {error}") from None
            raise
        finally:
            for fd in closing:
                os.close(fd)
        return made

    def _identity(self, spec: LaunchSpec, made: Launched) -> None:
        if not self.root:
            if spec.uid is not None and spec.uid != os.getuid():
                made.missing.append("uid")
            return
        uid, gid = spec.uid, spec.uid if spec.gid is None else spec.gid
        if uid is None or gid is None:
            raise LaunchFailed("this supervisor is root: a launch needs the uid of an unprivileged user")
        if uid < LEAST_UID or gid < LEAST_UID:
            raise LaunchFailed(f"uid {uid} and gid {gid}: containers run with ids of at least {LEAST_UID}")
        made.uid, made.gid = uid, gid
        made.isolation.append("uid")

    # The sandbox: bubblewrap, in a control group, after the uid was dropped.

    def _launch_sandbox(self, spec: LaunchSpec, made: Launched, closing: list[int]) -> None:
        if self.bwrap is None:
            raise LaunchFailed(f"no sandbox on this machine: {self.bwrap_reason}")
        uid = os.getuid() if made.uid is None else made.uid
        gid = os.getgid() if made.gid is None else made.gid
        plan = Plan(spec, self.bwrap, stage=self.stage, uid=uid, gid=gid)
        made.sandboxed = True
        made.env, made.workdir = plan.env, plan.workdir
        made.isolation += ["bwrap", "filesystem", "user", "pid", "ipc", "uts", "no-new-privileges"]
        if spec.network == "none":
            made.isolation.append("net")
        self._control(spec, made, wanted=True)
        stdio = self._stdio(spec, made, closing)
        made.status_fd, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        closing.append(status_write)
        keep = {STATUS_FD: status_write}
        if plan.keep_word:
            keep[WORD_FD] = status_write
        data = plan.descriptors()
        closing += data.values()
        keep |= data
        # bwrap runs outside: it gets nothing of the job's environment.
        env = [b"PATH=" + DEFAULT_PATH.encode(), f"{MARK}={spec.attempt_id}".encode()]
        made.pid = spawn_prepared(
            plan.argv, [os.fsencode(self.bwrap)], env, stdio, _Setup(spec, made, stdio[0], plan), keep
        )

    # Process mode: the program itself, in a session of its own.

    def _launch_process(self, spec: LaunchSpec, made: Launched, closing: list[int], *, uid_in_use: bool) -> None:
        if spec.root != "host":
            raise LaunchFailed(f"root {spec.root} needs the sandbox: {self.bwrap_reason}")
        env = {"PATH": DEFAULT_PATH, **spec.env, MARK: spec.attempt_id}
        if spec.binds:
            moved = [bind for bind in spec.binds if bind.source != bind.target]
            if moved and not spec.binds_optional:
                raise LaunchFailed(f"{moved[0].target} cannot be mounted without a sandbox: {self.bwrap_reason}")
            env["DAIS_BINDS"] = json.dumps({bind.target: bind.source for bind in spec.binds})
        if spec.pty is not None:
            env.setdefault("TERM", spec.pty.term)
        made.env, made.workdir = env, spec.workdir
        made.isolation += ["session", "no-new-privileges"]
        made.missing += ["filesystem", "pid", "ipc", "uts"]
        if spec.network == "none":
            made.missing.append("net")
        limits = spec.limits
        self._control(spec, made, wanted=not (limits.cpu is None and limits.memory is None and limits.pids is None))
        stdio = self._stdio(spec, made, closing)
        programs = candidates(spec.argv[0], env["PATH"])
        words = [os.fsencode(f"{name}={value}") for name, value in env.items()]
        if made.group is None and spec.pty is None and not uid_in_use:
            with _Guise(made.uid, made.gid, limits.open_files):
                made.pid = spawn_plain(spec.argv, programs, words, spec.workdir, stdio)
        else:
            made.pid = spawn_prepared(spec.argv, programs, words, stdio, _Setup(spec, made, stdio[0]))

    def _control(self, spec: LaunchSpec, made: Launched, *, wanted: bool) -> None:
        controlled: list[str] = []
        if wanted and self.cgroups is not None:
            made.group = self.cgroups.create(spec.attempt_id, spec.limits)
            controlled = made.group.controllers()
            made.isolation += [f"cgroup-{self.cgroups.version}:{name}" for name in controlled]
        for name in ("memory", "cpu", "pids"):
            if getattr(spec.limits, name) is not None and name not in controlled:
                made.missing.append(f"{name}-limit")

    def _stdio(self, spec: LaunchSpec, made: Launched, closing: list[int]) -> tuple[int, int, int]:
        if spec.pty is not None:
            master, slave = os.openpty()
            made.outputs.append((master, 1))
            closing.append(slave)
            set_window(slave, spec.pty.rows, spec.pty.cols)
            if made.uid is not None and made.gid is not None:
                os.fchown(slave, made.uid, made.gid)
                os.fchmod(slave, 0o600)
            os.set_blocking(master, False)
            return slave, slave, slave
        for stream in (1, 2):
            # Only our end must not block: the flag belongs to the open file, and the ends are two.
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read_end, False)
            made.outputs.append((read_end, stream))
            closing.append(write_end)
        return self.null, closing[-2], closing[-1]


def set_window(fd: int, rows: int, cols: int) -> None:
    """Give a terminal its size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def limit_files(count: int) -> None:
    count = min(count, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def drop_privileges(uid: int, gid: int) -> None:
    """Become an unprivileged user for good. Raises OSError."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


class _Setup:
    """What the child does between fork and exec."""

    def __init__(self, spec: LaunchSpec, made: Launched, terminal: int, plan: Plan | None = None) -> None:
        self._spec = spec
        self._made = made
        self._terminal = terminal
        self._plan = plan
        self._supervisor = os.getpid()

    def __call__(self) -> None:
        made = self._made
        stage = "cgroup"
        try:
            if made.group is not None:
                made.group.join()
            stage = "limits"
            prefer_as_victim()
            limit_files(self._spec.limits.open_files)
            if self._plan is not None:
                self._plan.prepare()
            elif self._spec.pty is not None:
                stage = "terminal"
                fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
            stage = "uid"
            if made.uid is not None and made.gid is not None:
                drop_privileges(made.uid, made.gid)
            stage = "prctl"
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
            if os.getppid() != self._supervisor:
                os._exit(255)
            stage = "chdir"
            if self._plan is None and self._spec.workdir is not None:
                os.chdir(self._spec.workdir)
        except OSError as error:
            raise SetupError(stage, error) from None


def prefer_as_victim() -> None:
    """When the machine runs out of memory the kernel shall rather end jobs than the platform."""
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"500")
    except OSError:
        pass
    finally:
        os.close(fd)


class _Guise:
    """For one vfork the supervisor looks like the job's user: the child inherits it, and exec makes it final.

    The saved uid stays root, so that the supervisor can return; exec sets the child's to the job's. While it lasts a
    process of that same user could signal the supervisor: it is therefore used only when the user has no other
    process here.
    """

    def __init__(self, uid: int | None, gid: int | None, open_files: int) -> None:
        self._uid = uid
        self._gid = gid
        self._files = min(open_files, _MOST_FILES)

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, self._before[1]))
        if self._uid is not None and self._gid is not None:
            os.setresgid(self._gid, self._gid, 0)
            os.setresuid(self._uid, self._uid, 0)

    def __exit__(self, *_: object) -> None:
        if self._uid is not None:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._before)


def _explain(error: SpawnError, spec: LaunchSpec) -> LaunchFailed:
    if error.stage == "exec":
        if error.errno in NOT_A_COMMAND:
            return LaunchFailed(f"{spec.argv[0]}: {error}", "command-not-found")
        if error.errno == errno.E2BIG:
            return LaunchFailed("the command line and environment are longer than this system allows")
        return LaunchFailed(f"{spec.argv[0]}: {error}")
    if error.stage == "chdir":
        return LaunchFailed(f"the working directory {spec.workdir} cannot be entered: {error}")
    return LaunchFailed(f"{error.stage}: {error}")
