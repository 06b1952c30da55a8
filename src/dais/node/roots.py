"""Root directories that containers may have instead of the machine's own: registered, checked, remembered.

The check is on this side of the socket because the supervisor may be root where the server is not: what it mounts as a
root must be the operator's own, whoever asks for it.
"""

from __future__ import annotations

import os
import stat

_FILE = "roots"
_MOST_ROOTS = 1000
_MOST_LINKS = 40
_FORBIDDEN = ("/proc", "/sys", "/dev", "/run")
_SHELLS = ("/bin/sh", "/usr/bin/sh")
_PYTHONS = ("/usr/local/bin/python3", "/usr/bin/python3", "/opt/conda/bin/python3", "/bin/python3")


class RootError(Exception):
    """This directory cannot be a container's root; `args[0]` says why."""


class Roots:
    """The registered directories of one node."""

    def __init__(self, node_dir: str) -> None:
        self._file = f"{node_dir}/{_FILE}"
        self._data_dir = os.path.dirname(node_dir)
        self._paths: set[str] = set()
        try:
            with open(self._file, encoding="utf-8", errors="surrogateescape") as file:
                self._paths = {line for line in file.read().split("\n") if line}
        except FileNotFoundError:
            pass

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def add(self, path: str) -> dict[str, str | None]:
        """Check a directory and remember it. Returns what is in it; raises RootError, OSError."""
        self._check(path)
        found = look(path)
        if path not in self._paths:
            if len(self._paths) >= _MOST_ROOTS:
                raise RootError(f"{_MOST_ROOTS} directories are registered already; remove one first")
            self._store(self._paths | {path})
        return found

    def remove(self, path: str) -> None:
        """Forget a directory; one that is not known is fine. Raises OSError."""
        if path in self._paths:
            self._store(self._paths - {path})

    def _check(self, path: str) -> None:
        if not path.startswith("/") or "\n" in path or "\0" in path:
            raise RootError(f"{path!r} is no absolute path")
        if path == "/" or any(_below(path, place) for place in _FORBIDDEN):
            raise RootError(
                f"{path} is a part of the running system; make a directory with a root file system of its own"
            )
        real = os.path.realpath(path)
        if real != path:
            raise RootError(f"{path} leads through a link or is not written plainly; register {real}")
        if _below(path, self._data_dir) or _below(self._data_dir, path):
            raise RootError(
                f"{path} and Dais's own data directory {self._data_dir} lie in each other; move it elsewhere"
            )
        if not os.path.isdir(path):
            raise RootError(f"{path} is no directory on this node")
        place = path
        while True:
            status = os.stat(place)
            if status.st_uid not in (0, os.geteuid()):
                raise RootError(f"{place} belongs to user {status.st_uid}, who could change it; chown it to root")
            if status.st_mode & 0o022 and (place == path or not status.st_mode & stat.S_ISVTX):
                raise RootError(f"{place} can be written by others; run: chmod go-w {place}")
            if place == "/":
                return
            place = os.path.dirname(place)

    def _store(self, paths: set[str]) -> None:
        new = f"{self._file}.new"
        with open(new, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("".join(f"{path}\n" for path in sorted(paths)))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._file)
        self._paths = paths


def look(root: str) -> dict[str, str | None]:
    """What a root file system is: its system's name and its Python, as paths inside it. Raises RootError."""
    shell = next((path for path in _SHELLS if _executable(root, path)), None)
    python = next((path for path in _PYTHONS if _executable(root, path)), None)
    if shell is None and python is None:
        raise RootError(f"{root} is no root file system: it has neither /bin/sh nor a python3 that can be executed")
    return {"system": _system(root), "python": None if python is None else resolve(root, python)}


def resolve(root: str, path: str) -> str | None:
    """Where a path leads inside a root, by its links; None if nowhere. Nothing outside is ever looked at."""
    done: list[str] = []
    waiting = [part for part in path.split("/") if part]
    links = 0
    while waiting:
        part = waiting.pop(0)
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = f"{root}/{'/'.join([*done, part])}"
        try:
            target = os.readlink(here)
        except FileNotFoundError:
            return None
        except OSError:  # no link
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        if target.startswith("/"):
            done = []
        waiting = [inner for inner in target.split("/") if inner] + waiting
    return "/" + "/".join(done)


def _executable(root: str, path: str) -> bool:
    found = resolve(root, path)
    if found is None:
        return False
    try:
        mode = os.stat(root + found).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and mode & 0o111 != 0


def _system(root: str) -> str | None:
    path = resolve(root, "/etc/os-release") or resolve(root, "/usr/lib/os-release")
    if path is None:
        return None
    try:
        with open(root + path, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 16)
    except OSError:
        return None
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return (fields.get("PRETTY_NAME") or fields.get("ID") or "").strip("\"'")[:255] or None


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")
