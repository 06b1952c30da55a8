"""Sending contents by their digest: what the server has is not sent, and what has not changed is not even read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from dais.sdk.chunking import Cutter, can_cut
from dais.sdk.digest_cache import DigestCache
from dais.sdk.errors import Invalid
from dais.sdk.flow import Flow, Request, Resource, quoted, together, work
from dais.sdk.local_files import LocalFile, Stamp, digest_of, stamp_of
from dais.sdk.open_file import OpenFile, changed
from dais.sdk.pack_way import PackWay
from dais.sdk.progress import Meter
from dais.sdk.pushing import PACK_HEADERS, read_small, split
from dais.sdk.uploading import ATTEMPTS, PATIENCE, goes_on, patience_for, send_pieces
from dais.wire.lake import LARGE_CONTENT, Chunk, NewVersion, Recipe
from dais.wire.transfers import Digests, PackEntry, Received, Stored, pack_header

AT_ONCE = 4
CHUNK_PACK = 12 << 20
"""Bytes of chunks that one request carries at most."""
ASKED = 10_000
"""Digests of one question."""


class ContentSender:
    """Has the contents of local files come to the server. `base` is the address of contents."""

    def __init__(self, resource: Resource, base: str, meter: Meter, cache: DigestCache) -> None:
        self._resource = resource
        self._base = base
        self._meter = meter
        self._cache = cache
        self._way = PackWay(resource, base)

    def send(self, files: Sequence[LocalFile], *, anew: bool = False) -> Flow[list[NewVersion]]:
        """Send what is missing; the files with their digests, in order. `anew`: read all of them again.

        Raises Invalid `file-changed` for a file that changes all the time, OSError.
        """
        known = [""] * len(files) if anew else (yield from work(lambda: self._known(files)))
        there = yield from self._stored(list({digest for digest in known if digest}))
        done: dict[str, NewVersion] = {}
        unknown: list[LocalFile] = []
        for file, digest in zip(files, known, strict=True):
            if digest in there:
                done[file.path] = NewVersion(path=file.path, digest=digest, size=file.size, executable=file.executable)
                self._meter.skip(1, file.size)
            else:
                unknown.append(file)
        groups, large = split(unknown)
        parts = [self._large(file) for file in large] + [self._small(group) for group in groups]
        try:
            for sent in (yield from together(parts, AT_ONCE)):
                done.update((new.path, new) for new in sent)
        finally:
            self._way.close()
        return [done[file.path] for file in files]

    def unchanged(self, files: Sequence[LocalFile]) -> Flow[list[NewVersion] | None]:
        """The files with their digests when none has changed since it was read last, else None. Asks nobody."""
        digests = yield from work(lambda: self._known(files))
        if "" in digests:
            return None
        return [
            NewVersion(path=file.path, digest=digest, size=file.size, executable=file.executable)
            for file, digest in zip(files, digests, strict=True)
        ]

    def _known(self, files: Sequence[LocalFile]) -> list[str]:
        """The digest of each file that has not changed since it was read, "" of the others."""
        places = _places([file.location for file in files])
        found = self._cache.known({place: file.stamp for place, file in zip(places, files, strict=True)})
        return [found.get(place, "") for place in places]

    def _stored(self, digests: list[str]) -> Flow[set[str]]:
        """Those of the digests whose contents the server has, and keeps for a day."""
        missing: set[str] = set()
        for start in range(0, len(digests), ASKED):
            missing |= yield from self._missing(digests[start : start + ASKED])
        return set(digests) - missing

    def _missing(self, digests: list[str]) -> Flow[set[str]]:
        body = msgspec.json.encode(Digests(digests=digests))
        request = Request("POST", f"{self._base}/missing", {}, body, repeatable=True, timeout=PATIENCE)
        return set((yield from self._resource.call(request, Digests)).digests)

    def _small(self, files: list[LocalFile]) -> Flow[list[NewVersion]]:
        contents = yield from work(lambda: [_read(file) for file in files])
        missing = yield from self._missing([digest for _, digest, _ in contents])
        pack: list[bytes] = []
        sent = size = 0
        for file, (data, digest, _) in zip(files, contents, strict=True):
            if digest in missing:
                missing.discard(digest)
                pack += [pack_header(PackEntry(size=len(data), digest=digest)), data]
                sent, size = sent + 1, size + len(data)
            else:
                self._meter.skip(1, file.size)
        if pack:
            request = Request(
                "POST", f"{self._base}/pack", {}, b"".join(pack), PACK_HEADERS, repeatable=True, timeout=PATIENCE
            )
            yield from self._resource.call(request, Stored)
            self._meter.moved(sent, size)
        read = [
            (_place(file.location), stamp, digest) for file, (_, digest, stamp) in zip(files, contents, strict=True)
        ]
        yield from work(lambda: self._cache.put(read))
        return [
            NewVersion(path=file.path, digest=digest, size=len(data), executable=file.executable)
            for file, (data, digest, _) in zip(files, contents, strict=True)
        ]

    def _large(self, file: LocalFile) -> Flow[list[NewVersion]]:
        for attempt in range(ATTEMPTS):
            try:
                with OpenFile(file.location) as source:
                    digest = yield from self._once(file, source)
                    stamp = source.stamp
                    yield from work(partial(self._cache.put, [(_place(file.location), stamp, digest)]))
                    size = source.size
                    return [NewVersion(path=file.path, digest=digest, size=size, executable=file.executable)]
            except Invalid as error:
                if not goes_on(error, attempt):
                    raise
        raise AssertionError("unreachable")

    def _once(self, file: LocalFile, source: OpenFile) -> Flow[str]:
        if source.size >= LARGE_CONTENT and (yield from work(can_cut)):
            return (yield from self._in_chunks(source))
        digest = yield from work(source.digest)
        if not (yield from self._missing([digest])):
            self._meter.skip(1, file.size)
            return digest
        # Pieces that came before an interruption are passed over by the server.
        path = f"{self._base}/{quoted(digest)}"
        yield from send_pieces(self._resource, path, {"size": source.size}, source, 0, self._meter)
        self._meter.moved(1, 0)
        return digest

    def _in_chunks(self, source: OpenFile) -> Flow[str]:
        """Send the chunks of a large file that the server does not have, then how they make the whole."""
        cutter = Cutter(source)
        yield from together([self._send_chunks(source, cutter) for _ in range(AT_ONCE)], AT_ONCE)
        digest = yield from work(cutter.digest)
        if (yield from self._missing([digest])):
            body = msgspec.json.encode(Recipe(digest=digest, size=source.size, chunks=cutter.chunks))
            timeout = patience_for(source.size)
            request = Request("POST", self._base, {}, body, repeatable=True, timeout=timeout)
            yield from self._resource.call(request, Received)
        self._meter.moved(1, 0)
        return digest

    def _send_chunks(self, source: OpenFile, cutter: Cutter) -> Flow[None]:
        """Send the next chunks that the server does not have, until there are none. Others do the same beside."""
        while found := (yield from work(partial(cutter.next, CHUNK_PACK))):
            missing = yield from self._missing(list({chunk.digest for _, chunk in found}))
            pack: list[tuple[int, Chunk]] = []
            for offset, chunk in found:
                if chunk.digest in missing:
                    missing.discard(chunk.digest)
                    pack.append((offset, chunk))
                else:
                    self._meter.skip(0, chunk.size)
            if pack:
                yield from self._send_pack(source, pack)

    def _send_pack(self, source: OpenFile, pack: list[tuple[int, Chunk]]) -> Flow[None]:
        if not (yield from self._way.sends(source, pack)):
            body = yield from work(partial(_packed, source, pack))
            path = f"{self._base}/pack"
            request = Request("POST", path, {}, body, PACK_HEADERS, repeatable=True, timeout=PATIENCE)
            yield from self._resource.call(request, Stored)
        self._meter.moved(0, sum(chunk.size for _, chunk in pack))


def _packed(source: OpenFile, pack: list[tuple[int, Chunk]]) -> bytes:
    """Parts of a file as a pack. Raises Invalid `file-changed`."""
    parts: list[bytes] = []
    for offset, chunk in pack:
        header = pack_header(PackEntry(size=chunk.size, digest=chunk.digest))
        parts += [header, source.read_at(offset, chunk.size)]
    return b"".join(parts)


def _read(file: LocalFile) -> tuple[bytes, str, Stamp]:
    """A small file's content, its digest, and its stamp, which is the same before and after. Raises Invalid."""
    for _ in range(ATTEMPTS):
        before = stamp_of(os.stat(file.location))  # noqa: PTH116
        data = read_small(file)
        if stamp_of(os.stat(file.location)) == before and len(data) == before[2]:  # noqa: PTH116
            return data, digest_of(data), before
    raise changed(file.location)


def _places(locations: Iterable[str]) -> list[str]:
    """Where files are: ten thousand of one directory are as quick as one."""
    directories: dict[str, str] = {}
    found: list[str] = []
    for location in locations:
        directory, slash, name = location.rpartition("/")
        if name in ("", ".", ".."):
            found.append(_place(location))
            continue
        if directory not in directories:
            directories[directory] = _place(directory + slash).rstrip("/")
        found.append(f"{directories[directory]}/{name}")
    return found


def _place(location: str) -> str:
    return os.path.abspath(location)  # noqa: PTH100  not resolved
