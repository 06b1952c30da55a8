"""Starting one container: which protections this machine gives it, and the process itself."""

from __future__ import annotations

import errno
import os
import resource

from dais.node.become import Guise, Setup, Staged, Within, set_window, victim
from dais.node.fence import NO_FENCE
from dais.node.lean import dumps
from dais.node.processes import MARK
from dais.node.sandbox import FILTER_FD, GO_FD, STATUS_FD, WORD_FD, Plan
from dais.node.spawn import SetupError, SpawnError, candidates, spawn_plain, spawn_prepared
from dais.node.spec import DEFAULT_PATH, OPEN_FILES, SpecError, is_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.around import Around
    from dais.node.cgroups import Cgroups
    from dais.node.group import Group
    from dais.node.idmap import Mapper
    from dais.node.leases import Leases, Leasing
    from dais.node.roots import Roots
    from dais.node.seccomp import Filter
    from dais.node.spec import LaunchSpec, Limits

LEAST_UID = 1000
ROOMY_BYTES, ROOMY_PIDS, ROOMY_FILES = 64 << 20, 8, 128
NOT_A_COMMAND = (errno.ENOENT, errno.ENOTDIR, errno.EACCES)


class LaunchFailed(Exception):
    """The container could not be started; `reason` is launch-failed or command-not-found."""

    def __init__(self, detail: str, reason: str = "launch-failed") -> None:
        super().__init__(detail)
        self.reason = reason


class Launched:
    """A started container, as the supervisor holds it. Descriptors are ours to close; -1 is none."""

    __slots__ = ("admitted", "contained", "data_limit", "env", "gid", "go_fd", "group", "isolation", "leased",
                 "missing", "outputs", "pid", "sandboxed", "status_fd", "uid", "workdir")  # fmt: skip

    def __init__(self) -> None:
        self.pid = 0
        self.group: Group | None = None
        self.admitted = False
        """Whether all of it was born in its control group."""
        self.sandboxed = False
        self.contained = False
        """Whether Apptainer makes the container, from an image."""
        self.status_fd = -1
        self.go_fd = -1
        self.outputs: list[tuple[int, int]] = []
        self.isolation: list[str] = []
        self.missing: list[str] = []
        self.uid: int | None = None
        self.gid: int | None = None
        self.leased = False
        self.env: dict[str, str] = {}
        self.workdir: str | None = None
        self.data_limit: int | None = None

    def limit_data(self, pid: int) -> None:
        """Where no control group counts memory, bound what each process may allocate. Raises OSError."""
        if self.data_limit is None:
            return
        try:
            resource.prlimit(pid, resource.RLIMIT_DATA, (self.data_limit, self.data_limit))
        except ProcessLookupError:
            pass

    def admit(self, init: int) -> None:
        """The sandbox's first process is there and waits: put it under control, and let it go on. Raises OSError."""
        if self.group is not None and not self.admitted:
            self.group.add(init)
        self.limit_data(init)
        os.write(self.go_fd, b"g")
        os.close(self.go_fd)
        self.go_fd = -1


