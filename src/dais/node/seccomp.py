"""The filter of system calls: where its program lies, and how a process takes it on.

The program is made by whoever starts the supervisor, which needs no library for it. bwrap installs it as the last thing
before the container's program; the helper that carries a command into a container does it itself.
"""

from __future__ import annotations

import os

from dais.node import cfunctions as ctypes
from dais.node import kernel

NONE_GIVEN = "the supervisor was given no filter"
FILE = "seccomp.bpf"
_INSTRUCTION = 8
_MOST_INSTRUCTIONS = 4096
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class Filter:
    """A program in memory, for any number of launches."""

    def __init__(self, program: bytes) -> None:
        self.program = program
        self._fd = os.memfd_create("dais-seccomp", os.MFD_CLOEXEC)
        os.write(self._fd, program)

    def open(self) -> int:
        """A descriptor at the program's beginning; whoever reads it, reads it alone. The caller closes it."""
        return os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)


def store(node_dir: str, program: bytes | None) -> None:
    """Lay down the program for the supervisor of a directory; None takes away one of before. Raises OSError."""
    path = f"{node_dir}/{FILE}"
    if program is None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return
    new = f"{path}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, program)
    finally:
        os.close(fd)
    os.replace(new, path)


def load(node_dir: str) -> Filter | str:
    """The filter that was laid down, or why there is none."""
    try:
        with open(f"{node_dir}/{FILE}", "rb") as file:
            program = file.read(_MOST_INSTRUCTIONS * _INSTRUCTION + 1)
    except FileNotFoundError:
        return NONE_GIVEN
    except OSError as error:
        return f"the filter cannot be read: {error}"
    return checked(program)


def checked(program: bytes) -> Filter | str:
    """A filter of what somebody gave, or why it is none."""
    if not program:
        return NONE_GIVEN
    if len(program) % _INSTRUCTION or len(program) > _MOST_INSTRUCTIONS * _INSTRUCTION:
        return f"what the supervisor was given is no filter: it has {len(program)} bytes"
    return Filter(program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(program: bytes) -> None:
    """Take on the filter for good, with all children. Needs `no_new_privs`, or root. Raises OSError."""
    filled = _Program(len(program) // _INSTRUCTION, program)
    kernel.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filled))
