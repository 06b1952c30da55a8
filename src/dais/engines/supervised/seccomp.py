"""The system calls that containers may not make, as a program for the kernel's filter.

Everything is allowed but what is listed here: calls that administer the machine, that reach kernel code which no
computation needs, or that make new namespaces. It is what Docker's and Flatpak's lists have in common, less what
debuggers, profilers and MPI need (`ptrace`, `process_vm_readv`, memory policies): those reach only processes of the
same user in the same container. The supervisor knows no libseccomp: it gets the finished program.
"""

from __future__ import annotations

import errno
import functools
import os
import tempfile
from typing import Any

_FORBIDDEN = (
    # Keys are shared by all processes of a uid, in every container.
    "add_key", "keyctl", "request_key",
    # Mounts, and with them the way to another root.
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
    # Namespaces: `unshare` and `clone` by their flags below.
    "setns",
    # Large parts of the kernel, with a history of ways out.
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    # The machine's administration.
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module",
    "get_kernel_syms", "reboot", "acct", "swapon", "swapoff", "quotactl", "quotactl_fd", "syslog", "vhangup",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname",
    "iopl", "ioperm",
    # Obsolete.
    "modify_ldt", "vm86", "vm86old", "uselib", "sysfs", "ustat", "_sysctl", "nfsservctl", "lookup_dcookie",
    "afs_syscall", "getpmsg", "putpmsg", "security", "tuxcall", "vserver",
)  # fmt: skip
_UNSUPPORTED = ("clone3",)
"""Its flags are in memory, where no filter can look; the C library then uses `clone`."""
_NUMBERS = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435,
    "mount_setattr": 442, "quotactl_fd": 443, "open_tree_attr": 467,
}  # fmt: skip
"""Of calls that an older libseccomp does not know; the same on every architecture."""

_NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEW: NS, CGROUP, UTS, IPC, USER, PID, NET."""
_NEW_TIME = 0x80
"""CLONE_NEWTIME, which only `unshare` knows: in `clone` these bits are the exit signal."""
_WORD = 0xFFFFFFFF
"""The kernel looks at the lower half of an `int` argument; a comparison must, too."""
_TERMINAL_REQUESTS = (0x5412, 0x541C, 0x5423)
"""TIOCSTI types into a terminal, TIOCLINUX into the console; TIOCSETD loads line disciplines."""
_NETLINK = 16
_FAMILIES = frozenset({0, 1, 2, 10, _NETLINK})
"""UNIX, INET, INET6, and NETLINK by which programs ask for addresses and routes."""
_NETLINK_PROTOCOLS = frozenset({0, 4, 15, 20})
"""ROUTE, SOCK_DIAG, KOBJECT_UEVENT, RDMA."""
_PERSONALITIES = frozenset({0x8, 0x20000, 0x40000})
"""PER_LINUX32, UNAME26, and ADDR_NO_RANDOMIZE, which debuggers set."""
_TOP_BIT = 1 << 31
_UNKNOWN = -1
_ARCHITECTURES = frozenset({"x86_64", "aarch64"})


class NoFilter(Exception):
    """This machine cannot make the filter; `args[0]` says why and what to do."""


@functools.cache
def compile_filter() -> bytes:
    """The program (an array of `struct sock_filter`) for this machine's architecture. Raises NoFilter.

    Programs of other architectures (32-bit ones, too) end with SIGSYS at their first call.
    """
    machine = os.uname().machine
    if machine not in _ARCHITECTURES:
        raise NoFilter(f"the list of forbidden system calls is not made for {machine}")
    try:
        import pyseccomp  # type: ignore[import-untyped]  # looks for the library
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise NoFilter(f"libseccomp cannot be used ({error}); install it (Debian: libseccomp2)") from error
    try:
        rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
        rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
        _forbid_calls(pyseccomp, rules)
        _forbid_arguments(pyseccomp, rules)
        with tempfile.TemporaryFile() as file:
            rules.export_bpf(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise NoFilter(f"libseccomp does not make the filter: {error}") from error


def filter_program() -> bytes | None:
    """What a supervisor is given: the program, or None where it cannot be made."""
    try:
        return compile_filter()
    except NoFilter:
        return None


def filter_problem() -> str | None:
    """Why this machine cannot make the filter; None if it can."""
    try:
        compile_filter()
    except NoFilter as error:
        return str(error)
    return None


def _forbid_calls(lib: Any, rules: Any) -> None:
    for names, number in ((_FORBIDDEN, errno.EPERM), (_UNSUPPORTED, errno.ENOSYS)):
        for name in names:
            call = lib.resolve_syscall(lib.Arch.NATIVE, name)
            call = _NUMBERS.get(name, _UNKNOWN) if call == _UNKNOWN else call
            if call >= 0:  # others are calls of other architectures
                rules.add_rule(lib.ERRNO(number), call)


def _forbid_arguments(lib: Any, rules: Any) -> None:
    refuse, unsupported = lib.ERRNO(errno.EPERM), lib.ERRNO(errno.EAFNOSUPPORT)

    def bits(call: str, argument: int, mask: int, value: int) -> None:
        rules.add_rule(refuse, call, lib.Arg(argument, lib.MASKED_EQ, mask, value))

    for flag in _NEW_NAMESPACES:
        bits("clone", 0, flag, flag)
        bits("unshare", 0, flag, flag)
    bits("unshare", 0, _NEW_TIME, _NEW_TIME)
    for request in _TERMINAL_REQUESTS:
        bits("ioctl", 1, _WORD, request)
    for call in ("socket", "socketpair"):
        for family in range(max(_FAMILIES)):
            if family not in _FAMILIES:
                rules.add_rule(unsupported, call, lib.Arg(0, lib.MASKED_EQ, _WORD, family))
        rules.add_rule(unsupported, call, lib.Arg(0, lib.GT, max(_FAMILIES)))
    netlink = lib.Arg(0, lib.EQ, _NETLINK)
    for protocol in range(max(_NETLINK_PROTOCOLS)):
        if protocol not in _NETLINK_PROTOCOLS:
            rules.add_rule(unsupported, "socket", netlink, lib.Arg(2, lib.MASKED_EQ, _WORD, protocol))
    rules.add_rule(unsupported, "socket", netlink, lib.Arg(2, lib.GT, max(_NETLINK_PROTOCOLS)))
    # Asking is done with all bits set: with the top bit no other may be missing, without it none of the rest be there.
    for flag in (1 << bit for bit in range(31)):
        bits("personality", 0, _TOP_BIT | flag, _TOP_BIT)
        if flag not in _PERSONALITIES:
            bits("personality", 0, _TOP_BIT | flag, flag)
