"""The attacks, what stops each of them at which level, and which protections, taken away, let it through.

`docs/isolation.md` shows this table, and a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = ("strong", "shared", "sandbox", "process")
"""As `dais doctor` names them."""


@dataclass(frozen=True)
class Attack:
    """`name` is a function of `inside.py`. `stops` tells for each level that claims to stop it, by what.

    `needs` is a controller of control groups without which nothing is claimed. `pty`: it is made on a terminal.
    `entering`: it is also made by a command that is carried into a running job (`dais job exec`).
    """

    name: str
    title: str
    stops: dict[str, str]
    needs: str | None = None
    pty: bool = False
    entering: bool = False


@dataclass(frozen=True)
class Mutation:
    """Protections (functions of `weaken.py`) without which an attack succeeds; several where each alone suffices."""

    attack: str
    without: tuple[str, ...]
    level: str = "strong"
    needs: str | None = None
    as_root: bool = False

    @property
    def name(self) -> str:
        return f"{'+'.join(self.without)}: {self.attack}"


def sandboxed(by: str) -> dict[str, str]:
    return dict.fromkeys(("strong", "shared", "sandbox"), by)


def everywhere(by: str) -> dict[str, str]:
    return dict.fromkeys(LEVELS, by)


ATTACKS = (
    # Other processes.
    Attack("see_processes", "See the machine's other processes", sandboxed("process namespace"), entering=True),
    Attack("signal_processes", "Signal other jobs and the supervisor", sandboxed("process namespace"), entering=True),
    Attack("trace_processes", "Trace other processes (ptrace)", sandboxed("process and user namespaces")),
    Attack(
        "memory_of_processes",
        "Read others' environment and memory, or reach their root, through /proc",
        sandboxed("process and user namespaces"),
        entering=True,
    ),
    Attack(
        "look_into_helpers",
        "Look into the memory of the supervisor, or of whoever carries commands into the job",
        everywhere("hidden from all but root; capabilities of the sandbox"),
    ),
    Attack(
        "outlive",
        "Leave a process behind (double fork, setsid)",
        {
            **sandboxed("process namespace, control group, own user"),
            "process": "control group",
        },
        needs="pids",
    ),
    # Files.
    Attack(
        "read_files",
        "Read other jobs' files, the database, keys and tokens of Dais, the machine's files",
        sandboxed("root file system of its own; own user"),
        entering=True,
    ),
    Attack("write_read_only", "Write into /usr and folders mounted read-only", sandboxed("read-only mounts")),
    Attack(
        "writable_mounts",
        "Find a mount that is writable and should not be",
        sandboxed("read-only mounts"),
        entering=True,
    ),
    Attack(
        "swap",
        "Swap a mounted directory for a link to the host's files, while it is mounted",
        sandboxed("sources are opened without links, and mounted as opened"),
    ),
    Attack("devices", "Open or make device nodes (disks, memory)", sandboxed("/dev of its own; user namespace")),
    Attack(
        "mounts",
        "Mount, unmount, remount for writing, change the root",
        sandboxed("no capabilities, system call filter, no nested namespaces"),
        entering=True,
    ),
    # Sockets and the network.
    Attack("loopback", "Connect to Dais's own port over loopback", sandboxed("network namespace"), entering=True),
    Attack(
        "private_addresses",
        "Reach private, metadata or public addresses with network none",
        sandboxed("network namespace"),
    ),
    Attack(
        "abstract_socket", "Connect to another job's abstract socket", sandboxed("network namespace"), entering=True
    ),
    Attack(
        "unix_sockets",
        "Connect to the supervisor's control socket, or other jobs' sockets",
        sandboxed("root file system of its own; peer's user checked"),
    ),
    Attack("shared_memory", "Open others' System V shared memory", sandboxed("IPC namespace")),
    # Privileges.
    Attack("setuid_programs", "Become root by setuid programs or file capabilities", everywhere("no new privileges")),
    Attack(
        "no_new_privileges", "Start programs that may gain privileges", everywhere("no new privileges"), entering=True
    ),
    Attack("capabilities", "Use capabilities inside the sandbox", sandboxed("none are left"), entering=True),
    Attack(
        "nested_namespaces",
        "Make user namespaces to reach more of the kernel",
        sandboxed("limit of the user namespace; system call filter"),
        entering=True,
    ),
    Attack("forbidden_calls", "Reach bpf, userfaultfd, io_uring, perf", sandboxed("system call filter"), entering=True),
    Attack("keyrings", "Leave keys for the user's other processes", sandboxed("system call filter"), entering=True),
    Attack("terminal_injection", "Type into a terminal (TIOCSTI)", sandboxed("system call filter"), pty=True),
    Attack("descriptors", "Use descriptors that were left open", everywhere("all are closed at exec"), entering=True),
    Attack(
        "environment",
        "Find secrets of the server in the environment",
        everywhere("built anew for each job"),
        entering=True,
    ),
    Attack(
        "administration",
        "Set host name, clock, kernel settings, sysrq",
        sandboxed("no capabilities, system call filter"),
        entering=True,
    ),
    Attack("core_dumps", "Fill the disk with core files", everywhere("limit of 0"), entering=True),
    # Names.
    Attack("host_name", "Learn the machine's name", sandboxed("host name of its own")),
    Attack(
        "control_groups",
        "Leave or change its control group (cgroup.procs, release_agent)",
        sandboxed("control groups are not mounted; control group namespace"),
    ),
    # Bombs.
    Attack("memory_bomb", "Take more memory than asked for", everywhere("control group, else a limit per process")),
    Attack("fork_bomb", "Start processes without end", everywhere("control group"), needs="pids"),
    Attack("cpu_hog", "Take more CPU than asked for", everywhere("control group"), needs="cpu"),
    Attack("descriptor_bomb", "Open files without end", everywhere("limit of open files")),
    Attack("shared_memory_bomb", "Fill /dev/shm", sandboxed("its size")),
    Attack("temporary_files_bomb", "Fill /tmp", sandboxed("its size, and the memory that it is of")),
    Attack("inode_bomb", "Make files in /tmp without end", sandboxed("control group"), needs="memory"),
    Attack("log_bomb", "Print without end", everywhere("limit of the log")),
    Attack("exhaust", "Use up what the kernel counts by user (inotify)", {"strong": "own user for each job"}),
)

MUTATIONS = (
    Mutation("see_processes", ("process_namespace",)),
    Mutation("signal_processes", ("process_namespace",), "shared"),
    Mutation("signal_processes", ("process_namespace",), "sandbox"),
    Mutation("loopback", ("network_namespace",)),
    Mutation("abstract_socket", ("network_namespace",)),
    Mutation("shared_memory", ("ipc_namespace",)),
    Mutation("host_name", ("host_name_namespace",)),
    Mutation("control_groups", ("control_group_namespace",)),
    Mutation("read_files", ("file_system",)),
    Mutation("unix_sockets", ("file_system",), "sandbox"),
    Mutation("write_read_only", ("read_only_mounts",), "sandbox"),
    Mutation("write_read_only", ("read_only_mounts", "read_only_mapping")),
    Mutation("writable_mounts", ("read_only_root",)),
    Mutation("swap", ("opened_sources",)),
    Mutation("swap", ("opened_sources",), "sandbox"),
    Mutation("devices", ("own_devices",)),
    Mutation("capabilities", ("no_capabilities",)),
    Mutation("mounts", ("no_capabilities", "call_filter", "no_nested_namespaces")),
    Mutation("nested_namespaces", ("call_filter", "no_nested_namespaces")),
    Mutation("forbidden_calls", ("call_filter",)),
    Mutation("keyrings", ("call_filter",)),
    Mutation("terminal_injection", ("call_filter",)),
    Mutation("descriptors", ("closed_descriptors",)),
    Mutation("no_new_privileges", ("no_new_privileges",), "process"),
    Mutation("setuid_programs", ("no_new_privileges",), "process"),
    Mutation("core_dumps", ("no_core_files",)),
    Mutation("memory_bomb", ("memory_limit",), needs="memory"),
    Mutation("inode_bomb", ("memory_limit",), needs="memory"),
    Mutation("fork_bomb", ("process_limit",), needs="pids"),
    Mutation("cpu_hog", ("cpu_limit",), needs="cpu"),
    Mutation("descriptor_bomb", ("descriptor_limit",)),
    Mutation("shared_memory_bomb", ("shared_memory_size",)),
    Mutation("temporary_files_bomb", ("temporary_files_size",), "sandbox"),
    Mutation("log_bomb", ("log_limit",)),
    Mutation("exhaust", ("own_user",)),
    Mutation("outlive", ("sure_end",), "process", needs="pids", as_root=True),
    Mutation("look_into_helpers", ("hidden_helpers",), "process"),
)


def table() -> list[str]:
    """The attacks as `docs/isolation.md` shows them."""
    rows = ["| Attack | strong | shared | sandbox | process | Stopped by |", "|---|---|---|---|---|---|"]
    for attack in ATTACKS:
        mark = "✓*" if attack.needs else "✓"
        cells = [mark if level in attack.stops else "" for level in LEVELS]
        by = "; else ".join(dict.fromkeys(attack.stops.values()))
        rows.append(f"| {attack.title} | {' | '.join(cells)} | {by} |")
    return rows


if __name__ == "__main__":
    print("\n".join(table()))  # noqa: T201
