"""The few system calls that Python 3.11's standard library does not offer."""

from __future__ import annotations

import os

from dais.node import cfunctions as ctypes

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 0x1000, 0x4000, 0x80000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_IDMAP = 1, 2, 4, 0x100000
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 2, 4, 8

# These four have the same number on every architecture but alpha.
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC, _MOVE_MOUNT_F_EMPTY_PATH = 1, os.O_CLOEXEC, 4
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000

_call = ctypes.function("syscall", long=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("namespace", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int, more: int = 0) -> None:
    """Raises OSError."""
    _check(ctypes.function("prctl")(option, ctypes.c_ulong(value), ctypes.c_ulong(more), 0, 0), "prctl")


def hide() -> None:
    """What /proc shows of this process, and of those that it forks, is root's, and nobody else traces them."""
    prctl(PR_SET_DUMPABLE, 0)


def call_itself(name: bytes) -> None:
    """The calling thread's name, as whoever lists processes sees it: 15 bytes. Raises OSError."""
    none = ctypes.c_ulong(0)
    _check(ctypes.function("prctl")(PR_SET_NAME, ctypes.c_char_p(name), none, none, none), "prctl")


def unshare(flags: int) -> None:
    """Raises OSError."""
    _check(ctypes.function("unshare")(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Enter a namespace. Raises OSError."""
    _check(ctypes.function("setns")(fd, kind), "setns")


def open_namespace(kind: str) -> int:
    """A descriptor of a namespace of this process."""
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Raises OSError."""
    result = ctypes.function("mount")(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if data is None else data.encode(),
    )
    _check(result, f"mount {source} at {target}")


def _syscall(number: int, what: str, *arguments: object) -> int:
    result = int(_call(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def open_beneath(directory: int, path: str) -> int:
    """A descriptor (O_PATH) of what is at a relative path below a directory, with no link in any part of it.

    Raises OSError: ELOOP for a link, EXDEV for a path that leads outside.
    """
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    name = ctypes.c_char_p(os.fsencode(path))
    return _syscall(_OPENAT2, path, directory, name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))


def clone_tree(fd: int) -> int:
    """A copy of the mount at an open file or directory with all below it, attached nowhere. Raises OSError."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_EMPTY_PATH | _AT_RECURSIVE
    return _syscall(_OPEN_TREE, "open_tree", fd, ctypes.c_char_p(b""), ctypes.c_uint(flags))


def change_tree(tree: int, attributes: int, namespace: int) -> None:
    """Set attributes of a cloned tree; `namespace` is the user namespace of MOUNT_ATTR_IDMAP. Raises OSError."""
    change = _MountAttributes(attributes, 0, 0, namespace)
    flags = ctypes.c_uint(_AT_EMPTY_PATH | _AT_RECURSIVE)
    size = ctypes.c_size_t(ctypes.sizeof(change))
    _syscall(_MOUNT_SETATTR, "mount_setattr", tree, ctypes.c_char_p(b""), flags, ctypes.byref(change), size)


def attach_tree(tree: int, target: str) -> None:
    """Mount a cloned tree at a path. Raises OSError."""
    where = ctypes.c_char_p(os.fsencode(target))
    flags = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
    _syscall(_MOVE_MOUNT, f"move_mount {target}", tree, ctypes.c_char_p(b""), _AT_FDCWD, where, flags)


def set_file_user(uid: int, gid: int) -> None:
    """Whose rights this process has on files, and nothing else; 0 and 0 gives root's back. Raises OSError."""
    for name, wanted in (("setfsgid", gid), ("setfsuid", uid)):
        setter = ctypes.function(name)
        setter(ctypes.c_uint(wanted))
        # Answers what was before, never an error: asked again, it tells what is.
        if setter(ctypes.c_uint(0xFFFFFFFF)) & 0xFFFFFFFF != wanted:
            raise OSError(1, f"the rights of user {wanted} cannot be taken on")
