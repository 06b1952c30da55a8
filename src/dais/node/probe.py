"""What this machine can isolate: tried once at start, with the reason for what it cannot do."""

from __future__ import annotations

import errno
import os
import select

from dais.node import cgroups, kernel
from dais.node.idmap import Mapper, change
from dais.node.launch import LaunchFailed, Machine
from dais.node.lean import loads
from dais.node.leases import Leases, Leasing
from dais.node.spec import DEFAULT_PATH, LaunchSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dais.node.launch import Launched
    from dais.node.seccomp import Filter

PROBE_UID = 65534
NO_GROUPS = "the allocation that this runs in counts no memory"
_SECONDS = 10
_SETTINGS = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces is 0"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone is 0"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
    ),
)


def probe(machine: Machine, group_name: str | None, program: Filter | str) -> dict[str, Any]:
    """Try everything, set `machine` accordingly, and return what users are shown: true or the reason why not.

    `program` is the filter of system calls, or why there is none. Without a name no control groups are made: those of
    an allocation are its maker's, who could not remove them with others inside.
    """
    found = NO_GROUPS if group_name is None else cgroups.detect(group_name)
    machine.cgroups = found if isinstance(found, cgroups.Cgroups) else None
    staging = _try_staging() if machine.root else "not root: sources are bound as they are"
    machine.stage = staging is True
    mapping = _try_mapping(machine)
    if mapping is True and machine.leasing is not None:
        machine.leases, machine.mapper = Leases(machine.leasing), Mapper(machine.leasing.owner, machine.leasing.group)
    dropping = _try_dropping() if machine.root else "not root: everything runs as the user who started it"
    bwrap = find_program("bwrap")
    sandbox: bool | str
    filtered: bool | str = "there is no sandbox"
    nested = filtered
    if bwrap is None:
        sandbox = "bubblewrap is not installed (the program bwrap is not found); install the package bubblewrap"
    else:
        machine.bwrap = bwrap
        machine.bind_fd = "--bind-fd" in _said_by(bwrap, "--help")
        sandbox, filtered, nested = _harden(machine, program)
    if sandbox is not True:
        machine.bwrap, machine.bwrap_reason = None, str(sandbox)
        machine.leases = machine.mapper = None
    internet = _try_internet(machine) if sandbox is True else "there is no sandbox"
    return {
        "bwrap": sandbox,
        "user_namespace": True if sandbox is True else _user_namespace_reason(),
        "cgroup": found.version if isinstance(found, cgroups.Cgroups) else found,
        "controllers": sorted(found.bases) if isinstance(found, cgroups.Cgroups) else [],
        "uid_drop": dropping,
        "bind_staging": staging,
        "opened_sources": machine.stage
        or machine.bind_fd
        or "this bwrap mounts by path alone: while a folder is being "
        "mounted, a job that can write into it could put a link in its place",
        "seccomp": filtered,
        "userns_disabled": nested,
        "idmapped_mounts": mapping,
        "split": True if machine.server_uid is not None else "the server runs as whoever started it",
        "server_uid": machine.server_uid,
        "uid_lease": True if machine.leases is not None else _why_no_lease(machine, mapping),
        "internet": internet,
        "terminal": True if find_program("setsid") else "the program setsid (package util-linux) is not found",
        "kernel": os.uname().release,
    }


_FOUND = ("bwrap", "bwrap_reason", "bind_fd", "disable_userns", "pasta", "pasta_reason")


def findings(machine: Machine) -> dict[str, Any]:
    """What the probe has set on an ordinary user's machine without control groups, to be recalled."""
    return {**{name: getattr(machine, name) for name in _FOUND}, "filtered": machine.filter is not None}


def recall(machine: Machine, found: object, program: Filter | str) -> bool:
    """Set `machine` as an earlier probe of this machine has; False where that cannot be, and it must be probed."""
    if not isinstance(found, dict) or machine.root or not {*_FOUND, "filtered"} <= found.keys():
        return False
    if found["filtered"] is not (not isinstance(program, str)):
        return False
    for name in _FOUND:
        setattr(machine, name, found[name])
    machine.filter = None if isinstance(program, str) else program
    return True


def _harden(machine: Machine, program: Filter | str) -> tuple[bool | str, bool | str, bool | str]:
    """Try the sandbox with everything that hardens it, else with less: whether it, its filter, and the ban on user
    namespaces inside it work."""
    filters = [None] if isinstance(program, str) else [program, None]
    sandbox: bool | str = False
    reasons: list[str] = []
    for machine.filter in filters:
        for machine.disable_userns in (True, False):
            sandbox = _try_sandbox(machine)
            if sandbox is True:
                filtered = machine.filter is not None or (program if isinstance(program, str) else reasons[0])
                return True, filtered, machine.disable_userns or reasons[-1]
            reasons.append(str(sandbox))
    return sandbox, "there is no sandbox", "there is no sandbox"


def _try_internet(machine: Machine) -> bool | str:
    from dais.node import egress  # only who tries it needs it

    pasta = find_program("pasta")
    uid = PROBE_UID if machine.root else None
    works = egress.why_not(machine, pasta, uid, uid)
    _collect_orphans()
    machine.pasta, machine.pasta_reason = (pasta, "") if works is True else (None, str(works))
    return works


