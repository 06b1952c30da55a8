"""The attacks, as a job makes them: standard library only, given to the job's Python as text (with `bombs.py`).

`python3 -c TEXT NAME JSON` makes one attack. JSON tells it what a real attacker would have to find out: paths, process
ids, addresses. It prints "ESCAPED: what it reached", or "HELD: why not". Nothing here does harm where it gets through.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "x86_64": {"add_key": 248, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "perf_event_open": 298,
               "pivot_root": 155, "open_tree": 428},
    "aarch64": {"add_key": 217, "bpf": 280, "userfaultfd": 282, "io_uring_setup": 425, "perf_event_open": 241,
                "pivot_root": 41, "open_tree": 428},
}.get(platform.machine(), {})  # fmt: skip
NEW_USER, NEW_NS = 0x10000000, 0x00020000
MIB = 1 << 20
Known = dict[str, Any]
ORDINARY_DEVICES = {
    "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
    "tty", "urandom", "zero",
}  # fmt: skip


def syscall(name: str, *arguments: Any) -> bool:
    """Whether a system call succeeded."""
    if name not in CALLS:
        return False
    return bool(libc.syscall(CALLS[name], *arguments) != -1)


def everywhere(path: str) -> tuple[str, str]:
    """A path, and the same where a hole would show the host's files."""
    return (path, "/host" + path)


def read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


# Other processes.


def see_processes(known: Known) -> str | None:
    for pid in processes():
        line = read(f"/proc/{pid}/cmdline")
        if "".join(known["mark"]).encode() in line or b"dais" + b".node" in line:
            return f"saw process {pid}"
    return None


def signal_processes(known: Known) -> str | None:
    for pid in (*known["victims"], known["supervisor"]):
        try:
            os.kill(pid, 0)
        except OSError:
            continue
        return f"may signal process {pid}"
    return None


def trace_processes(known: Known) -> str | None:
    for pid in (*known["victims"], known["supervisor"]):
        if libc.ptrace(16, pid, None, None) == 0:
            libc.ptrace(17, pid, None, None)
            return f"traced process {pid}"
    return None


def memory_of_processes(known: Known) -> str | None:
    for pid in {*known["victims"], known["supervisor"], *processes()} - {os.getpid()}:
        if known["secret"].encode() in read(f"/proc/{pid}/environ"):
            return f"read the environment of {pid}"
        if any(read(f"/proc/{pid}/{at}{known['public']}") for at in ("root", "cwd")):
            return f"reached the host's files through process {pid}"
        if pid in (*known["victims"], known["supervisor"]) and os.access(f"/proc/{pid}/mem", os.W_OK):
            try:
                os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))
            except OSError:
                continue
            return f"opened the memory of {pid}"
    return None


def look_into_helpers(known: Known) -> str | None:
    """While commands are carried in: whoever carries them remembers other jobs. Until a file `stop` is there.

    The supervisor remembers them, too, and is what a helper is at first.
    """
    print("looking", flush=True)
    if os.getuid() == 0:
        return None  # root may look into everything: no job is root where Dais has another user to give it
    seen: set[int] = set()
    while not os.path.exists("stop"):
        for pid in processes():
            try:
                fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
            except OSError:
                continue
            # What was opened stays what it was, so that it was the helper's if the name is still its.
            name = read(f"/proc/{pid}/comm")
            os.close(fd)
            if name == b"dais-exec\n":
                return f"opened the memory of helper {pid}"
            if pid == known["supervisor"] and b"dais" + b".node" in read(f"/proc/{pid}/cmdline"):
                return f"opened the memory of the supervisor {pid}"
            seen.add(pid)
    return None if seen else "saw nothing at all, so that it tells nothing"


# Files.


def read_files(known: Known) -> str | None:
    for path in (known["public"], *known["private"]):
        for place in everywhere(path):
            if read(place):
                return f"read {place}"
    return None


def write_read_only(known: Known) -> str | None:
    for directory in ("/usr", "/opt/dais/bin", "/data/read-only"):
        try:
            os.close(os.open(f"{directory}/written", os.O_CREAT | os.O_WRONLY))
        except OSError:
            continue
        return f"wrote into {directory}"
    return None


def writable_mounts(known: Known) -> str | None:
    own = {"/tmp", "/dev", "/dev/shm", "/dev/pts", "/proc", "/home/work", "/data/own"}
    for line in read("/proc/self/mountinfo").decode().splitlines():
        point = line.split()[4]
        # What the sandbox puts over single devices and files of /proc is not for writing.
        if point in own or point.startswith(("/dev/", "/proc/")):
            continue
        if not os.statvfs(point).f_flag & os.ST_RDONLY:
            return f"{point} is mounted for writing"
    return None


def devices(known: Known) -> str | None:
    for name in os.listdir("/dev"):
        if name not in ORDINARY_DEVICES:
            return f"/dev/{name} is there"
    for directory in ("/tmp", "/dev/shm", "/home/work", "/dev"):
        try:
            os.mknod(f"{directory}/node", 0o020666, os.makedev(1, 11))
        except OSError:
            continue
        return f"made a device in {directory}"
    return None


def mounts(known: Known) -> str | None:
    tries: dict[str, Callable[[], bool]] = {
        "mounted a file system": lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0,
        "mounted a directory": lambda: libc.mount(b"/proc", b"/tmp", None, 0x1000, None) == 0,
        "remounted for writing": lambda: libc.mount(None, b"/usr", None, 0x20 | 0x1000, None) == 0,
        "unmounted": lambda: libc.umount2(b"/dev/shm", 2) == 0,
        "changed the root": lambda: syscall("pivot_root", b"/tmp", b"/tmp") or libc.chroot(b"/tmp") == 0,
        "opened a tree": lambda: syscall("open_tree", -100, b"/usr", 1),
    }
    for what, attempt in tries.items():
        if attempt():
            return what
    return None


