"""Checks of what keeps jobs apart and what bounds them; most ask what the supervisor's probe has found."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

from dais.app.doctor.remedies import as_root, install
from dais.app.doctor.types import Answer, Check, Facts, State
from dais.kit.errors import DaisError

_settings = (
    ("apparmor_restrict_unprivileged_userns", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ("unprivileged_userns_clone", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("max_user_namespaces", "sysctl -w user.max_user_namespaces=15000"),
)
_open_files = 65_536
_delegate = (
    'sudo sh -c \'mkdir -p /etc/systemd/system/user@.service.d && printf "[Service]\\nDelegate=cpu memory pids\\n" > '
    "/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload', and log in again"
)
_told_elsewhere = {"cgroup", "controllers", "kernel"}


def probed(
    key: str,
    fine: str,
    consequence: str,
    remedy: Callable[[str], str] = lambda _: "",
    *,
    state: State = "weak",
    only_root: bool = False,
) -> Callable[[Facts], Answer | None]:
    """A check of one key of the probe, which is true or the reason why not. `remedy` is given the reason."""

    def look(facts: Facts) -> Answer | None:
        found = facts.probed.get(key)
        if found is None or (only_root and not facts.root):
            return None
        if found is True:
            return Answer("fine", fine)
        return Answer(state, str(found), consequence, remedy(str(found)))

    return look


def _mend_sandbox(reason: str) -> str:
    if "not installed" in reason:
        return install("bubblewrap")
    command = next((command for name, command in _settings if name in reason), None)
    if command is not None:
        return as_root(command)
    if _in_container():
        return "let the container make namespaces: docker run --security-opt seccomp=unconfined …, or run Dais outside"
    return "try it by hand: bwrap --unshare-user --ro-bind / / true"


def _mend_internet(reason: str) -> str:
    if "not installed" in reason:
        return install("passt")
    if "cannot be opened" in reason:
        return as_root("chmod 0666 /dev/net/tun")
    if "tun" in reason.lower():
        return as_root("modprobe tun")
    return "see to an IPv4 default route, and start Dais anew while nothing runs"


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()


def _mode(facts: Facts) -> Answer | None:
    if isinstance(facts.settings, DaisError):
        return None
    local = facts.settings["local"]
    if local.isolation == "process":
        return Answer(
            "bad" if facts.probed.get("bwrap") is True else "weak",
            "DAIS_LOCAL_ISOLATION is process: the sandbox is not used",
            "jobs can read each other's files; only administrators' jobs run"
            if not local.allow_unisolated
            else "anybody's job can read everybody's files",
            "unset DAIS_LOCAL_ISOLATION (it is auto then), and start Dais again",
        )
    if local.allow_unisolated and facts.isolation == "process":
        return Answer(
            "bad",
            "DAIS_LOCAL_ALLOW_UNISOLATED is on",
            "other people's jobs run here without a sandbox, and can read your files",
            "unset DAIS_LOCAL_ALLOW_UNISOLATED, and start Dais again",
        )
    return None


def _own_user(facts: Facts) -> Answer:
    if facts.probed.get("uid_drop") is True:
        return Answer("fine", "jobs run as users that are not Dais's")
    if facts.root:
        return Answer(
            "bad",
            str(facts.probed.get("uid_drop")),
            "jobs cannot be started as another user",
            "give Dais the capabilities CAP_SETUID and CAP_SETGID, or run it as an ordinary user",
        )
    return Answer(
        "weak",
        "Dais is not root here, so jobs run as you",
        "the sandbox is the only wall: a job that broke out of it could read your files",
        as_root("dais up"),
    )


def _control_groups(facts: Facts) -> Answer:
    found = facts.probed.get("cgroup")
    if found in ("v1", "v2"):
        return Answer("fine", f"control groups {found}: {', '.join(facts.probed.get('controllers', []))}")
    if not facts.root and Path("/run/systemd/system").exists():
        remedy = "systemd-run --user --scope -p Delegate=yes dais up"
    else:
        remedy = as_root("dais up") if not facts.root else "mount them: mount -t cgroup2 none /sys/fs/cgroup"
    return Answer(
        "bad",
        str(found),
        "memory is bounded for each process alone, CPU and processes are not: one job can take the machine",
        remedy,
    )


def _controllers(facts: Facts) -> Answer | None:
    if facts.probed.get("cgroup") not in ("v1", "v2"):
        return None
    missing = [name for name in ("memory", "cpu", "pids") if name not in facts.probed.get("controllers", [])]
    if not missing:
        return Answer("fine", "memory, CPU and number of processes are bounded for each job")
    several = len(missing) > 1
    return Answer(
        "bad" if "memory" in missing else "weak",
        f"the controller{'s' if several else ''} {', '.join(missing)} {'are' if several else 'is'} not there",
        f"a job's {', '.join(missing)} cannot be bounded",
        "start the kernel with cgroup_enable=memory" if facts.root else _delegate,
    )


def _delegated(facts: Facts) -> Answer | None:
    """Only an ordinary user on the unified hierarchy needs one."""
    if facts.root or not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return None
    own = next((line for line in _lines("/proc/self/cgroup") if line.startswith("0::")), "0::/")[3:]
    if os.access(f"/sys/fs/cgroup{own}/cgroup.procs", os.W_OK) or facts.probed.get("cgroup") in ("v1", "v2"):
        return Answer("fine", "this user may make control groups")
    return Answer(
        "weak",
        f"the group {own} of this session is not delegated to you",
        "jobs have no limits of their own",
        "systemd-run --user --scope -p Delegate=yes dais up",
    )


def _descriptors(_facts: Facts) -> Answer:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most >= _open_files or most == resource.RLIM_INFINITY:
        return Answer("fine", f"a process may open {'any number of' if most == resource.RLIM_INFINITY else most} files")
    return Answer(
        "weak",
        f"a process may open {most} files",
        f"jobs get {most} instead of {_open_files}, and fewer of them run at once",
        f"ulimit -n {_open_files}, or LimitNOFILE={_open_files} in the service's unit",
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


ISOLATION = (
    Check(
        "bwrap",
        "sandbox",
        probed("bwrap", "bubblewrap makes sandboxes", "jobs see each other's files and processes; only administrators' "
               "jobs run, and no folders can be mounted", _mend_sandbox, state="bad"),
    ),
    Check("mode", "setting", _mode),
    Check(
        "user_namespace",
        "user namespaces",
        probed("user_namespace", "this user may make them", "there can be no sandbox without them", _mend_sandbox,
               state="bad"),
    ),
    Check("uid_drop", "own user", _own_user),
    Check(
        "split",
        "privilege split",
        probed("split", "only the supervisor is root, the server is not",
               "the server is root: a hole in it would be a hole in the machine",
               lambda reason: "dais up --data-dir /var/lib/dais" if "--data-dir" in reason else "", only_root=True),
    ),
    Check(
        "uid_lease",
        "own user each",
        probed("uid_lease", "each job has a user of its own while it lives",
               "jobs share one user: should one break out of its sandbox, it could reach the others",
               only_root=True),
    ),
    Check(
        "idmapped_mounts",
        "id-mapped mounts",
        probed("idmapped_mounts", "folders belong to whichever job mounts them",
               "jobs cannot have a user of their own and still write in folders",
               lambda _: "dais up --data-dir DIR on ext4, xfs, btrfs or tmpfs (and Linux 5.12 or newer)",
               only_root=True),
    ),
    Check(
        "bind_staging",
        "mounts",
        probed("bind_staging", "folders below private directories can be given to jobs",
               "what lies below a directory that jobs may not enter cannot be mounted",
               lambda _: "give Dais the capability CAP_SYS_ADMIN", only_root=True),
    ),
    Check(
        "opened_sources",
        "swapped folders",
        probed("opened_sources", "what is mounted is what was checked, whatever jobs do to a folder meanwhile",
               "two jobs of one user could together read files that only you should",
               lambda _: install("bubblewrap") + " (0.10 or newer)"),
    ),
    Check(
        "seccomp",
        "system calls",
        probed("seccomp", "jobs cannot make the system calls that no job needs",
               "jobs may make every system call: a hole in the kernel is easier to reach",
               lambda _: install("libseccomp2")),
    ),
    Check(
        "userns_disabled",
        "nested namespaces",
        probed("userns_disabled", "jobs cannot make user namespaces of their own",
               "parts of the kernel that only root should reach are open to jobs",
               lambda _: install("bubblewrap") + " (0.8 or newer)"),
    ),
    Check(
        "internet",
        "network internet",
        probed("internet", "jobs can reach the internet and nothing private, when they ask for it",
               "`--network internet` is refused; none and host are there",
               _mend_internet),
    ),
    Check(
        "terminal",
        "terminals",
        probed("terminal", "jobs can have a terminal", "`--pty` and interactive commands do not work",
               lambda _: install("util-linux")),
    ),
)  # fmt: skip

LIMITS = (
    Check("cgroup", "control groups", _control_groups),
    Check("controllers", "controllers", _controllers),
    Check("delegation", "delegation", _delegated),
    Check("open_files", "open files", _descriptors),
)


def others(facts: Facts) -> tuple[Check, ...]:
    """What a probe has found that no row above speaks of: a newer supervisor may know more."""
    known = {check.name for check in ISOLATION} | _told_elsewhere
    return tuple(
        Check(key, key.replace("_", " "), probed(key, "works", "what needs it does not work here"))
        for key, value in facts.probed.items()
        if key not in known and (value is True or isinstance(value, str))
    )
