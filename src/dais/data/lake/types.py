"""What others see of the data lake. All frozen; instants are µs since the epoch, sizes bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from dais.kit.database import UnitOfWork

Users = Callable[[UnitOfWork, Sequence[str]], list[str]]
"""Names of what uses versions, by their ids, beside the file sets; for those who may not be known here."""


class LakeFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One version of a file. `id` is the version's."""

    id: str
    file_id: str
    path: str
    version: int
    digest: str
    size: int
    executable: bool
    created_by: str
    created_at: int

    @property
    def name(self) -> str:
        """The path with the version."""
        return f"{self.path}:{self.version}"


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of files; `path` ends with `/`."""

    path: str


class CommittedFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a commit did with a file; unless `new` the latest version had this content already."""

    id: str
    path: str
    version: int
    new: bool


class SetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a file set. `new` is False where a set that was to be made was there already."""

    id: str
    set_id: str
    name: str
    version: int
    account: str
    account_id: str
    organization_id: str
    files: int
    size: int
    digest: str
    made_by: str
    made_by_id: str
    created_by: str
    created_at: int
    parents: tuple[str, ...] = ()
    new: bool = False

    @property
    def full_name(self) -> str:
        """The name with the version."""
        return f"{self.name}:{self.version}"
