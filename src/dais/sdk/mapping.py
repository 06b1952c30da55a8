"""From local files and directories to the paths that they get among versioned files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dais.sdk.errors import Invalid
from dais.sdk.local_files import LocalFile, scan, stamp_of
from dais.wire.lake import lake_directory, lake_path
from dais.wire.paths import PathError, shown

Pairs = Mapping[str, str] | Iterable[tuple[str | Path, str]]
"""Local paths and the paths that they get."""


class FileMapping(NamedTuple):
    """What goes where: `files_to_upload` pairs of a local path and a remote one, `files_ignored` local paths."""

    files_to_upload: list[tuple[str, str]]
    files_ignored: list[str]


def convert_to_file_mapping(
    local_paths: Sequence[str | Path], remote_path: str, ignored_paths: Sequence[str | Path] = ()
) -> FileMapping:
    """Map local files and directories into a remote directory, which ends with `/`.

    A file goes under its own name, a directory's content below the remote directory, as it lies there:
    `convert_to_file_mapping(["/a/b/3.txt", "/a/b/c/"], "/allen/")` gives `/allen/3.txt`, `/allen/1.txt`,
    `/allen/d/2.txt`. One file may also be given a path that is no directory. Links, and what `.daisignore` files leave
    out, are ignored. Raises Invalid, OSError.
    """
    found, ignored = map_files(local_paths, remote_path, ignored_paths)
    return FileMapping([(file.location, file.path) for file in found], ignored)


def map_files(
    local_paths: Sequence[str | Path], remote_path: str, ignored_paths: Sequence[str | Path] = ()
) -> tuple[list[LocalFile], list[str]]:
    """The same as files that are ready to be sent."""
    single = not remote_path.endswith("/")
    if single and (len(local_paths) != 1 or Path(local_paths[0]).is_dir()):
        raise Invalid(
            f"{shown(remote_path)} is to take several files, but is no directory",
            code="bad-path",
            hint=f"end it with a slash: {remote_path}/",
        )
    leave_out = [Path(path).absolute() for path in ignored_paths]
    found: list[LocalFile] = []
    ignored: list[str] = []
    try:
        top = remote_path if single else lake_directory(remote_path)
        for local in local_paths:
            place = Path(local)
            tree = scan(place, skip_links=True)
            ignored += [str(place / path) for path, _ in tree.links]
            ignored += [str(place / path) for path in tree.no_files]
            for file in tree.files:
                if leave_out and _is_below(Path(file.location).absolute(), leave_out):
                    ignored.append(file.location)
                    continue
                path = lake_path(top if single else f"{top}{file.path}")
                found.append(LocalFile(path, file.location, file.size, file.executable, file.stamp))
    except PathError as error:
        raise Invalid(str(error), code=error.code) from error
    return found, ignored


def _is_below(where: Path, places: list[Path]) -> bool:
    return any(where == one or one in where.parents for one in places)


def local_files(pairs: Pairs) -> list[LocalFile]:
    """The local files of a mapping, with the paths that they get. Raises Invalid for what is no file, OSError."""
    import stat

    found: list[LocalFile] = []
    for local, remote in pairs.items() if isinstance(pairs, Mapping) else pairs:
        info = Path(local).stat()
        if not stat.S_ISREG(info.st_mode):
            raise Invalid(
                f"{shown(str(local))} is no file",
                code="not-a-file",
                hint="a directory is sent with `upload_tree`, or mapped by `convert_to_file_mapping`",
            )
        name = Path(local).name
        try:
            path = lake_path(f"{remote}{name}" if remote.endswith("/") else remote)
        except PathError as error:
            raise Invalid(str(error), code=error.code) from error
        found.append(LocalFile(path, str(local), info.st_size, bool(info.st_mode & 0o100), stamp_of(info)))
    return found
