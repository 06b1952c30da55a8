"""Files of the data lake."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dais.acai.credentials import client
from dais.acai.errors import AcaiError
from dais.sdk.mapping import convert_to_file_mapping
from dais.wire.lake import parse_file

if TYPE_CHECKING:
    from dais.acai.fileset import FilesList


class UploadFileMapping(NamedTuple):
    """What goes where, and what is left out."""

    files_to_upload: FilesList
    files_ignored: list[str]


class File:
    """Upload, download and list files. Paths are `/my_data/a.txt`, versions `/my_data/a.txt:3`."""

    @staticmethod
    def list_dir(directory: str) -> list[dict[str, Any]]:
        """What is in a directory: `{"path", "version", "is_dir"}` of each; a directory has version -1."""
        return [
            {"path": one.path, "version": -1 if one.is_dir else one.version, "is_dir": one.is_dir}
            for one in client().files.ls(directory)
        ]

    @staticmethod
    def upload(
        local_to_remote: Mapping[str, str] | list[tuple[str, str]], results: list[tuple[str, str]] | None = None
    ) -> FilesList:
        """Upload files; `[(local, "remote:version"), …]`, which is added to `results`, too.

        Each gets a new version; all at once, or none. A remote path that is there twice gets two versions.
        """
        from dais.acai.fileset import FilesList

        pairs = list(local_to_remote.items() if isinstance(local_to_remote, Mapping) else local_to_remote)
        done = FilesList()
        if pairs:
            remotes = [remote for _, remote in pairs]
            if len(set(remotes)) == len(remotes):
                committed = client().files.upload(pairs, always=True)
            else:
                committed = [client().files.upload([pair], always=True)[0] for pair in pairs]
            done += [(str(pair[0]), f"{one.path}:{one.version}") for pair, one in zip(pairs, committed, strict=True)]
        if results is not None:
            results += done
        return done

    @staticmethod
    def download(remote_to_local: Mapping[str, str]) -> None:
        """Download files, `{remote: local}`; a local path that is a directory gets the file under its own name."""
        client().files.download(dict(remote_to_local))

    @staticmethod
    def convert_to_file_mapping(
        local_paths: Sequence[str], remote_path: str, ignored_paths: Sequence[str] | None = None
    ) -> UploadFileMapping:
        """Map local files and directories to remote paths; a remote directory ends with `/`.

        `convert_to_file_mapping(["/a/b/3.txt", "/a/b/c/"], "/allen/")` maps to `/allen/3.txt`, `/allen/1.txt`,
        `/allen/d/2.txt`. Second are those that cannot be read, that are links, and the `ignored_paths`.
        """
        from dais.acai.fileset import FilesList

        if isinstance(local_paths, str):
            raise AcaiError("local_paths is to be a list of paths")
        readable = [path for path in local_paths if os.access(path, os.R_OK)]
        missing = [path for path in local_paths if path not in readable]
        if not readable:
            return UploadFileMapping(FilesList(), missing)
        found = convert_to_file_mapping(readable, remote_path, ignored_paths or ())
        pairs, left = FilesList(), [*missing, *found.files_ignored]
        for local, remote in found.files_to_upload:
            if os.access(local, os.R_OK):
                pairs.append((local, remote))
            else:
                left.append(local)
        return UploadFileMapping(pairs, left)

    @staticmethod
    def list_file_versions(file_name: str) -> list[dict[str, Any]]:
        """The versions of a file, the newest first."""
        return [
            {"id": f"{one.path}:{one.version}", "path": one.path, "version": one.version, "size": one.size}
            for one in client().files.versions(file_name)
        ]

    @staticmethod
    def resolve_vague_path(vague_path: str) -> dict[str, Any]:
        """The version that a path means: `{"id": "/a.txt:3", "is_dir": False}`, or that it is a directory."""
        from dais.sdk.errors import NotFound

        if not vague_path.endswith("/"):
            try:
                found = client().files.get(str(parse_file(vague_path)))
            except NotFound:
                pass
            else:
                return {"id": f"{found.path}:{found.version}", "is_dir": False}
        next(iter(client().files.ls(vague_path, limit=1)), None)
        return {"id": vague_path, "is_dir": True}