# Sockets and the network.


def _connects(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        try:
            sock.connect(address)
        except OSError:
            return False
        return True


def loopback(known: Known) -> str | None:
    if _connects(socket.AF_INET, ("127.0.0.1", known["port"])):
        return "connected to the server's port"
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    if others:
        return f"saw the machine's network interfaces {others}"
    return None


def private_addresses(known: Known) -> str | None:
    for address in ("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "1.1.1.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((address, 53))
            except OSError:
                continue
            return f"has a way to {address}"
    return None


def abstract_socket(known: Known) -> str | None:
    if _connects(socket.AF_UNIX, "\0" + known["abstract"]):
        return "connected to another job's abstract socket"
    return None


def unix_sockets(known: Known) -> str | None:
    for path in (*known["sockets"], known["control"]):
        for place in everywhere(path):
            if _connects(socket.AF_UNIX, place):
                return f"connected to {place}"
    return None


def shared_memory(known: Known) -> str | None:
    found = libc.shmget(known["ipc_key"], 0, 0)
    if found >= 0:
        return "found another's shared memory"
    return None


# Privileges.


def setuid_programs(known: Known) -> str | None:
    for program, what in (("setuid", "Uid"), ("capable", "CapEff")):
        path = f"{known['programs']}/{program}"
        if not os.path.exists(path):
            continue
        done = subprocess.run([path, "/proc/self/status"], capture_output=True, text=True, check=False)
        fields = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        if what == "Uid" and "0" in fields.get("Uid", "").split() and os.getuid() != 0:
            return "became root by a setuid program"
        if what == "CapEff" and int(fields.get("CapEff", "0"), 16) and os.getuid() != 0:
            return "gained capabilities by a program's file"
    return None


def no_new_privileges(known: Known) -> str | None:
    if b"NoNewPrivs:\t1" not in read("/proc/self/status"):
        return "programs may gain privileges"
    return None


def capabilities(known: Known) -> str | None:
    fields = dict(line.split(b":\t", 1) for line in read("/proc/self/status").splitlines() if b":\t" in line)
    if int(fields[b"CapEff"], 16) or int(fields[b"CapPrm"], 16):
        return f"has the capabilities {fields[b'CapEff'].decode()}"
    return None


def nested_namespaces(known: Known) -> str | None:
    pid = os.fork()
    if pid == 0:
        os._exit(1 if libc.unshare(NEW_USER) == 0 or libc.unshare(NEW_USER | NEW_NS) == 0 else 0)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1:
        return "made a user namespace"
    return None


def forbidden_calls(known: Known) -> str | None:
    buffer = ctypes.create_string_buffer(128)
    tries: dict[str, tuple[Any, ...]] = {
        "bpf": (0, buffer, 72),
        "userfaultfd": (1,),
        "io_uring_setup": (1, buffer),
        "perf_event_open": (buffer, 0, -1, -1, 0),
    }
    for name, arguments in tries.items():
        ctypes.set_errno(0)
        # Anything but "not permitted" and "not there" comes from the code behind the call.
        if syscall(name, *arguments) or ctypes.get_errno() not in (1, 13, 38):
            return f"reached the system call {name}"
    return None


def keyrings(known: Known) -> str | None:
    if syscall("add_key", b"user", b"dais-attack", b"x", 1, -4):
        return "left a key for the user's other processes"
    return None


def descriptors(known: Known) -> str | None:
    extra = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    # One is the directory that was just listed.
    if len(extra) > 1:
        return f"inherited the descriptors {sorted(extra)}"
    return None


def environment(known: Known) -> str | None:
    if known["server_variable"] in os.environ:
        return "got a variable of the server"
    return None


def terminal_injection(known: Known) -> str | None:
    for fd in (0, 1, 2):
        try:
            fcntl.ioctl(fd, 0x5412, b"x")
        except OSError:
            continue
        return "typed into a terminal"
    return None


def administration(known: Known) -> str | None:
    now = struct.pack("qq", int(time.time()), 0)
    tries: dict[str, Callable[[], object]] = {
        "set the host's name": lambda: libc.sethostname(known["host"].encode(), len(known["host"])) == 0,
        "set the clock": lambda: libc.clock_settime(0, now) == 0,
        "opened sysrq": lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY),
        "opened the core pattern": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "opened a kernel setting": lambda: os.open("/proc/sys/vm/drop_caches", os.O_WRONLY),
    }
    for what, attempt in tries.items():
        try:
            if attempt():
                return what
        except OSError:
            continue
    return None


def core_dumps(known: Known) -> str | None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        return "may leave a core file"
    return None


# Names.


def host_name(known: Known) -> str | None:
    if known["host"] in (socket.gethostname(), os.uname().nodename):
        return "knows the machine's name"
    return None


def control_groups(known: Known) -> str | None:
    for directory, _, names in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name in ("cgroup.procs", "release_agent", "notify_on_release") and os.access(
                f"{directory}/{name}", os.W_OK
            ):
                return f"may write {directory}/{name}"
    for line in read("/proc/self/cgroup").decode().splitlines():
        if any(above in line for above in known["above"]):
            return f"sees where in the machine's control groups it is: {line}"
    return None
