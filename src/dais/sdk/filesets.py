"""File sets: named, versioned lists of file versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dais.sdk.errors import Invalid, NotFound
from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted, work
from dais.sdk.getting import Getter, at_mount_point
from dais.sdk.pages import pages
from dais.sdk.progress import Meter, OnProgress, Transferred
from dais.sdk.uploading import PATIENCE
from dais.wire.answers import Page
from dais.wire.lake import FileChange, FileSetVersion, FileVersion, NewFileSet, Removed
from dais.wire.paths import shown


class FileSetsApi(Resource):
    """File sets of an account: the one given, else the client's. A set is `name`, its second version `name:2`."""

    @operation
    def create(
        self,
        name: str,
        entities: Sequence[str],
        *,
        account: str | None = None,
        force: bool = False,
        always: bool = False,
    ) -> Flow[FileSetVersion]:
        """Make the next version of a set of files `/a:3`, directories `/a/` and other sets `@name:1`.

        Without versions the latest are taken. `state` of the answer is `new`, or `same` where the latest version holds
        just that already (unless `always`). Raises NotFound, Forbidden, Conflict `path-conflict` for two versions of a
        file; with `force` the one named last is taken.
        """
        where = account or self._client.account
        body = NewFileSet(name=name, entities=list(entities), account=where, force=force, always=always)
        request = Request(
            "POST", "/v1/filesets", {}, msgspec.json.encode(body), repeatable=not always, timeout=PATIENCE
        )
        return (yield from self.call(request, FileSetVersion))

    @listing
    def ls(self, *, account: str | None = None, limit: int | None = None) -> Items[FileSetVersion]:
        """The sets by name, each with its latest version."""
        yield from pages(self, "/v1/filesets", self._account(account), FileSetVersion, limit)

    @operation
    def get(self, name: str, *, account: str | None = None) -> Flow[FileSetVersion]:
        """A version of a set. Raises NotFound."""
        return (yield from self._get(name, account))

    @listing
    def files(self, name: str, *, account: str | None = None, limit: int | None = None) -> Items[FileVersion]:
        """What a version of a set holds, by path. Raises NotFound."""
        yield from pages(self, f"/v1/filesets/{quoted(name)}/files", self._account(account), FileVersion, limit)

    @listing
    def versions(self, name: str, *, account: str | None = None, limit: int | None = None) -> Items[FileSetVersion]:
        """The versions of a set, the newest first. Raises NotFound."""
        yield from pages(self, f"/v1/filesets/{quoted(name)}/versions", self._account(account), FileSetVersion, limit)

    @operation
    def diff(self, before: str, after: str, *, account: str | None = None) -> Flow[list[FileChange]]:
        """What is added, removed and changed from one version to another, of the same set or not. Raises NotFound."""
        query = {"to": after, **self._account(account)}
        request = Request("GET", f"/v1/filesets/{quoted(before)}/diff", query, timeout=PATIENCE)
        return (yield from self.call(request, Page[FileChange])).items

    @operation
    def download(
        self,
        name: str,
        mount_point: str | Path = ".",
        *,
        account: str | None = None,
        below: str = "",
        force: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[Transferred]:
        """Download a version of a set below a directory that is there: `/allen/d/2.txt` to `MOUNT/allen/d/2.txt`.

        With `below="/allen"` only what is in that directory, to `MOUNT/d/2.txt`; with a file, it alone.

        What is there and is not the same is left alone, and refused with `in-the-way`, unless `force`. Links are not
        followed. Raises NotFound, Invalid.
        """
        mount = Path(mount_point)
        if not (yield from work(mount.is_dir)):
            raise Invalid(f"there is no directory {shown(str(mount))}", code="not-a-directory", hint="make it first")
        where = account or self._client.account
        found = yield from self._all_files((yield from self._get(name, where)), where)
        meter = Meter(progress)
        names = [(file, seen) for file in found if (seen := _below(file.path, below.rstrip("/"))) is not None]
        if below and found and not names:
            raise NotFound(f"there is no {shown(below)} in {name}", code="no-such-file", status=404)
        placed = yield from work(lambda: at_mount_point(names, mount, force=force))
        yield from Getter(self, where, meter).get(placed)
        return meter.result([])

    @operation
    def rm(self, name: str, *, account: str | None = None) -> Flow[Removed]:
        """Remove a version of a set, or without one all of them; files stay. Raises NotFound, Conflict `in-use`."""
        request = Request("DELETE", f"/v1/filesets/{quoted(name)}", self._account(account))
        return (yield from self.call(request, Removed))

    def _get(self, name: str, account: str | None) -> Flow[FileSetVersion]:
        request = Request("GET", f"/v1/filesets/{quoted(name)}", self._account(account))
        return (yield from self.call(request, FileSetVersion))

    def _all_files(self, found: FileSetVersion, account: str | None) -> Flow[list[FileVersion]]:
        """All that one version holds, also when a newer one is made meanwhile."""
        path = f"/v1/filesets/{quoted(f'{found.name}:{found.version}')}/files"
        files: list[FileVersion] = []
        cursor: str | None = None
        while True:
            query = {"limit": 1000, "cursor": cursor, "account": account}
            page = yield from self.call(Request("GET", path, query), Page[FileVersion])
            files += page.items
            cursor = page.cursor
            if cursor is None:
                return files

    def _account(self, account: str | None) -> dict[str, str | None]:
        return {"account": account or self._client.account}


def _below(path: str, directory: str) -> str | None:
    """A path as seen from a directory; the name alone of a file that is meant itself. None for what lies elsewhere."""
    if path == directory:
        return path.rpartition("/")[2]
    return path[len(directory) :] if path.startswith(f"{directory}/") else None


class FileSets(FileSetsApi, Blocking):
    """File sets, blocking."""


class AsyncFileSets(FileSetsApi, Asynchronous):
    """File sets, on asyncio."""