class Machine:
    """What this machine can do, found out by the probe; reasons are texts.

    `allow_root`: containers without a sandbox may stay root, because whoever operates this machine is root and has
    no sandbox. `leasing`: what uids may be leased, if the probe finds that they can be.
    """

    def __init__(self, *, allow_root: bool = False, leasing: Leasing | None = None) -> None:
        self.root = os.geteuid() == 0
        self.allow_root = allow_root
        self.leasing = leasing
        self.bwrap: str | None = None
        self.bwrap_reason = "not tried"
        self.stage = False
        self.filter: Filter | None = None
        self.disable_userns = False
        self.bind_fd = False
        self.roots: Roots | None = None
        self.pasta: str | None = None
        self.pasta_reason = "not tried"
        self.cgroups: Cgroups | None = None
        self.apptainer: str | None = None
        """Apptainer's program; images that it fetches go to `images`."""
        self.images = ""
        self.around: Around | None = None
        """The group of the allocation that the supervisor is in, where it is in one."""
        self.fence = NO_FENCE
        self.server_uid: int | None = None
        """The server's user, where that is not the supervisor's own."""
        self.places: tuple[str, ...] = ("/",)
        """Where what containers are given lies: each may be a file system of its own."""
        self.leases: Leases | None = None
        self.mapper: Mapper | None = None
        self.no_new_privileges = False
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def launch(self, spec: LaunchSpec, *, uid_in_use: bool, way: tuple[int, int] | None = None) -> Launched:
        """Start a container. Raises LaunchFailed with nothing left behind.

        `way` are the user and network namespaces that lead to the internet, for a spec that asks for it.
        """
        made = Launched()
        closing: list[int] = []
        try:
            self._identity(spec, made)
            exposed = uid_in_use or self._is_crowded(spec.limits.open_files)
            if is_image(spec.root):
                self._launch_image(spec, made, closing)
            elif spec.isolation == "sandbox":
                self._launch_sandbox(spec, made, closing, exposed=exposed, way=way)
            else:
                self._launch_process(spec, made, closing, exposed=exposed)
        except BaseException as error:
            for fd, _ in made.outputs:
                os.close(fd)
            for fd in (made.status_fd, made.go_fd):
                if fd >= 0:
                    os.close(fd)
            self.free_group(made)
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

    def free_group(self, made: Launched | None) -> bool:
        """Let go of a container's control group; False if something is still in it (try again soon)."""
        if made is None or made.group is None or self.cgroups is None:
            return True
        return self.cgroups.give_back(made.group)

    def put_away(self) -> None:
        """Nothing waits to be launched."""
        if self.cgroups is not None:
            self.cgroups.put_away()

    def user_of(self, spec: LaunchSpec) -> tuple[int | None, int | None]:
        """What its processes run as: uid and gid, None for the supervisor's own. Raises LaunchFailed."""
        made = Launched()
        self._identity(spec, made)
        return made.uid, made.gid

    def _identity(self, spec: LaunchSpec, made: Launched) -> None:
        if not self.root:
            if spec.uid is not None and spec.uid != os.getuid():
                made.missing.append("uid")
            return
        uid, gid = spec.uid, spec.uid if spec.gid is None else spec.gid
        if uid is None or gid is None:
            if self.allow_root and spec.isolation == "process":
                made.missing.append("uid: it runs as root")
                return
            raise LaunchFailed("this supervisor is root: a launch needs the uid of an unprivileged user")
        if uid < LEAST_UID or gid < LEAST_UID:
            raise LaunchFailed(f"uid {uid} and gid {gid}: containers run with ids of at least {LEAST_UID}")
        made.uid, made.gid = uid, gid
        made.isolation.append("uid")
        if spec.lease:
            made.leased = True
            made.isolation.append("uid-lease")

    # The sandbox: bubblewrap, in a control group, after the uid was dropped.

    def _launch_sandbox(
        self, spec: LaunchSpec, made: Launched, closing: list[int], *, exposed: bool, way: tuple[int, int] | None
    ) -> None:
        if self.bwrap is None:
            raise LaunchFailed(f"no sandbox on this machine: {self.bwrap_reason}")
        if spec.root != "host" and (self.roots is None or spec.root not in self.roots):
            raise LaunchFailed(f"the root directory {spec.root} is not registered on this node")
        uid = os.getuid() if made.uid is None else made.uid
        gid = os.getgid() if made.gid is None else made.gid
        mapping = self.mapper.namespace(uid) if spec.lease and self.mapper is not None else -1
        plan = Plan(
            spec,
            self.bwrap,
            stage=self.stage,
            uid=uid,
            gid=gid,
            fence=self.fence,
            mapping=mapping,
            by_descriptor=self.bind_fd,
            hardening=self._hardening(),
        )
        made.sandboxed = True
        made.env, made.workdir = plan.env, plan.workdir
        made.isolation += ["bwrap", "filesystem", "user", "pid", "ipc", "uts", "no-new-privileges"]
        (made.missing if self.filter is None else made.isolation).append("seccomp")
        if spec.network != "host":
            made.isolation.append("net")
        if spec.devices:
            made.isolation.append("devices")
        self._control(spec, made, wanted=True)
        stdio = self._stdio(spec, made, closing)
        made.status_fd, status_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(made.status_fd, False)
        go_read, made.go_fd = os.pipe2(os.O_CLOEXEC)
        closing += (status_write, go_read)
        keep = {STATUS_FD: status_write, GO_FD: go_read}
        if plan.keep_word:
            keep[WORD_FD] = status_write
        data = plan.descriptors()
        closing += data.values()
        keep |= data
        if self.filter is not None:
            keep[FILTER_FD] = self.filter.open()
            closing.append(keep[FILTER_FD])
        # bwrap runs outside: it gets nothing of the job's environment.
        env = [b"PATH=" + DEFAULT_PATH.encode(), f"{MARK}={spec.attempt_id}".encode()]
        programs = [os.fsencode(self.bwrap)]
        if exposed or way is not None:
            with victim:
                made.pid = spawn_prepared(plan.argv, programs, env, stdio, Setup(spec, made, stdio[0], plan, way), keep)
            return
        # On v1 letting the waiting sandbox in would take, for each controller, longer than to be born there.
        made.admitted = made.group is not None and made.group.version == "v1" and self._can_enter(spec.limits)
        within = Within(made.group if made.admitted else None, self.cgroups)
        with within, Staged(plan), Guise(made.uid, made.gid, spec.limits.open_files):
            made.pid = spawn_plain(plan.argv, programs, env, stdio, keep=keep)

    def _hardening(self) -> list[str]:
        """What bwrap is told beside the spec: user namespaces inside would open parts of the kernel to the job."""
        options = ["--disable-userns"] if self.disable_userns else []
        return options + (["--seccomp", str(FILTER_FD)] if self.filter is not None else [])

    # Apptainer: the container is its, and all of it below one process.

    def _launch_image(self, spec: LaunchSpec, made: Launched, closing: list[int]) -> None:
        from dais.node import apptainer  # few nodes have it

        if self.apptainer is None:
            raise LaunchFailed(f"image {spec.root} needs Apptainer, which is not found on this node; install it there")
        try:
            image = apptainer.ready(self.apptainer, spec.root, self.images)
        except apptainer.NoImage as error:
            raise LaunchFailed(str(error)) from None
        argv = apptainer.command(self.apptainer, image, spec)
        made.contained = True
        made.env, made.workdir = {"PATH": DEFAULT_PATH, **spec.env, MARK: spec.attempt_id}, spec.workdir
        made.isolation += ["apptainer", "filesystem", "user", "pid", "ipc", "no-new-privileges"]
        made.isolation += [] if spec.network == "host" else ["net"]
        made.missing += ["seccomp", "uts"]
        self._control(spec, made, wanted=False)
        stdio = self._stdio(spec, made, closing)
        env = {"PATH": DEFAULT_PATH, MARK: spec.attempt_id, **apptainer.variables(made.env)}
        words = [f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in env.items()]
        with victim:
            made.pid = spawn_prepared(argv, [os.fsencode(self.apptainer)], words, stdio, Setup(spec, made, stdio[0]))
        made.limit_data(made.pid)

    # Process mode: the program itself, in a session of its own.

    def _launch_process(self, spec: LaunchSpec, made: Launched, closing: list[int], *, exposed: bool) -> None:
        if spec.network == "internet":
            raise LaunchFailed(f"network internet needs the sandbox: {self.bwrap_reason}")
        if spec.root != "host":
            raise LaunchFailed(f"root {spec.root} needs the sandbox: {self.bwrap_reason}")
        env = {"PATH": DEFAULT_PATH, **spec.env, MARK: spec.attempt_id}
        if spec.files:
            raise LaunchFailed(f"{spec.files[0].target} cannot be made without a sandbox: {self.bwrap_reason}")
        if spec.binds:
            moved = [bind for bind in spec.binds if bind.source != bind.target]
            if moved and not spec.binds_optional:
                raise LaunchFailed(f"{moved[0].target} cannot be mounted without a sandbox: {self.bwrap_reason}")
            env["DAIS_BINDS"] = dumps({bind.target: bind.source for bind in spec.binds})
        if spec.pty is not None:
            env.setdefault("TERM", spec.pty.term)
        made.env, made.workdir = env, spec.workdir
        made.isolation.append("session")
        (made.isolation if self.no_new_privileges else made.missing).append("no-new-privileges")
        made.missing += ["filesystem", "pid", "ipc", "uts", "seccomp"]
        if spec.network == "none":
            made.missing.append("net")
        if spec.devices:
            made.missing.append("devices: it can open GPUs that are not its own")
        limits = spec.limits
        self._control(spec, made, wanted=not (limits.cpu is None and limits.memory is None and limits.pids is None))
        stdio = self._stdio(spec, made, closing)
        programs = candidates(spec.argv[0], env["PATH"])
        text = "\0".join([f"{name}={value}" for name, value in env.items()])  # no part of it holds a NUL
        words = text.encode("utf-8", "surrogateescape").split(b"\0")
        if exposed or spec.pty is not None or (made.group is not None and not self._can_enter(limits)):
            with victim:
                made.pid = spawn_prepared(spec.argv, programs, words, stdio, Setup(spec, made, stdio[0]))
            made.limit_data(made.pid)
            return
        with Within(made.group, self.cgroups), Guise(made.uid, made.gid, limits.open_files):
            made.pid = spawn_plain(spec.argv, programs, words, stdio, cwd=spec.workdir)
        made.limit_data(made.pid)

    def _is_crowded(self, open_files: int) -> bool:
        """Whether too much is open here to look, even for a moment, like a process that may open so few files."""
        if open_files >= OPEN_FILES:  # as many as this process itself may open
            return False
        lowest = os.dup(self.null)
        os.close(lowest)
        return lowest + ROOMY_FILES > open_files

    def _can_enter(self, limits: Limits) -> bool:
        """Whether the supervisor may step into a group with these limits: it must neither fill nor exhaust it."""
        return (
            self.cgroups is not None
            and self.cgroups.has_home
            and (limits.memory is None or limits.memory >= ROOMY_BYTES)
            and (limits.pids is None or limits.pids >= ROOMY_PIDS)
        )

    def _control(self, spec: LaunchSpec, made: Launched, *, wanted: bool) -> None:
        controlled: list[str] = []
        devices = [device.source for device in spec.devices] if made.sandboxed else []
        if wanted and self.cgroups is not None:
            made.group = self.cgroups.create(spec.attempt_id, spec.limits, devices)
            controlled = made.group.controllers()
            made.isolation += [f"cgroup-{self.cgroups.version}:{name}" for name in controlled]
        for name in ("memory", "cpu", "pids"):
            if name == "memory" and self._bounded():
                made.isolation.append("allocation:memory")
            elif getattr(spec.limits, name) is not None and name not in controlled:
                made.missing.append("memory-limit: of each process alone" if name == "memory" else f"{name}-limit")
        if spec.limits.memory is not None and "memory" not in controlled and not self._bounded():
            made.data_limit = spec.limits.memory
            made.isolation.append("rlimit:data")

    def _bounded(self) -> bool:
        """Whether the allocation that this is in bounds the memory of all of it."""
        return self.around is not None and self.around.bounded

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
