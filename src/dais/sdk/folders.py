"""Folders: mutable directory trees that jobs mount."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import msgspec

from dais.sdk.errors import Conflict, Invalid, NotFound
from dais.sdk.flow import (
    Asynchronous,
    Blocking,
    Emit,
    Flow,
    Items,
    Query,
    Request,
    Resource,
    listing,
    operation,
    quoted,
    together,
    work,
)
from dais.sdk.local_files import Tree, scan
from dais.sdk.pages import pages
from dais.sdk.placing import Target
from dais.sdk.progress import Meter, OnProgress, Transferred
from dais.sdk.pulling import Puller, entries
from dais.sdk.pushing import Pusher
from dais.sdk.uploading import PATIENCE
from dais.wire.answers import Entry, Folder, Page
from dais.wire.lake import SealedFolder
from dais.wire.paths import PathError, clean_path, shown
from dais.wire.transfers import Move, NewDirectory, NewFolder

AT_ONCE = 4
"""Transfers that run side by side."""

COPYING = 3600.0
"""Seconds for which the server may copy a folder."""


class FoldersApi(Resource):
    """Operations on folders. `folder` is an id, a full name `org.account.name`, or a name in the client's account.

    Paths inside folders are relative to their roots, with `/`. Every call raises `dais.sdk.errors.DaisError`; transfers
    raise OSError for what cannot be read or written here.
    """

    @operation
    def create(
        self,
        name: str,
        directory: str | Path | None = None,
        *,
        account: str | None = None,
        skip_links: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[Folder]:
        """Make a folder; with the content of a local directory, which appears at once when all of it has come.

        An upload that was interrupted goes on when the call is repeated. Raises Conflict when the name is taken.
        """
        where = account or self._client.account
        if directory is None:
            return (yield from self._create(NewFolder(name=name, account=where)))
        top = Path(directory)
        tree = yield from work(lambda: scan(top, skip_links=skip_links))
        staging = hashlib.sha256(f"{platform.node()}:{top.resolve()}".encode("utf-8", "surrogateescape")).hexdigest()
        staged = yield from self._create(NewFolder(name=name, account=where, staging=staging))
        yield from self._remove_strangers(staged.id, tree)
        yield from self._push(staged.id, tree, "", progress)
        request = Request("POST", f"/v1/folders/{staged.id}/publish", repeatable=True)
        return (yield from self.call(request, Folder))

    @operation
    def copy(self, folder: str, name: str, *, account: str | None = None) -> Flow[Folder]:
        """Make a folder with the content that another one has now; `NAME@BRANCH` is a branch of the folder NAME.

        Files share their room on the disk where its file system can. Raises NotFound, Conflict when the name is taken.
        """
        body = NewFolder(name=name, account=account or self._client.account, copy_of=folder)
        return (yield from self._create(body, timeout=COPYING))

    @operation
    def seal(self, folder: str) -> Flow[SealedFolder]:
        """Make a version of a folder: the next one of the file set that is called as it, of the files in it now.

        What is the same as the latest version makes no new one. Raises NotFound, Forbidden, Invalid for what no file
        set can hold.
        """
        path = f"/v1/folders/{quoted(folder)}/seal"
        return (yield from self.call(Request("POST", path, self._account(), timeout=COPYING), SealedFolder))

    @operation
    def get(self, folder: str, *, measured: bool = False) -> Flow[Folder]:
        """One folder; with `measured`, its files and bytes are counted. Raises NotFound."""
        return (yield from self._get(folder, measured=measured))

    @listing
    def list(self, account: str | None = None, limit: int | None = None) -> Items[Folder]:
        """The folders that you may see, by name; of one account if one is given."""
        yield from pages(self, "/v1/folders", {"account": account}, Folder, limit)

    @operation
    def remove(self, folder: str) -> Flow[None]:
        """Remove a folder with all that is in it. Raises NotFound."""
        yield from self.send(Request("DELETE", f"/v1/folders/{quoted(folder)}", self._account()))

    @listing
    def entries(self, folder: str, path: str = "", *, recursive: bool = False) -> Items[Entry]:
        """What is in a directory of a folder, or with `recursive` below it; a file lists itself. Raises NotFound."""
        cursor: str | None = None
        while True:
            query: Query = {"path": _clean(path), "recursive": recursive, "cursor": cursor, **self._account()}
            request = Request("GET", f"/v1/folders/{quoted(folder)}/entries", query)
            page = yield from self.call(request, Page[Entry])
            for entry in page.items:
                yield Emit(entry)
            cursor = page.cursor
            if cursor is None:
                return

    @operation
    def remove_entries(self, folder: str, path: str, *, recursive: bool = False) -> Flow[None]:
        """Remove a file, a link or a directory; with something in it only with `recursive`. "." empties the folder.

        Raises NotFound, Conflict.
        """
        query = {"path": _clean(path), "recursive": recursive, **self._account()}
        yield from self.send(Request("DELETE", f"/v1/folders/{quoted(folder)}/entries", query))

    @operation
    def make_directory(self, folder: str, path: str) -> Flow[Entry]:
        """Make a directory in a folder, and those above it that are missing. Raises NotFound, Conflict."""
        body = msgspec.json.encode(NewDirectory(path=_clean(path)))
        request = Request("POST", f"/v1/folders/{quoted(folder)}/directories", self._account(), body)
        return (yield from self.call(request, Entry))

    @operation
    def move_entry(self, folder: str, source: str, target: str) -> Flow[Entry]:
        """Give a file, a link or a directory another path in its folder; nothing is replaced.

        Raises NotFound, Conflict `already-there`.
        """
        body = msgspec.json.encode(Move(source=_clean(source), target=_clean(target)))
        request = Request("POST", f"/v1/folders/{quoted(folder)}/move", self._account(), body)
        return (yield from self.call(request, Entry))

    @operation
    def push(
        self,
        folder: str,
        local: str | Path,
        remote: str = "",
        *,
        skip_links: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[Transferred]:
        """Send a local directory's content into the directory `remote` of a folder, or a file to the path `remote`.

        A file goes under its own name when `remote` is "" or ends with `/`. What is there with the same content is
        skipped; each file is verified and appears whole; repeated, an interrupted push goes on. Nothing is removed.
        Raises NotFound, Invalid `link-outside` unless `skip_links`.
        """
        top = Path(local)
        path = _clean(remote)
        tree = yield from work(lambda: scan(top, skip_links=skip_links))
        if top.is_file():
            name = tree.files[0].path
            renamed = name if not path or remote.endswith("/") else path.rpartition("/")[2]
            path = path if not path or remote.endswith("/") else path.rpartition("/")[0]
            (only,) = tree.files
            tree.files = [msgspec.structs.replace(only, path=renamed)] if renamed != name else [only]
        found = yield from self._get(folder)
        return (yield from self._push(found.id, tree, path, progress))

    @operation
    def pull(
        self, folder: str, local: str | Path = ".", remote: str = "", *, progress: OnProgress | None = None
    ) -> Flow[Transferred]:
        """Receive the directory `remote` of a folder into a local directory, or the file `remote` to a local path.

        What is here with the same content is skipped; each file is verified and appears whole; repeated, an
        interrupted pull goes on. Nothing is removed. Raises NotFound, Invalid `in-the-way`.
        """
        found = yield from self._get(folder)
        path = _clean(remote)
        meter = Meter(progress)
        page = yield from entries(self, found.id, path)
        if len(page.items) == 1 and page.items[0].path == path and page.items[0].kind != "directory":
            return (yield from self._pull_file(found.id, page.items[0], local, meter))
        target = Target(Path(local))
        yield from work(lambda: target.directory(""))
        puller = Puller(self, found.id, path, target, meter)
        while True:
            yield from together(puller.flows(page.items), AT_ONCE)
            if page.cursor is None:
                return meter.result(sorted(puller.left_out))
            page = yield from entries(self, found.id, path, page.cursor)

    def _pull_file(self, folder_id: str, entry: Entry, local: str | Path, meter: Meter) -> Flow[Transferred]:
        if entry.kind != "file":
            raise Invalid(f"{shown(entry.path)} is no file but a {entry.kind}", code="not-a-file")
        into = str(local).endswith("/") or (yield from work(lambda: Path(local).is_dir()))
        place = Path(local) / entry.path.rpartition("/")[2] if into else Path(local)
        yield from work(lambda: place.parent.mkdir(parents=True, exist_ok=True))
        puller = Puller(self, folder_id, "", Target(place.parent), meter)
        yield from puller.single(entry, place)
        return meter.result(puller.left_out)

    def _push(self, folder_id: str, tree: Tree, prefix: str, progress: OnProgress | None) -> Flow[Transferred]:
        meter = Meter(progress)
        meter.expect(len(tree.files), tree.size)
        yield from together(Pusher(self, folder_id, prefix, meter).flows(tree), AT_ONCE)
        return meter.result(tree.left_out)

    def _create(self, body: NewFolder, timeout: float | None = None) -> Flow[Folder]:
        request = Request("POST", "/v1/folders", body=msgspec.json.encode(body), timeout=timeout)
        try:
            return (yield from self.call(request, Folder))
        except Conflict as error:
            if error.code == "folder-exists" and error.hint is None:
                error.hint = f"`dais folder push {body.name} DIR` puts files into it"
            raise

    def _get(self, folder: str, *, measured: bool = False) -> Flow[Folder]:
        query = {"measured": measured or None, **self._account()}
        request = Request("GET", f"/v1/folders/{quoted(folder)}", query, timeout=PATIENCE * 5 if measured else None)
        return (yield from self.call(request, Folder))

    def _remove_strangers(self, folder_id: str, tree: Tree) -> Flow[None]:
        """Remove what an earlier, interrupted upload brought and is not here any more."""
        wanted = {file.path for file in tree.files} | {path for path, _ in tree.links} | set(tree.directories)
        parents = {str(parent) for path in wanted for parent in Path(path).parents}
        cursor: str | None = None
        strangers: list[str] = []
        while True:
            page = yield from entries(self, folder_id, "", cursor)
            strangers += [entry.path for entry in page.items if entry.path not in wanted and entry.path not in parents]
            cursor = page.cursor
            if cursor is None:
                break
        for path in strangers:
            try:
                query: Query = {"path": path, "recursive": True}
                yield from self.send(Request("DELETE", f"/v1/folders/{folder_id}/entries", query))
            except NotFound:
                continue  # it went with the directory above it

    def _account(self) -> dict[str, str | None]:
        return {"account": self._client.account}


class Folders(FoldersApi, Blocking):
    """Folders, blocking."""


class AsyncFolders(FoldersApi, Asynchronous):
    """Folders, on asyncio."""


def _clean(path: str) -> str:
    """A path in a folder as people write it: `/a/b/` and `./a/b` are `a/b`. Raises Invalid."""
    try:
        return clean_path(path.lstrip("/"))
    except PathError as error:
        raise Invalid(str(error), code=error.code) from error
