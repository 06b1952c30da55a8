"""Receiving files: small ones in packs, large ones in pieces that go on after a break, known ones not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from dais.sdk.errors import BadAnswer, Conflict, NotFound
from dais.sdk.flow import Flow, Query, Request, Resource, Response, quoted, work
from dais.sdk.local_files import batches, digest_of, digest_of_file
from dais.sdk.placing import Target, aside, drop_parts, in_the_way, put, receive_pieces
from dais.sdk.progress import Meter
from dais.sdk.uploading import PATIENCE, patience_for
from dais.wire.answers import Entry, Page
from dais.wire.paths import PathError, check_path, shown, stays_inside
from dais.wire.transfers import (
    PACK_BYTES,
    PACK_ENTRIES,
    SMALL_FILE,
    Compared,
    Comparison,
    Local,
    PackEntry,
    PackError,
    unpack,
)

PAGE = 5_000
ATTEMPTS = 3


def entries(resource: Resource, folder: str, path: str, cursor: str | None = None) -> Flow[Page[Entry]]:
    """One page of all that is below a path of a folder."""
    query: Query = {"path": path, "recursive": True, "limit": PAGE, "cursor": cursor}
    request = Request("GET", f"/v1/folders/{quoted(folder)}/entries", query, timeout=PATIENCE)
    return (yield from resource.call(request, Page[Entry]))


class Puller:
    """Receives entries of a folder. `prefix` is the directory in the folder that becomes the target's root."""

    def __init__(self, resource: Resource, folder_id: str, prefix: str, target: Target, meter: Meter) -> None:
        self._resource = resource
        self._base = f"/v1/folders/{quoted(folder_id)}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._target = target
        self._meter = meter
        self.left_out: list[str] = []

    def flows(self, found: list[Entry]) -> list[Flow[None]]:
        """What is to be done for some entries, in parts that may run side by side."""
        files = [entry for entry in found if entry.kind == "file"]
        self._meter.expect(len(files), sum(entry.size for entry in files))
        large = [entry for entry in files if entry.size >= SMALL_FILE]
        parts = [self._large(entry) for entry in large]
        small = [entry for entry in files if entry.size < SMALL_FILE]
        parts += [self._small(group) for group in batches(small, PACK_BYTES, PACK_ENTRIES)]
        rest = [entry for entry in found if entry.kind != "file"]
        if rest:
            parts.append(self._rest(rest))
        return parts

    def single(self, entry: Entry, place: Path) -> Flow[None]:
        """Receive one file to a place of its own."""
        self._meter.expect(1, entry.size)
        if entry.size >= SMALL_FILE:
            yield from self._large(entry, place)
        else:
            yield from self._small([entry], place)

    def _local(self, entry: Entry) -> str:
        """The path of an entry below the target. Raises BadAnswer when a server tells one that leads elsewhere."""
        try:
            return check_path(entry.path.removeprefix(self._prefix))
        except PathError as error:
            raise BadAnswer(f"the server named a path that cannot be: {error}", code="bad-answer") from error

    def _rest(self, found: list[Entry]) -> Flow[None]:
        def make() -> None:
            for entry in found:
                self._make(entry)

        yield from work(make)

    def _make(self, entry: Entry) -> None:
        path = self._local(entry)
        if entry.kind == "directory":
            self._target.directory(path)
        elif entry.kind == "link" and entry.target is not None and stays_inside(path, entry.target):
            place = self._target.place(path)
            if place.is_symlink() and os.readlink(place) == entry.target:  # noqa: PTH115
                return
            if place.is_dir() and not place.is_symlink():
                raise in_the_way(place)
            fresh = aside(place, "link")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(entry.target)
            fresh.replace(place)
        elif entry.kind == "link":
            self.left_out.append(f"link {shown(entry.path)} -> {shown(entry.target or '')}: it leads outside")
        else:
            self.left_out.append(f"{shown(entry.path)}: it is no file, directory or link with a UTF-8 name")

    def _known(self, found: list[Entry], place: Path | None) -> Flow[set[str]]:
        """The paths whose files are here already, with the same content and executable bit."""

        def look() -> list[Local]:
            same_size = []
            for entry in found:
                at = place or self._target.root / self._local(entry)
                try:
                    info = at.lstat()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if stat.S_ISREG(info.st_mode) and info.st_size == entry.size:
                    digest, size = digest_of_file(at)
                    local = Local(path=entry.path, size=size, digest=digest, executable=bool(info.st_mode & 0o100))
                    same_size.append(local)
            return same_size

        local = yield from work(look)
        if not local:
            return set()
        size = sum(file.size for file in local)
        body = msgspec.json.encode(Comparison(files=local))
        request = Request("POST", f"{self._base}/compare", {}, body, repeatable=True, timeout=patience_for(size))
        compared = yield from self._resource.call(request, list[Compared])
        return {file.path for file, state in zip(local, compared, strict=True) if state.state == "same"}

    def _small(self, found: list[Entry], place: Path | None = None) -> Flow[None]:
        known = yield from self._known(found, place)
        for entry in found:
            if entry.path in known:
                self._meter.skip(1, entry.size)
        wanted = [entry for entry in found if entry.path not in known]
        if not wanted:
            return
        body = msgspec.json.encode({"paths": [entry.path for entry in wanted]})
        response = yield from self._resource.send(
            Request("POST", f"{self._base}/fetch", {}, body, repeatable=True, timeout=PATIENCE)
        )
        grown = yield from work(lambda: self._unpack(wanted, response, place))
        for entry in grown:
            yield from self._large(entry, place)

    def _unpack(self, wanted: list[Entry], response: Response, place: Path | None) -> list[Entry]:
        """Write the files of a pack; those that have grown too large for it are answered."""
        grown: list[Entry] = []
        try:
            came = list(unpack(response.body))
        except PackError as error:
            raise BadAnswer(f"the answer is cut off: {error}", code="bad-answer") from error
        if [entry.path for entry, _ in came] != [entry.path for entry in wanted]:
            raise BadAnswer("the answer does not hold the files that were asked for", code="bad-answer")
        for asked, (entry, content) in zip(wanted, came, strict=True):
            if entry.kind == "large":
                grown.append(asked)
            elif entry.kind == "file":
                self._write(entry, content, place or self._target.place(self._local(asked)))
                self._meter.moved(1, asked.size)
            else:
                self.left_out.append(f"{shown(asked.path)}: it was removed, or cannot be read")
                self._meter.skip(1, asked.size)
        return grown

    def _write(self, entry: PackEntry, content: memoryview, place: Path) -> None:
        if digest_of(content) != entry.digest:
            raise BadAnswer(
                f"what came of {shown(entry.path)} is damaged: its digest is not {entry.digest}",
                code="digest-mismatch",
                hint="pull again",
            )
        fresh = aside(place, "file")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if entry.executable else 0o666)
        with open(fd, "wb") as file:  # noqa: PTH123
            file.write(content)
        put(fresh, place)

    def _large(self, entry: Entry, place: Path | None = None) -> Flow[None]:
        if entry.path in (yield from self._known([entry], place)):
            self._meter.skip(1, entry.size)
            return
        at = place or (yield from work(lambda: self._target.place(self._local(entry))))
        for attempt in range(ATTEMPTS):
            try:
                yield from receive_pieces(
                    self._resource, f"{self._base}/file", {"path": entry.path}, entry.size, at, self._meter
                )
            except Conflict as error:
                if error.code != "changed" or attempt + 1 == ATTEMPTS:
                    raise
                yield from work(lambda: drop_parts(at))
            except NotFound:
                self.left_out.append(f"{shown(entry.path)}: it was removed meanwhile")
                self._meter.skip(1, entry.size)
                return
            else:
                return
