"""Sending files: small ones in packs, large ones in pieces that go on after an interruption, known ones not at all."""

from __future__ import annotations

import msgspec

from dais.sdk.flow import Flow, Request, Resource, quoted, work
from dais.sdk.local_files import LocalFile, Tree, batches, digest_of, read_at
from dais.sdk.open_file import changed
from dais.sdk.progress import Meter
from dais.sdk.uploading import PATIENCE, Uploader, patience_for
from dais.wire.transfers import (
    PACK_BYTES,
    PACK_ENTRIES,
    PACK_TYPE,
    SMALL_FILE,
    Compared,
    Comparison,
    Local,
    PackEntry,
    Stored,
    pack_header,
)

PACK_HEADERS = {"content-type": PACK_TYPE}


def split(files: list[LocalFile]) -> tuple[list[list[LocalFile]], list[LocalFile]]:
    """Groups of small files, and large files."""
    small = [file for file in files if file.size < SMALL_FILE]
    return list(batches(small, PACK_BYTES, PACK_ENTRIES)), [file for file in files if file.size >= SMALL_FILE]


def read_small(file: LocalFile) -> bytes:
    """The content of a small file as it is now. Raises Invalid when it has grown large, OSError."""
    data = read_at(file.location, 0, SMALL_FILE + 1)
    if len(data) > SMALL_FILE:
        raise changed(file.location)
    return data


class Pusher:
    """Sends a tree into a folder. `prefix` is the directory in the folder, "" for its root."""

    def __init__(self, resource: Resource, folder_id: str, prefix: str, meter: Meter) -> None:
        self._resource = resource
        self._base = f"/v1/folders/{quoted(folder_id)}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._meter = meter
        self._uploader = Uploader(resource, self._base, meter, self._compare)

    def flows(self, tree: Tree) -> list[Flow[None]]:
        """What is to be done, in parts that may run side by side."""
        groups, large = split(tree.files)
        parts: list[Flow[None]] = [self._uploader.upload(file, self._prefix + file.path) for file in large]
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

    def _compare(self, local: list[Local], size: int) -> Flow[list[Compared]]:
        body = msgspec.json.encode(Comparison(files=local, begun=True))
        request = Request("POST", f"{self._base}/compare", {}, body, repeatable=True, timeout=patience_for(size))
        return (yield from self._resource.call(request, list[Compared]))
