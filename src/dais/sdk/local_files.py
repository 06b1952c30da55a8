"""Directories on this machine: what is in them, what is to be left out, and the digests of files."""

from __future__ import annotations

import operator
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from blake3 import blake3

from dais.sdk.errors import Invalid
from dais.wire.paths import MAX_NAME, PathError, check_path, shown, stays_inside
from dais.wire.transfers import MAX_ENTRIES

CHUNK = 1 << 20

IGNORE_FILES = (".daisignore", ".eaiignore")
"""Files whose patterns (as in .gitignore) leave things out of every upload."""

GIT_IGNORE = ".gitignore"

NEVER_SOURCE = {".git", ".hg", ".svn", "__pycache__", ".DS_Store"}
"""Names that are no part of a source; nor are virtual environments, which hold for one machine only."""

# What an interrupted pull leaves beside the files.
_unfinished = re.compile(r"\.dais-[0-9a-f]{16}\..*", re.DOTALL)

SHOWN = 5
"""Names that a message lists."""


Stamp = tuple[int, int, int, int, int]


def stamp_of(info: os.stat_result) -> Stamp:
    """What changes whenever a file's content may have changed."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


class LocalFile(msgspec.Struct, frozen=True, gc=False):
    """A file to send: where it goes, where it is, and what it was like when it was found."""

    path: str
    location: str
    size: int
    executable: bool
    stamp: Stamp


class Sized(Protocol):
    """What has so many bytes: a local file, or an entry of a folder."""

    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=Sized)


@dataclass
class Tree:
    """What a directory holds; `directories` are the empty ones.

    `left_out` tells in words what is not carried; `no_files` are the names of those that are no file, directory,
    or link that stays inside.
    """

    files: list[LocalFile] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    no_files: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def __len__(self) -> int:
        return len(self.files) + len(self.links) + len(self.directories)


def scan(top: Path, *, source: bool = False, skip_links: bool = False) -> Tree:
    """What is to be sent of a file or directory. With `source`, .gitignore counts and NEVER_SOURCE is left out.

    Raises Invalid for names that cannot be carried and (unless `skip_links`) for links that lead outside, OSError for
    what cannot be read.
    """
    tree = Tree()
    info = top.stat()
    if stat.S_ISREG(info.st_mode):
        tree.files.append(_file(_checked(top.name), str(top), info))
        return tree
    if not stat.S_ISDIR(info.st_mode):
        raise Invalid(f"{shown(str(top))} is neither a file nor a directory", code="bad-file")
    outside: list[str] = []
    ignore = _Ignore((GIT_IGNORE, *IGNORE_FILES) if source else IGNORE_FILES)
    if source:
        ignore.add_parents(top.resolve())
    _scan(tree, str(top), ignore, outside, source=source)
    if outside and not skip_links:
        listed = ", ".join(outside[:SHOWN]) + (f" and {len(outside) - SHOWN:,} more" if len(outside) > SHOWN else "")
        raise Invalid(
            f"links lead outside of {shown(str(top))}: {listed}",
            code="link-outside",
            hint="copy what they lead to, or leave them out"
            + (" with .daisignore" if source else " with --skip-links (skip_links=True)"),
        )
    tree.left_out += [f"link {link}: it leads outside" for link in outside]
    return tree


def _scan(tree: Tree, top: str, ignore: _Ignore, outside: list[str], *, source: bool) -> None:
    pending = [""]
    while pending:
        path = pending.pop()
        location = os.path.join(top, path) if path else top  # noqa: PTH118  Path objects cost too much for a million
        with os.scandir(location) as found:
            entries = sorted(found, key=_own_name)
        if source and path and any(entry.name == "pyvenv.cfg" for entry in entries):
            tree.left_out.append(f"{path}/: a virtual environment holds for one machine only")
            continue
        some_left_out = ignore.enter(path, location, [entry.name for entry in entries])
        empty = True
        for entry in entries:
            own = entry.name
            name = f"{path}/{own}" if path else own
            is_directory = entry.is_dir(follow_symlinks=False)
            if (
                (own[0] == "." and _unfinished.fullmatch(own))
                or (source and own in NEVER_SOURCE)
                or (some_left_out and ignore.leaves_out(name, is_directory))
            ):
                continue
            empty = False
            if len(name) > MAX_NAME or not name.isascii():  # else nothing can be wrong with it
                _checked(name)
            if is_directory:
                pending.append(name)
            elif entry.is_file(follow_symlinks=False):
                tree.files.append(_file(name, entry.path, entry.stat(follow_symlinks=False)))
            elif entry.is_symlink():
                _link(tree, name, entry.path, outside)
            else:
                tree.no_files.append(name)
                tree.left_out.append(f"{name}: it is no file, directory or link")
        if len(tree) > MAX_ENTRIES:
            raise Invalid(
                f"{shown(top)} holds more than {MAX_ENTRIES:,} entries",
                code="too-many-entries",
                hint="send it in parts, pack small files together, or leave some out with .daisignore",
            )
        if empty and path:
            tree.directories.append(path)


_own_name = operator.attrgetter("name")


def _link(tree: Tree, name: str, location: str, outside: list[str]) -> None:
    target = os.readlink(location)  # noqa: PTH115  as it is written, not simplified
    if stays_inside(name, target):
        with suppress(UnicodeEncodeError):
            target.encode()
            tree.links.append((name, target))
            return
    tree.no_files.append(name)
    outside.append(f"{shown(name)} -> {shown(target)}")


def _file(path: str, location: str, info: os.stat_result) -> LocalFile:
    return LocalFile(path, location, info.st_size, bool(info.st_mode & 0o100), stamp_of(info))


def _checked(path: str) -> str:
    try:
        return check_path(path)
    except PathError as error:
        raise Invalid(str(error), code=error.code, hint="rename it, or leave it out with .daisignore") from error


class _Ignore:
    """The patterns of ignore files, each for the directory that it is in and those below; the innermost decides."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._specs: dict[str, list[tuple[int, str, Any]]] = {}
        self._outer: list[tuple[int, str, Any]] = []

    def add_parents(self, top: Path) -> None:
        """What the rest of a git repository says of a directory in it."""
        repository = next((place for place in (top, *top.parents) if (place / ".git").exists()), None)
        if repository is None:
            return
        places = [place for place in (top, *top.parents) if place.is_relative_to(repository)][::-1]
        files = [(place, place / name) for place in places[:-1] for name in self._names]
        files.insert(0, (repository, repository / ".git" / "info" / "exclude"))
        for place, file in files:
            lines = _lines(file)
            if lines:
                inner = top.relative_to(place).as_posix()
                self._outer.append((0, "" if inner == "." else f"{inner}/", _spec(lines)))

    def enter(self, path: str, location: str, names: list[str]) -> bool:
        """Read the ignore files of a directory before its names are asked for; whether any may be left out."""
        parent = path.rpartition("/")[0]
        specs = self._specs.get(parent, []) if path else self._outer
        lines = [line for name in self._names if name in names for line in _lines(Path(location, name))]
        if lines:
            specs = [*specs, (len(path) + 1 if path else 0, "", _spec(lines))]
        self._specs[path] = specs
        return bool(specs)

    def leaves_out(self, path: str, is_directory: bool) -> bool:
        """Whether a name in a directory that was entered is to be left out."""
        for start, prefix, spec in reversed(self._specs[path.rpartition("/")[0]]):
            verdict = spec.check_file(f"{prefix}{path[start:]}{'/' if is_directory else ''}").include
            if verdict is not None:
                return bool(verdict)
        return False


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return []


