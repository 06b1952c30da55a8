"""Versioned files: nothing is overwritten, an upload gives each file its next version, all of them or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from dais.sdk.contents import ContentSender
from dais.sdk.digest_cache import DigestCache
from dais.sdk.errors import Conflict, Invalid
from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Query, Request, Resource, listing, operation, work
from dais.sdk.getting import Getter, at_mount_point
from dais.sdk.local_files import LocalFile
from dais.sdk.mapping import Pairs, local_files, map_files
from dais.sdk.pages import pages
from dais.sdk.progress import Meter, OnProgress, Transferred
from dais.sdk.uploading import ATTEMPTS, PATIENCE
from dais.wire.answers import Page
from dais.wire.lake import MAX_COMMIT, Commit, Committed, FileVersion, LakeEntry, Removed, Wanted


class FilesApi(Resource):
    """Versioned files of an account: the one given, else the client's. A file is `/a/b.txt` or `/a/b.txt:3`."""

    @operation
    def upload(
        self,
        files: Pairs,
        *,
        account: str | None = None,
        always: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[list[Committed]]:
        """Upload files, `{local: remote}` or pairs of them; the versions that they got, in order.

        A remote path that ends with `/` is a directory. All files get their versions at once, or none does. What the
        server has is not sent, what has not changed since the last upload is not read, and a file whose latest version
        is the same gets no new one, unless `always`. Raises Invalid `file-changed`, Conflict, OSError.
        """
        found = yield from work(lambda: local_files(files))
        return (yield from self._upload(found, account or self._client.account, always, progress))

    @operation
    def upload_tree(
        self,
        local: str | Path | Sequence[str | Path],
        remote: str,
        *,
        account: str | None = None,
        always: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[list[Committed]]:
        """Upload directories and files into a remote directory, as `convert_to_file_mapping` maps them."""
        places = [local] if isinstance(local, (str, Path)) else list(local)
        found, ignored = yield from work(lambda: map_files(places, remote))
        for line in ignored:
            self.tell(f"left out {line}: only files are carried, no links")
        return (yield from self._upload(found, account or self._client.account, always, progress))

    @operation
    def download(
        self,
        files: Pairs,
        *,
        account: str | None = None,
        progress: OnProgress | None = None,
    ) -> Flow[Transferred]:
        """Download files, `{remote: local}` or pairs of them; without a version the latest.

        A local path that is a directory, or ends with `/`, gets the file under its own name. What is there is replaced,
        once the whole file has come and its digest is right; what is the same already is not fetched. Raises NotFound.
        """
        given: Iterable[tuple[str | Path, str]] = files.items() if isinstance(files, Mapping) else files
        pairs = [(str(remote), str(local)) for remote, local in given]
        found = yield from self._resolve([remote for remote, _ in pairs], account)
        meter = Meter(progress)
        placed = [(file, _local(file, local)) for file, (_, local) in zip(found, pairs, strict=True)]
        yield from work(lambda: _make_parents(placed))
        yield from Getter(self, account or self._client.account, meter).get(placed)
        return meter.result([])

    @operation
    def download_tree(
        self,
        directory: str,
        local: str | Path = ".",
        *,
        account: str | None = None,
        force: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[Transferred]:
        """Download the latest versions of all below a remote directory into a local one, as they lie there.

        What is there and is not the same is left alone, and refused with `in-the-way`, unless `force`. Links are not
        followed. Raises NotFound.
        """
        where = account or self._client.account
        top = f"/{directory.strip('/')}/" if directory.strip("/") else "/"
        found = yield from self._below(top, where)
        meter = Meter(progress)
        getter = Getter(self, where, meter)
        names = [(file, file.path.removeprefix(top)) for file in found]
        place = Path(local)
        yield from work(lambda: place.mkdir(parents=True, exist_ok=True))
        placed = yield from work(lambda: at_mount_point(names, place, force=force))
        yield from getter.get(placed)
        return meter.result([])

    @operation
    def get(self, file: str, *, account: str | None = None) -> Flow[FileVersion]:
        """What is known of a version of a file; the latest if none is named. Raises NotFound."""
        (found,) = yield from self._resolve([file], account)
        return found

    @listing
    def ls(
        self, directory: str = "/", *, recursive: bool = False, account: str | None = None, limit: int | None = None
    ) -> Items[LakeEntry]:
        """What is in a directory: directories, then files with their latest versions; `recursive`: all files below."""
        query = {"path": directory, "recursive": recursive or None, "account": account or self._client.account}
        yield from pages(self, "/v1/files", query, LakeEntry, limit)

    @listing
    def versions(self, file: str, *, account: str | None = None, limit: int | None = None) -> Items[FileVersion]:
        """The versions of a file, the newest first. Raises NotFound."""
        query = {"path": file, "account": account or self._client.account}
        yield from pages(self, "/v1/files/versions", query, FileVersion, limit)

    @operation
    def rm(self, file: str, *, account: str | None = None) -> Flow[Removed]:
        """Remove a version of a file, or without one all of them. Raises NotFound, Conflict `in-use`."""
        query = {"path": file, "account": account or self._client.account}
        return (yield from self.call(Request("DELETE", "/v1/files", query), Removed))

    def _upload(
        self, found: list[LocalFile], account: str | None, always: bool, progress: OnProgress | None
    ) -> Flow[list[Committed]]:
        if len(found) > MAX_COMMIT:
            raise Invalid(
                f"{len(found):,} files are too many for one upload; at most {MAX_COMMIT:,} get their versions together",
                code="bad-commit",
                hint="upload them in parts, or pack small files together",
            )
        meter = Meter(progress)
        meter.expect(len(found), sum(file.size for file in found))
        sender = ContentSender(self, "/v1/contents", meter, DigestCache())
        new = yield from sender.unchanged(found)
        for attempt in range(ATTEMPTS + 1):
            told = new is not None
            if new is None:
                new = yield from sender.send(found, anew=attempt > 1)
            try:
                done = yield from self._commit(Commit(files=new, account=account, always=always))
            except Conflict as error:
                if error.code != "blobs-missing" or attempt == ATTEMPTS:
                    raise
                new = None
            else:
                if told:
                    meter.skip(len(found), sum(file.size for file in new))
                return done
        raise AssertionError("unreachable")

    def _commit(self, commit: Commit) -> Flow[list[Committed]]:
        # Committed twice, the second time nothing is new; what is asked for `always` may not be repeated.
        body, again = msgspec.json.encode(commit), not commit.always
        request = Request("POST", "/v1/files", {}, body, repeatable=again, timeout=PATIENCE)
        return (yield from self.call(request, Page[Committed])).items

    def _resolve(self, files: list[str], account: str | None) -> Flow[list[FileVersion]]:
        body = msgspec.json.encode(Wanted(files=files, account=account or self._client.account))
        request = Request("POST", "/v1/files/resolve", {}, body, repeatable=True, timeout=PATIENCE)
        return (yield from self.call(request, Page[FileVersion])).items

    def _below(self, top: str, account: str | None) -> Flow[list[LakeEntry]]:
        found: list[LakeEntry] = []
        cursor: str | None = None
        while True:
            query: Query = {"path": top, "recursive": True, "limit": 1000, "cursor": cursor, "account": account}
            page = yield from self.call(Request("GET", "/v1/files", query), Page[LakeEntry])
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found


class Files(FilesApi, Blocking):
    """Versioned files, blocking."""


class AsyncFiles(FilesApi, Asynchronous):
    """Versioned files, on asyncio."""


def _local(file: FileVersion, local: str) -> Path:
    into = local.endswith("/") or os.path.isdir(local)  # noqa: PTH112  with its slash
    return Path(local) / file.path.rpartition("/")[2] if into else Path(local)


def _make_parents(placed: Sequence[tuple[FileVersion, Path]]) -> None:
    for parent in {place.parent for _, place in placed}:
        parent.mkdir(parents=True, exist_ok=True)
