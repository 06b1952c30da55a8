"""Files of the working directory: small ones are put there, any are read, listed and removed."""

from __future__ import annotations

import base64
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILE_LIMIT = 1 << 20
PIECE = 1 << 20
LISTED = 10_000


class Refused(Exception):
    """A code for programs and words for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def inside(root: str, path: str) -> str:
    """The path of something in the working directory, with no link left in it. Raises Refused."""
    if not path or "\0" in path or len(path) > 4096:
        raise Refused("bad-path", f"{path[:200]!r} is no path")
    found = os.path.realpath(os.path.join(root, path))
    base = os.path.realpath(root)
    if found != base and not found.startswith(base.rstrip("/") + "/"):
        raise Refused("bad-path", f"{path!r} is not in the working directory {base}")
    return found


def put(root: str, path: str, data: str) -> dict[str, Any]:
    target = inside(root, path)
    content = base64.b64decode(data)
    if len(content) > FILE_LIMIT:
        raise Refused("too-large", f"{path} has {len(content):,} bytes; an upload takes {FILE_LIMIT:,} for each file")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    fresh = f"{target}.{os.getpid()}.part"
    try:
        with open(fresh, "wb") as file:
            file.write(content)
        os.replace(fresh, target)
    except OSError:
        try:
            os.unlink(fresh)
        except OSError:
            pass
        raise
    return {"path": os.path.relpath(target, os.path.realpath(root)), "size": len(content)}


def give(path: str, data: str, mode: int) -> None:
    """A file of the home, where there is none yet; its directory, if there is none, is its owner's alone."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return
    with open(fd, "wb") as file:
        file.write(base64.b64decode(data))


def get(root: str, path: str, offset: int) -> dict[str, Any]:
    target = inside(root, path)
    if not stat.S_ISREG(os.stat(target).st_mode):  # a pipe would never end
        raise Refused("not-a-file", f"{path} is no file")
    with open(target, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        return {"size": size, "data": base64.b64encode(file.read(PIECE)).decode("ascii")}


def ls(root: str, path: str) -> dict[str, Any]:
    target = inside(root, path)
    entries = []
    with os.scandir(target) as found:
        for entry in found:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            kind = "directory" if entry.is_dir(follow_symlinks=False) else "link" if entry.is_symlink() else "file"
            size = status.st_size if kind == "file" else 0
            entries.append({"name": entry.name, "kind": kind, "size": size, "mtime": int(status.st_mtime)})
            if len(entries) > LISTED:
                break
    entries.sort(key=lambda entry: str(entry["name"]))
    return {"path": target, "files": entries[:LISTED], "truncated": len(entries) > LISTED}


def rm(root: str, path: str, recursive: bool) -> dict[str, Any]:
    target = os.path.join(inside(root, os.path.dirname(path) or "."), os.path.basename(path))
    if target.rstrip("/") == os.path.realpath(root) or os.path.basename(path) in ("", ".", ".."):
        raise Refused("bad-path", f"{path!r} names nothing in the working directory")
    if os.path.isdir(target) and not os.path.islink(target):
        if recursive:
            import shutil

            shutil.rmtree(target)
        else:
            os.rmdir(target)
    else:
        os.unlink(target)
    return {}
