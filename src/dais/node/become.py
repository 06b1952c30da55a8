"""How a process becomes a container's: user, limits, control group, terminal, mounts.

Two ways. For the vfork path the supervisor takes on what the child shall inherit, for that one moment (`Guise`,
`Staged`). Otherwise the child does it itself between fork and exec (`Setup`), which costs a fork.
"""

from __future__ import annotations

import fcntl
import os
import resource
import struct
import sys

from dais.node import kernel
from dais.node.spawn import SetupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.cgroups import Cgroups
    from dais.node.group import Group
    from dais.node.launch import Launched
    from dais.node.sandbox import Plan
    from dais.node.spec import LaunchSpec

PREFERRED = b"500"
_MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class Guise:
    """For one vfork the supervisor looks like the job's process: the child inherits it, and exec makes it final.

    That is its user, how many files it may open, and that it rather than the platform ends when memory runs out. The
    saved uid stays root, so that the supervisor can return; exec sets the child's to the job's. While it lasts a
    process of that same user could signal the supervisor: it is used only when none that could see it runs here.
    """

    def __init__(self, uid: int | None, gid: int | None, open_files: int) -> None:
        self._uid = uid
        self._gid = gid
        self._files = min(open_files, _MOST_FILES)

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        victim.__enter__()
        try:
            if self._files != self._before[0]:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, self._before[1]))
            if self._uid is not None and self._gid is not None:
                os.setresgid(self._gid, self._gid, 0)
                os.setresuid(self._uid, self._uid, 0)
        except OSError as error:
            self.__exit__()
            raise SetupError("uid", error) from None

    def __exit__(self, *_: object) -> None:
        if self._uid is not None:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
        if self._files != self._before[0]:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._before)
        victim.__exit__()


class Victim:
    """When the machine runs out of memory the kernel shall rather end jobs than the platform: children inherit that.

    Children that are born within it are preferred: to look for the child's own file in /proc takes ten times as long.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._own = b""

    def open(self) -> None:
        """Before `kernel.hide`, after which the file is root's. Nothing is preferred where the kernel refuses."""
        try:
            self._fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            self._own = os.pread(self._fd, 16, 0).strip()
        except OSError:
            self._fd = -1

    def __enter__(self) -> None:
        self._write(PREFERRED)

    def __exit__(self, *_: object) -> None:
        self._write(self._own)

    def _write(self, value: bytes) -> None:
        if self._fd >= 0:
            try:
                os.pwrite(self._fd, value, 0)
            except OSError:
                pass


victim = Victim()
"""Of this process: the supervisor is one."""


class Within:
    """For one vfork the supervisor is in the job's control group: the child is born there, and nothing escapes."""

    def __init__(self, group: Group | None, cgroups: Cgroups | None) -> None:
        self._group = group
        self._cgroups = cgroups

    def __enter__(self) -> None:
        if self._group is not None:
            try:
                self._group.join()
            except OSError as error:
                self._return()
                raise SetupError("cgroup", error) from None

    def __exit__(self, *_: object) -> None:
        if self._group is not None:
            self._return()

    def _return(self) -> None:
        assert self._cgroups is not None
        try:
            self._cgroups.leave()
        except OSError as error:
            # Left in the job's group the supervisor would be killed with the job: end as after a crash, at once.
            print(f"the supervisor cannot return to its control group: {error}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)


class Staged:
    """For one vfork the supervisor is in a mount namespace where bwrap finds what it is to bind."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._home = -1

    def __enter__(self) -> None:
        if self._plan.staged:
            self._home = kernel.open_namespace("mnt")
            try:
                self._plan.stage()
            except BaseException:
                self._return()
                raise

    def __exit__(self, *_: object) -> None:
        if self._home >= 0:
            self._return()

    def _return(self) -> None:
        kernel.setns(self._home)
        os.close(self._home)


class Setup:
    """What a forked child does before exec. Raises SetupError."""

    def __init__(
        self,
        spec: LaunchSpec,
        made: Launched,
        terminal: int,
        plan: Plan | None = None,
        way: tuple[int, int] | None = None,
    ) -> None:
        self._spec = spec
        self._made = made
        self._terminal = terminal
        self._plan = plan
        self._way = way
        self._supervisor = os.getpid()

    def __call__(self) -> None:
        made = self._made
        stage = "cgroup"
        try:
            if made.group is not None and self._plan is None:
                made.group.join()
            stage = "limits"
            if self._plan is not None:
                if self._plan.staged:
                    self._plan.stage()
            elif self._spec.pty is not None:
                import termios  # like few containers

                stage = "terminal"
                fcntl.ioctl(self._terminal, termios.TIOCSCTTY, 0)
            limit_files(self._spec.limits.open_files)  # late: all that is open in the supervisor still counts
            stage = "uid"
            if made.uid is not None and made.gid is not None:
                drop_privileges(made.uid, made.gid)
            # As the job's user, whose they are. What it may do there is over with exec.
            stage = "network"
            for namespace in self._way or ():
                kernel.setns(namespace)
            stage = "prctl"
            kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
            if os.getppid() != self._supervisor:
                os._exit(255)
            stage = "chdir"
            if self._plan is None and self._spec.workdir is not None and not made.contained:
                os.chdir(self._spec.workdir)
        except OSError as error:
            raise SetupError(stage, error) from None


def set_window(fd: int, rows: int, cols: int) -> None:
    """Give a terminal its size."""
    import termios  # few containers have a terminal

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def limit_files(count: int) -> None:
    """Bound the descriptors of this process and its children."""
    count = min(count, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def drop_privileges(uid: int, gid: int) -> None:
    """Become an unprivileged user for good. Raises OSError."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
