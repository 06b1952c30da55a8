"""POSIX access control lists, by which a directory is the server's and one more user's, and nobody else's."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

READ, WRITE, ENTER = 4, 2, 1
ALL = READ | WRITE | ENTER

_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF


def share(directory: Path, users: dict[int, int]) -> None:
    """Let these users (uid: rights) and the owner alone use a directory. Raises OSError, with what to do."""
    _set(directory, _ACCESS, users)


def share_content(directory: Path, users: dict[int, int]) -> None:
    """Give what is made in a directory from now on to these users, too, whoever makes it and whatever its umask is.

    The mode that a file is made with still bounds it: its middle digit is the most that they get. Raises OSError.
    """
    _set(directory, _DEFAULT, users)


def _set(directory: Path, name: str, users: dict[int, int]) -> None:
    mask = 0
    for rights in users.values():
        mask |= rights
    entries = [(_OWNER, ALL, _NOBODY), *((_USER, users[uid], uid) for uid in sorted(users))]
    entries += [(_GROUP, 0, _NOBODY), (_MASK, mask, _NOBODY), (_OTHER, 0, _NOBODY)]
    try:
        os.setxattr(directory, name, _VERSION + b"".join(_ENTRY.pack(*entry) for entry in entries))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        raise OSError(
            error.errno,
            "this file system has no POSIX access control lists, without which no directory is shared with one user "
            "alone: mount it with them, or name another directory",
            str(directory),
        ) from None
