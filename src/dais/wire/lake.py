"""Versioned files and file sets: how they are named, what is sent, what is answered.

A file is `/my_data/test.json`, its third version `/my_data/test.json:3`. A file set is `shakespeare.texts`, its second
version `shakespeare.texts:2`; among files it is written with an `@`. A directory ends with `/`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

import msgspec

from dais.wire.answers import Answer
from dais.wire.paths import MAX_NAME, PathError, shown

MAX_PATH = 1024
"""Bytes of the whole path of a file."""

MAX_COMMIT = 100_000
"""Files of one commit, and entries of a file set."""

LARGE_CONTENT = 16 << 20
"""Bytes from which on a content is cut into chunks."""

AVERAGE_CHUNK = 2 << 20
MIN_CHUNK = 1 << 20
MAX_CHUNK = 4 << 20
"""Bytes of a chunk of a large content; where it is cut is decided by the content alone."""

_numbered = re.compile(r"(.*):([0-9]{1,19})", re.DOTALL)
_like_a_version = re.compile(r".*:[0-9]+", re.DOTALL)
# What most paths look like: nothing in them is wrong, and nothing of it can be written in another way.
_plain = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[!-.0-9;-~ ]{1,200})+")
_set_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MAX_VERSION = 2**31 - 1


class FileRef(msgspec.Struct, frozen=True):
    """A file, or one version of it; None is the latest."""

    path: str
    version: int | None = None

    def __str__(self) -> str:
        return self.path if self.version is None else f"{self.path}:{self.version}"


class SetRef(msgspec.Struct, frozen=True):
    """A file set, or one version of it; None is the latest."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


class DirectoryRef(msgspec.Struct, frozen=True):
    """A directory with all that is below it. `path` begins and ends with `/`."""

    path: str

    def __str__(self) -> str:
        return self.path


Entity = FileRef | SetRef | DirectoryRef


def lake_path(text: str) -> str:
    """A path as people write it in its one form: with a `/` at its beginning, in Unicode's form NFC. Raises PathError.

    Refused: empty names, `.`, `..`, control characters, what ends like a version (`:3`), text that is no UTF-8, more
    than 1,024 bytes or 255 a name.
    """
    if len(text) <= MAX_PATH and _plain.fullmatch(text):
        return text
    path = _checked(text)
    if path.endswith("/"):
        raise PathError("bad-path", f"{shown(text)} is a directory, for it ends with /; name a file in it", text)
    if _like_a_version.fullmatch(path):
        raise PathError(
            "bad-path", f"{shown(text)}: no name may end with : and digits, which mean a version; rename it", text
        )
    return path


def lake_directory(text: str) -> str:
    """The path of a directory, between two `/`; "" and "/" are the top. Raises PathError."""
    return _checked(f"{text.rstrip('/')}/" if text.strip("/") else "/")


def parse_file(text: str) -> FileRef:
    """`/a/b.txt` or `/a/b.txt:3`. Raises PathError."""
    path, version = _split(text)
    return FileRef(lake_path(path), version)


def parse_set(text: str) -> SetRef:
    """`name` or `name:2`. Raises PathError `bad-name`."""
    name, version = _split(text)
    if not _set_name.fullmatch(name):
        raise PathError(
            "bad-name",
            f"{shown(text)} names no file set; a name has up to 128 letters of A-Z, digits, `.`, `_` and `-`, and "
            "begins with a letter or digit; a version follows a colon, as texts:2",
            text,
        )
    return SetRef(name, version)


def parse_entity(text: str) -> Entity:
    """`@set`, `@set:2`, `/a/b.txt`, `/a/b.txt:3`, or a directory `/a/`. Raises PathError."""
    if text.startswith("@"):
        return parse_set(text[1:])
    if text.endswith("/"):
        return DirectoryRef(lake_directory(text))
    return parse_file(text)


def parent_of(path: str) -> str:
    """The directory that a file or directory lies in."""
    return path[: path.rstrip("/").rindex("/") + 1]


def _split(text: str) -> tuple[str, int | None]:
    found = _numbered.fullmatch(text)
    if found is None:
        return text, None
    version = int(found[2])
    if not 1 <= version <= _MAX_VERSION:
        raise PathError(
            "bad-version",
            f"{shown(text)} names version {version}; versions count 1, 2, 3; leave it out for the latest",
            text,
        )
    return found[1], version


