"""Id-mapped mounts: files belong to one owner on disk, and to the container's own user inside it.

So no file is ever given to a job's user: folders can be shared by jobs with different users, and the server, which is
the owner, can read, seal and delete whatever a job has written. Linux 5.12, and a file system that can.
"""

from __future__ import annotations

import os

from dais.node import kernel

_PRIVATE = kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV


class Mapper:
    """Makes what belongs to `owner` and `group` appear as a container's user's. Needs root."""

    def __init__(self, owner: int, group: int) -> None:
        self._owners = {"uid_map": owner, "gid_map": group}
        self._namespaces: dict[int, int] = {}

    def namespace(self, uid: int) -> int:
        """The descriptor of a user namespace that maps the owner to `uid`; made once, then kept. Raises OSError."""
        found = self._namespaces.get(uid)
        if found is None:
            found = self._namespaces[uid] = _make_namespace(self._owners, uid)
        return found


def attach(fd: int, target: str, namespace: int, *, read_only: bool) -> None:
    """Mount an open file or directory at `target` with mapped ids, without setuid and devices. Raises OSError."""
    tree = kernel.clone_tree(fd)
    try:
        change(tree, namespace, read_only=read_only)
        kernel.attach_tree(tree, target)
    finally:
        os.close(tree)


def change(tree: int, namespace: int, *, read_only: bool) -> None:
    """Map the ids of a cloned tree. Raises OSError: EINVAL for a file system that cannot."""
    attributes = _PRIVATE | kernel.MOUNT_ATTR_IDMAP | (kernel.MOUNT_ATTR_RDONLY if read_only else 0)
    kernel.change_tree(tree, attributes, namespace)


def _make_namespace(owners: dict[str, int], uid: int) -> int:
    """A user namespace that nothing is in: it only carries the mapping of one uid and gid."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    done_read, done_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ready_read)
            os.close(done_write)
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(ready_write, b"r")
            os.read(done_read, 1)
        finally:
            os._exit(0)
    os.close(ready_write)
    os.close(done_read)
    try:
        if not os.read(ready_read, 1):
            raise OSError(1, "a user namespace cannot be made")
        for name, owner in owners.items():
            fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, f"{owner} {uid} 1\n".encode())
            finally:
                os.close(fd)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_read)
        os.close(done_write)
        os.waitpid(pid, 0)
