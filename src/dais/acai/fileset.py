"""File sets, and lists of files that become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dais.acai.credentials import client
from dais.acai.errors import AcaiError
from dais.acai.file import File


class FilesList(list[tuple[str, str]]):
    """Pairs of a local and a remote path."""

    def as_new_file_set(self, file_set_name: str) -> dict[str, Any]:
        """Make a file set of what was uploaded."""
        return FileSet.create_file_set(file_set_name, [remote for _, remote in self])

    def upload(self) -> FilesList:
        """Upload all of it; the remote paths with their versions."""
        return File.upload(self)


class FileSet:
    """Versions of sets of files: `name` is the latest, `name:2` the second."""

    @staticmethod
    def create_file_set(file_set_name: str, remote_entities: Sequence[str]) -> dict[str, Any]:
        """Make a set of files (`/a.txt`, `/a.txt:3`) and other sets (`@set`, `@set:1`): `{"id", "files"}`."""
        if ":" in file_set_name:
            raise AcaiError(f"{file_set_name!r} names a version; a new one is given its number")
        if isinstance(remote_entities, str):
            raise AcaiError("remote_entities is to be a list of files and file sets")
        made = client().filesets.create(file_set_name, list(remote_entities), always=True)
        return FileSet.list_file_set_content(f"{made.name}:{made.version}")

    @staticmethod
    def list_file_set_content(vague_name: str) -> dict[str, Any]:
        """All files of a set: `{"id": "texts:1", "files": ["data/train.json:2"]}`."""
        name = FileSet.resolve_vague_name(vague_name)["id"]
        files = [f"{one.path.removeprefix('/')}:{one.version}" for one in client().filesets.files(name)]
        return {"id": name, "files": files}

    @staticmethod
    def resolve_vague_name(vague_name: str) -> dict[str, Any]:
        """The version that a name means: `{"id": "texts:2"}`."""
        found = client().filesets.get(vague_name.removeprefix("@"))
        return {"id": f"{found.name}:{found.version}"}

    @staticmethod
    def download_file_set(vague_name: str, mount_point: str | None = None, force: bool = False) -> None:
        """Download a set below a directory that is there (the working directory): `/d/2.txt` to `MOUNT/d/2.txt`.

        What is in the way is refused, unless `force`.
        """
        client().filesets.download(vague_name.removeprefix("@"), mount_point or ".", force=force)

    @staticmethod
    def list_file_set_versions(file_set_name: str) -> list[str]:
        """`["texts:2", "texts:1"]`, the newest first."""
        return [f"{one.name}:{one.version}" for one in client().filesets.versions(file_set_name.removeprefix("@"))]

    @staticmethod
    def list_file_sets() -> list[str]:
        """The names of all sets of the project, with their latest versions."""
        return [f"{one.name}:{one.version}" for one in client().filesets.ls()]