def _spec(lines: list[str]) -> Any:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(lines)


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """`blake3:` and 64 hexadecimal digits."""
    return f"blake3:{blake3(data).hexdigest()}"


def digest_of_file(location: str | Path) -> tuple[str, int]:
    """A file's digest and size. Raises OSError."""
    hasher, size = blake3(), 0
    for piece in _pieces(location):
        hasher.update(piece)
        size += len(piece)
    return f"blake3:{hasher.hexdigest()}", size


def _pieces(location: str | Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK))
    with open(location, "rb", buffering=0) as file:  # noqa: PTH123  locations are text
        while got := file.readinto(buffer):
            yield buffer[:got]


def read_at(location: str, offset: int, size: int) -> bytes:
    """Bytes of a file from an offset. Raises OSError."""
    with open(location, "rb", buffering=0) as file:  # noqa: PTH123
        data = bytearray()
        while len(data) < size and (piece := os.pread(file.fileno(), size - len(data), offset + len(data))):
            data += piece
    return bytes(data)


def batches(files: Iterable[S], most_bytes: int, most_files: int) -> Iterator[list[S]]:
    """Files in groups that fit one request each."""
    batch: list[S] = []
    size = 0
    for file in files:
        if batch and (size + file.size > most_bytes or len(batch) >= most_files):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