def _checked(text: str) -> str:
    """Whole, beginning with `/`, and perhaps ending with one."""
    if not text:
        raise PathError("empty-path", "a path is empty; name a file, as /data/a.txt", text)
    try:
        path = unicodedata.normalize("NFC", text if text.startswith("/") else f"/{text}")
        size = len(path.encode())
    except UnicodeEncodeError as error:
        raise PathError("not-utf8", f"{shown(text)} is no UTF-8 text; rename it", text) from error
    if size > MAX_PATH:
        raise PathError("path-too-long", f"{shown(text)} has {size:,} bytes; a path has at most {MAX_PATH:,}", text)
    if not path.isprintable() and any(unicodedata.category(character) == "Cc" for character in path):
        raise PathError("control-character", f"{shown(text)} holds a control character; rename it", text)
    parts = path[1:].removesuffix("/").split("/") if path != "/" else []
    for part in parts:
        if part == "..":
            raise PathError("path-outside", f"{shown(text)} leads upward with `..`; write where it leads", text)
        if part in ("", "."):
            raise PathError(
                "bad-path", f"{shown(text)} is not in its simplest form; leave out empty names and `.`", text
            )
        if len(part) > MAX_NAME // 4 and len(part.encode()) > MAX_NAME:
            raise PathError("name-too-long", f"the name {shown(part)} has more than {MAX_NAME} bytes", text)
    return path


class NewVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A file to commit. Its content, of this digest, has been stored before."""

    path: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    executable: bool = False


class Commit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that get their next version together, or none of them. `always`: also those whose content is unchanged."""

    files: list[NewVersion]
    account: str | None = None
    always: bool = False


class FileVersion(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a file. `digest` is its content's, `blake3:` and 64 hexadecimal digits."""

    id: str
    path: str
    version: int
    digest: str
    size: int
    executable: bool = False
    created_by: str = ""
    created_at: str = ""


class Committed(Answer, frozen=True, kw_only=True, gc=False):
    """What a commit did with a file: `state` is `new`, or `same` where the latest version has this content already."""

    path: str
    version: int
    state: Literal["new", "same"]
    id: str


class LakeEntry(Answer, frozen=True, kw_only=True):
    """What a directory holds: a file with its latest version, or a directory, whose path ends with `/`."""

    path: str
    is_dir: bool
    version: int | None = None
    size: int | None = None
    digest: str | None = None
    created_by: str | None = None
    created_at: str | None = None


class Removed(Answer, frozen=True, kw_only=True):
    """What was removed."""

    name: str
    versions: int


class NewFileSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file set to make of files (`/a:3`), directories (`/a/`) and other sets (`@set:1`).

    `force`: of two versions of one file the one named last is taken. `always`: a new version also of what is the same.
    """

    name: str
    entities: list[str]
    account: str | None = None
    force: bool = False
    always: bool = False


class FileSetVersion(Answer, frozen=True, kw_only=True):
    """One version of a file set. `made_by` says what made it: `upload`, or `job` with its id."""

    id: str
    name: str
    version: int
    urn: str
    account: str
    account_id: str
    files: int
    size: int
    digest: str
    made_by: str
    made_by_id: str
    parents: list[str] = msgspec.field(default_factory=list)
    created_by: str
    created_at: str
    state: str = ""


class SealedFolder(Answer, frozen=True, kw_only=True):
    """The version of a folder that was made, or (`state` is `same`) was there; links and their like are left out."""

    fileset: FileSetVersion
    left_out: list[str]


class FileChange(Answer, frozen=True, kw_only=True):
    """A difference between two versions of file sets: `change` is `added`, `removed` or `changed`."""

    change: Literal["added", "removed", "changed"]
    path: str
    before: int | None = None
    after: int | None = None
    size_before: int | None = None
    size_after: int | None = None


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a large content: its digest and its bytes."""

    digest: str
    size: int


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A large content as the chunks that make it, in order. They have been stored before."""

    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    chunks: list[Chunk]


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that are asked for, as `/a` or `/a:3`."""

    files: list[str]
    account: str | None = None
