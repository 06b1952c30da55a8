"""Sending files: small ones in packs, large ones in pieces that go on after an interruption, known ones not at all."""

from __future__ import annotations

from typing import Any

import msgspec

from dais.sdk.errors import Conflict, Invalid
from dais.sdk.flow import Flow, Query, Request, Resource, quoted, work
from dais.sdk.local_files import LocalFile, Tree, batches, digest_of, digest_of_file, read_at
from dais.sdk.progress import Meter
from dais.wire.transfers import (
    PACK_BYTES,
    PACK_ENTRIES,
    PACK_TYPE,
    PIECE_BYTES,
    SMALL_FILE,
    Compared,
    Comparison,
    Local,
    PackEntry,
    Received,
    Stored,
    pack_header,
)

PATIENCE = 60.0
"""Seconds in which a server answers that has little to do."""

HASH_RATE = 100_000_000
"""Bytes a second that a slow server's disk reads, for the time it is given to compare a large file."""

ATTEMPTS = 3
"""How often a file is begun anew that changes while it is sent."""

PACK_HEADERS = {"content-type": PACK_TYPE}
PIECE_HEADERS = {"content-type": "application/octet-stream"}


def patience_for(size: int) -> float:
    """Seconds in which a server has read so many bytes."""
    return PATIENCE + size / HASH_RATE


def split(files: list[LocalFile]) -> tuple[list[list[LocalFile]], list[LocalFile]]:
    """Groups of small files, and large files."""
    small = [file for file in files if file.size < SMALL_FILE]
    return list(batches(small, PACK_BYTES, PACK_ENTRIES)), [file for file in files if file.size >= SMALL_FILE]


def read_small(file: LocalFile) -> bytes:
    """The content of a small file as it is now. Raises Invalid when it has grown large, OSError."""
    data = read_at(file.location, 0, SMALL_FILE + 1)
    if len(data) > SMALL_FILE:
        raise changed(file)
    return data


def changed(file: LocalFile) -> Invalid:
    return Invalid(
        f"{file.location!r} changes while it is sent", code="file-changed", hint="send it when nobody writes into it"
    )


def send_pieces(resource: Resource, path: str, query: Query, file: LocalFile, begun: int, meter: Meter) -> Flow[None]:
    """PUT a large file from byte `begun` on. Raises Invalid `digest-mismatch`, `file-changed`."""
    size, offset = int(query["size"]), begun  # type: ignore[arg-type]
    if offset:
        meter.skip(0, offset)
    while True:
        at = offset
        data = yield from work(lambda: read_at(file.location, at, min(PIECE_BYTES, size - at)))  # noqa: B023
        if len(data) < min(PIECE_BYTES, size - at):
            raise changed(file)
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
        if received.complete:
            return


class Pusher:
    """Sends a tree into a folder. `prefix` is the directory in the folder, "" for its root."""

    def __init__(self, resource: Resource, folder_id: str, prefix: str, meter: Meter) -> None:
        self._resource = resource
        self._base = f"/v1/folders/{quoted(folder_id)}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._meter = meter

    def flows(self, tree: Tree) -> list[Flow[None]]:
        """What is to be done, in parts that may run side by side."""
        groups, large = split(tree.files)
        parts: list[Flow[None]] = [self._large(file) for file in large]
        parts += [self._small(group) for group in groups]
        rest = [PackEntry(path=self._prefix + path, kind="link", target=target) for path, target in tree.links]
        rest += [PackEntry(path=self._prefix + path, kind="directory") for path in tree.directories]
        for start in range(0, len(rest), PACK_ENTRIES):
            parts.append(self._send_pack([pack_header(entry) for entry in rest[start : start + PACK_ENTRIES]]))
        return parts

    def _small(self, files: list[LocalFile]) -> Flow[None]:
        contents = yield from work(lambda: [(data := read_small(file), digest_of(data)) for file in files])
        local = [
            Local(path=self._prefix + file.path, size=len(data), digest=digest, executable=file.executable)
            for file, (data, digest) in zip(files, contents, strict=True)
        ]
        compared = yield from self._compare(local, sum(file.size for file in files))
        pack: list[bytes] = []
        sent = size = 0
        for file, known, (data, _), state in zip(files, local, contents, compared, strict=True):
            if state.state == "same":
                self._meter.skip(1, file.size)
                continue
            entry = PackEntry(path=known.path, size=known.size, digest=known.digest, executable=known.executable)
            pack += [pack_header(entry), data]
            sent, size = sent + 1, size + len(data)
        if pack:
            yield from self._send_pack(pack)
            self._meter.moved(sent, size)

    def _send_pack(self, pack: list[bytes]) -> Flow[None]:
        # Storing the same pack twice does no more than once.
        request = Request(
            "POST", f"{self._base}/pack", {}, b"".join(pack), PACK_HEADERS, repeatable=True, timeout=PATIENCE
        )
        yield from self._resource.call(request, Stored)

    def _large(self, file: LocalFile) -> Flow[None]:
        for attempt in range(ATTEMPTS):
            digest, size = yield from work(lambda: digest_of_file(file.location))
            local = Local(path=self._prefix + file.path, size=size, digest=digest, executable=file.executable)
            (compared,) = yield from self._compare([local], size)
            if compared.state == "same":
                self._meter.skip(1, file.size)
                return
            query: dict[str, Any] = {"path": local.path, "size": size, "digest": digest, "executable": file.executable}
            try:
                yield from send_pieces(self._resource, f"{self._base}/file", query, file, compared.offset, self._meter)
            except Invalid as error:
                if error.code not in ("digest-mismatch", "file-changed") or attempt + 1 == ATTEMPTS:
                    raise
            else:
                self._meter.moved(1, 0)
                return

    def _compare(self, local: list[Local], size: int) -> Flow[list[Compared]]:
        body = msgspec.json.encode(Comparison(files=local, begun=True))
        request = Request("POST", f"{self._base}/compare", {}, body, repeatable=True, timeout=patience_for(size))
        return (yield from self._resource.call(request, list[Compared]))