def find_program(name: str) -> str | None:
    """The path of a program of the system's."""
    for directory in DEFAULT_PATH.split(":"):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def _said_by(program: str, option: str) -> str:
    """What a program prints when it is asked for this."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
        pid = os.posix_spawn(program, [program, option], {}, file_actions=actions)
    except OSError:
        os.close(read_end)
        return ""
    finally:
        os.close(write_end)
    with open(read_end, encoding="utf-8", errors="replace") as words:
        said = words.read(1 << 16)
    os.waitpid(pid, 0)
    return said


def _try_sandbox(machine: Machine) -> bool | str:
    document = {
        "attempt_id": f"probe-{os.getpid()}",
        "argv": ["/bin/sh", "-c", "exit 0"],
        "uid": PROBE_UID if machine.root else None,
        "limits": {"memory": 256 << 20, "pids": 64, "cpu": 1},
    }
    try:
        launched = machine.launch(LaunchSpec(document), uid_in_use=False)
    except LaunchFailed as error:
        return str(error)
    problem = _admit(launched)
    pidfd = os.pidfd_open(launched.pid)
    waiting = select.poll()
    waiting.register(pidfd, select.POLLIN)
    if problem is None and not waiting.poll(_SECONDS * 1000):
        problem = f"bwrap did not end within {_SECONDS} s"
    if problem is not None:
        os.kill(launched.pid, 9)
    _, status = os.waitpid(launched.pid, 0)
    os.close(pidfd)
    words = b""
    for fd, _ in launched.outputs:
        try:
            words += os.read(fd, 4096)
        except BlockingIOError:
            pass
        os.close(fd)
    for fd in (launched.status_fd, launched.go_fd):
        if fd >= 0:
            os.close(fd)
    _collect_orphans()
    if launched.group is not None:
        launched.group.kill()
        launched.group.remove()
    if problem is not None:
        return problem
    if status == 0:
        return True
    said = words.decode("utf-8", "replace").strip() or f"status {os.waitstatus_to_exitcode(status)}"
    reason = _user_namespace_reason()
    return said if reason is True else f"{said}; {reason}"


def _admit(launched: Launched) -> str | None:
    """Let the sandbox begin once it has told its first process; returns what is wrong."""
    told = b""
    waiting = select.poll()
    waiting.register(launched.status_fd, select.POLLIN)
    while b"\n" not in told:
        if not waiting.poll(_SECONDS * 1000):
            return f"bwrap told nothing within {_SECONDS} s"
        part = os.read(launched.status_fd, 4096)
        if not part:
            return None  # it has ended, and its own words say why
        told += part
    try:
        launched.admit(loads(told.partition(b"\n")[0])["child-pid"])
    except (OSError, ValueError, KeyError) as error:
        return f"the sandbox cannot be put under control: {error}"
    return None


def _collect_orphans() -> None:
    """The probe's own leftovers come back to us; nothing else runs yet."""
    try:
        while os.waitpid(-1, 0)[0]:
            pass
    except ChildProcessError:
        pass


def _user_namespace_reason() -> bool | str:
    for path, bad, reason in _SETTINGS:
        try:
            with open(path, encoding="ascii") as file:
                if file.read().strip() == bad:
                    return reason
        except OSError:
            continue
    if os.geteuid() == 0:
        return True
    return _in_child(lambda: kernel.unshare(kernel.CLONE_NEWUSER))


def _try_staging() -> bool | str:
    def stage() -> None:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
        kernel.mount("dais", "/tmp", "tmpfs", kernel.MS_NOSUID, "size=1m")  # noqa: S108

    return _in_child(stage)


def _try_mapping(machine: Machine) -> bool | str:
    """Whether what jobs are given can be mounted with mapped ids, where it lies."""
    if not machine.root:
        return "not root: files are mounted as they are"
    if not machine.stage:
        return "nothing can be mounted here, see bind_staging"
    leasing = machine.leasing or Leasing(PROBE_UID - 1, PROBE_UID - 1, PROBE_UID, 1)

    def map_all() -> None:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
        namespace = Mapper(leasing.owner, leasing.group).namespace(leasing.first)
        for place in machine.places:
            _map(place, namespace)
        last = leasing.first + leasing.count - 1
        os.setresuid(last, last, last)  # a container may have few uids of its own

    return _in_child(map_all)


def _map(place: str, namespace: int) -> None:
    try:
        fd = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    tree = kernel.clone_tree(fd)
    os.close(fd)
    try:
        change(tree, namespace, read_only=True)
    except OSError as error:
        why = "its file system has no id-mapped mounts" if error.errno == errno.EINVAL else error
        raise OSError(error.errno, f"{place}: {why}") from None
    finally:
        os.close(tree)


def _why_no_lease(machine: Machine, mapping: bool | str) -> str:
    if mapping is not True:
        return str(mapping)
    return "it was started without a range of uids" if machine.leasing is None else "there is no sandbox, see bwrap"


def _try_dropping() -> bool | str:
    def drop() -> None:
        os.setgroups([])
        os.setresgid(PROBE_UID, PROBE_UID, PROBE_UID)
        os.setresuid(PROBE_UID, PROBE_UID, PROBE_UID)

    return _in_child(drop)


def _in_child(action: Any) -> bool | str:
    """Whether `action` succeeds, tried in a process of its own."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        words = b""
        try:
            action()
        except BaseException as error:
            words = str(error).encode("utf-8", "replace")
        os.write(write_end, words[:1000])
        os._exit(0)
    os.close(write_end)
    words = os.read(read_end, 1000)
    os.close(read_end)
    os.waitpid(pid, 0)
    return words.decode("utf-8", "replace") if words else True
