"""Paths inside a folder or a source: relative, with `/` between names, never above the root."""

from __future__ import annotations

MAX_PATH = 4096
"""Bytes of a whole path."""

MAX_NAME = 255
"""Bytes of one name in it."""


class PathError(ValueError):
    """A path that cannot be used. `code` is for programs; the text says what is wrong and what to do."""

    def __init__(self, code: str, message: str, path: str) -> None:
        super().__init__(message)
        self.code = code
        self.path = path


def shown(path: str) -> str:
    """A path in quotes for a message: one line, at most about 200 characters, control characters written out."""
    text = repr(path)
    return text if len(text) <= 200 else f"{text[:140]}…{text[-40:]}"


def clean_path(path: str) -> str:
    """A path as people write it (`./a/b/`, `.`) in its one form (`a/b`, ``). Raises PathError.

    Refused: absolute paths, `..`, NUL, text that is no UTF-8, names and paths that no file system takes.
    """
    if path.startswith("/"):
        raise PathError(
            "absolute-path", f"{shown(path)} is absolute; write it as seen from the root, without the first /", path
        )
    return check_path("/".join(part for part in path.split("/") if part not in ("", ".")), root=True)


def check_path(path: str, *, root: bool = False) -> str:
    """The path itself, when it is in its one form; `root` allows "" for the root. Raises PathError."""
    if not path:
        if root:
            return path
        raise PathError("empty-path", "a path is empty; name a file", path)
    if "\0" in path:
        raise PathError("nul-character", f"{shown(path)} holds a NUL character, which no file name may", path)
    try:
        size = len(path) if path.isascii() else len(path.encode())
    except UnicodeEncodeError as error:
        raise PathError("not-utf8", f"{shown(path)} is no UTF-8 text; rename it", path) from error
    if size > MAX_PATH:
        raise PathError("path-too-long", f"{shown(path)} has {size:,} bytes; a path has at most {MAX_PATH:,}", path)
    for part in path.split("/"):
        if part == "..":
            raise PathError("path-outside", f"{shown(path)} leads upward with `..`; stay below the root", path)
        if part in ("", "."):
            raise PathError(
                "bad-path", f"{shown(path)} is not in its simplest form; leave out empty names and `.`", path
            )
        if len(part) > MAX_NAME // 4 and len(part.encode()) > MAX_NAME:
            raise PathError("name-too-long", f"the name {shown(part)} has more than {MAX_NAME} bytes", path)
    return path


def stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` with this target can only lead to places below the root.

    `..` may stand only at the beginning of the target: after a name, which may be a link itself, nobody could tell
    without following it where `..` leads. With this rule for every link, no chain of links leaves the root.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    return up <= path.count("/") and ".." not in parts[up:]
