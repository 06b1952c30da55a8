"""Sending large files: past the API where that can be, in pieces to it where not; hashed on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from dais.sdk.bulk import BulkLink, address_of
from dais.sdk.errors import Conflict, Invalid, Unreachable
from dais.sdk.flow import Flow, Query, Request, Resource, quoted, work
from dais.sdk.local_files import LocalFile
from dais.sdk.open_file import OpenFile
from dais.sdk.progress import Meter
from dais.wire.transfers import PIECE_BYTES, Compared, Local, NewUpload, Received, Upload

PATIENCE = 60.0
"""Seconds in which a server answers that has little to do."""

HASH_RATE = 100_000_000
"""Bytes a second that a slow server's disk reads, for the time it is given to compare a large file."""

ATTEMPTS = 3
"""How often a file is begun anew that changes while it is sent, and a way tried that leads nowhere."""

PIECE_HEADERS = {"content-type": "application/octet-stream"}

_anew = ("digest-mismatch", "file-changed", "wrong-offset")


def patience_for(size: int) -> float:
    """Seconds in which a server has read so many bytes."""
    return PATIENCE + size / HASH_RATE


def goes_on(error: Invalid | Conflict, attempt: int) -> bool:
    """Whether a file is worth another attempt after this failure."""
    return error.code in _anew and attempt + 1 < ATTEMPTS


def send_pieces(resource: Resource, path: str, query: Query, source: OpenFile, begun: int, meter: Meter) -> Flow[None]:
    """PUT a large file to the API from byte `begun` on. Raises Invalid `digest-mismatch`, `file-changed`."""
    size, offset = source.size, begun
    while True:
        at = offset
        source.hash_to(min(at + PIECE_BYTES, size))
        data = yield from work(partial(source.read_at, at, min(PIECE_BYTES, size - at)))
        request = Request("PUT", path, {**query, "offset": at}, data, PIECE_HEADERS, timeout=patience_for(size))
        try:
            received = yield from resource.call(request, Received)
        except Conflict as error:
            expected = error.fields.get("expected")
            if error.code != "wrong-offset" or not isinstance(expected, int) or expected >= offset:
                raise
            offset = expected  # what had come is gone: the server's disk was full, or a day has passed
            continue
        meter.moved(0, max(0, received.offset - at))
        offset = received.offset
        if received.complete or offset >= size:
            return


class Uploader:
    """Sends large files into a folder. `base` is the folder's address in the API, `compare` tells what it holds."""

    def __init__(
        self, resource: Resource, base: str, meter: Meter, compare: Callable[[list[Local], int], Flow[list[Compared]]]
    ) -> None:
        self._resource = resource
        self._base = base
        self._meter = meter
        self._compare = compare
        self._direct = True

    def upload(self, file: LocalFile, path: str) -> Flow[None]:
        """Send a file to a path of the folder, unless it is there. Raises Invalid `file-changed`, OSError."""
        for attempt in range(ATTEMPTS):
            try:
                with OpenFile(file.location) as source:
                    yield from self._once(file, source, path)
            except (Invalid, Conflict) as error:
                if not goes_on(error, attempt):
                    raise
            else:
                return

    def _once(self, file: LocalFile, source: OpenFile, path: str) -> Flow[None]:
        new = NewUpload(path=path, size=source.size, name=source.name, executable=file.executable)
        begun = yield from self._begin(new)
        if begun.alike:
            local = Local(path=path, size=new.size, digest=(yield from work(source.digest)), executable=new.executable)
            (compared,) = yield from self._compare([local], new.size)
            if compared.state == "same":
                self._meter.skip(1, file.size)
                return
        self._meter.skip(0, begun.offset)
        try:
            yield from self._send(source, new, begun)
            digest = yield from work(source.digest)
        except Invalid:
            yield from self._forget(new)  # what has come is of no use to anybody
            raise
        query = {**_query(new), "offset": new.size, "digest": digest, "executable": new.executable}
        request = Request("PUT", f"{self._base}/file", query, b"", PIECE_HEADERS, timeout=patience_for(new.size))
        yield from self._resource.call(request, Received)
        self._meter.moved(1, 0)

    def _send(self, source: OpenFile, new: NewUpload, begun: Upload) -> Flow[None]:
        """Have all bytes come, by whatever way."""
        vain = 0
        while begun.offset < new.size:
            link = self._link(begun) if vain < ATTEMPTS else None
            if link is None:
                yield from send_pieces(
                    self._resource, f"{self._base}/file", _query(new), source, begun.offset, self._meter
                )
                return
            with closing(link):
                sent, whole = yield from self._through(link, source, begun.offset)
            if whole:
                return
            before = begun.offset
            begun = yield from self._begin(new)  # waits, within the client's patience, for a server that is away
            self._meter.moved(0, begun.offset - sent)
            vain = 0 if begun.offset > before else vain + 1

    def _link(self, begun: Upload) -> BulkLink | None:
        if not self._direct or begun.bulk is None:
            return None
        address = address_of(self._resource.address, begun.bulk)
        return BulkLink(address, begun.key, begun.bulk) if address is not None else None

    def _through(self, link: BulkLink, source: OpenFile, begun: int) -> Flow[tuple[int, bool]]:
        """Send the rest of a file by a link; how far it was sent, and whether all of it has come."""
        at, size = begun, source.size
        try:
            at = yield from work(link.open)
        except Unreachable:
            self._direct = False  # a firewall, a proxy or a tunnel lies between: ask no more
            return begun, False
        self._meter.moved(0, at - begun)
        try:
            yield from work(partial(link.begin, at, size - at))
            while at < size:
                count = min(PIECE_BYTES, size - at)
                source.hash_to(at + count)
                yield from work(partial(link.send, source, at, count))
                self._meter.moved(0, count)
                at += count
            return at, (yield from work(link.end)) == size
        except Unreachable:
            return at, False

    def _begin(self, new: NewUpload) -> Flow[Upload]:
        request = Request("POST", f"{self._base}/uploads", body=msgspec.json.encode(new), repeatable=True)
        return (yield from self._resource.call(request, Upload))

    def _forget(self, new: NewUpload) -> Flow[None]:
        query: Query = {"path": new.path, "size": new.size}
        yield from self._resource.send(Request("DELETE", f"{self._base}/uploads/{quoted(new.name)}", query))


def _query(new: NewUpload) -> dict[str, Any]:
    return {"path": new.path, "size": new.size, "upload": new.name}
