"""What a container may be given, when the server that asks is not root: nothing that the server could not take itself.

A root supervisor that mounted whatever path it is told would hand root's files to whoever has taken the server over. So
what belongs to the server is opened below the data directory, through no link; anything else is opened with the rights
of the container's own user, who has none but everybody's, and is mounted read-only.
"""

from __future__ import annotations

import os
import stat

from dais.node import kernel
from dais.node.spec import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.spec import LaunchSpec

_WRITABLE = ("folders", "jobs", "envs")
_READABLE = (*_WRITABLE, "blobs", "copies", "sets", "host/bin")


class Fence:
    """The data directory as the supervisor sees it. `strict`: the server is not root, and held to it."""

    def __init__(self, data_dir: str, *, strict: bool) -> None:
        self._prefix = data_dir.rstrip("/") + "/"
        self._data_dir = data_dir
        self.strict = strict

    def inside(self, source: str) -> bool:
        """Whether a path is below the data directory, so that what is there belongs to the server."""
        return source.startswith(self._prefix)

    def check(self, spec: LaunchSpec) -> None:
        """Refuse what a server that is not root may not ask for. Raises SpecError."""
        if not self.strict:
            return
        if not spec.lease:
            raise SpecError("lease: the server is not root, and its containers have leased uids in sandboxes alone")
        for bind in spec.binds:
            if not self.inside(bind.source):
                if not bind.read_only:
                    raise SpecError(f"binds: {bind.source} is not in the data directory, and can only be read-only")
                continue
            path = bind.source[len(self._prefix) :]
            if not any(path.startswith(part + "/") or path == part == "host/bin" for part in _READABLE):
                raise SpecError(f"binds: {bind.source} is not among what containers are given")
            if not bind.read_only and not path.startswith(tuple(part + "/" for part in _WRITABLE)):
                raise SpecError(f"binds: {bind.source} can only be read-only")

    def open(self, source: str, *, exact: bool, uid: int, gid: int) -> int:
        """A bind's source, opened (O_PATH). Raises OSError."""
        if not self.strict:
            return open_source(source, exact=exact)
        if self.inside(source):
            # By its path, for a descriptor from before would belong to another mount namespace. No part of this path
            # can be replaced by the server.
            top = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return kernel.open_beneath(top, source[len(self._prefix) :])
            finally:
                os.close(top)
        with As(uid, gid):
            return open_source(source, exact=exact)


NO_FENCE = Fence("/nowhere", strict=False)
"""For a server that may have everything mounted."""


class As:
    """While it lasts, files are reached with the rights of this user; everything else is still root's."""

    def __init__(self, uid: int, gid: int) -> None:
        self._uid = uid
        self._gid = gid

    def __enter__(self) -> None:
        kernel.set_file_user(self._uid, self._gid)

    def __exit__(self, *_: object) -> None:
        kernel.set_file_user(0, 0)


def open_source(source: str, *, exact: bool) -> int:
    """What is at a path, which may be no link; with `exact` no part of it may be one. Raises OSError."""
    fd = os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(40, f"{source} is a symbolic link")
        # What was opened is what stays mounted: asked afterwards, so that no link can come in between.
        if exact and os.readlink(f"/proc/self/fd/{fd}") != source:
            raise OSError(40, f"{source} leads through a symbolic link")
    except OSError:
        os.close(fd)
        raise
    return fd
