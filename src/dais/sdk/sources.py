"""Sources: the directories that jobs are submitted with, captured whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dais.sdk.errors import Conflict, Invalid
from dais.sdk.flow import Asynchronous, Blocking, Flow, Request, Resource, operation, quoted, together, work
from dais.sdk.folders import AT_ONCE
from dais.sdk.local_files import LocalFile, Tree, digest_of, scan
from dais.sdk.open_file import OpenFile
from dais.sdk.progress import Meter, OnProgress
from dais.sdk.pushing import PACK_HEADERS, read_small, split
from dais.sdk.uploading import ATTEMPTS, PATIENCE, goes_on, send_pieces
from dais.wire.transfers import (
    Digests,
    PackEntry,
    Source,
    SourceFile,
    SourceLink,
    SourceManifest,
    Stored,
    pack_header,
)

LARGE_SOURCE = 500_000_000
"""Bytes above which a source is most probably a mistake."""


class SourcesApi(Resource):
    """Captures directories."""

    @operation
    def capture(
        self,
        directory: str | Path = ".",
        *,
        allow_large: bool = False,
        skip_links: bool = False,
        progress: OnProgress | None = None,
    ) -> Flow[str]:
        """The digest of a directory's content, once the server has it: a job's `source`.

        `.gitignore`, `.daisignore` and `.eaiignore` leave things out, also those of the git repository around it.
        Raises Invalid `source-too-large` over 500 MB and `source-is-home` unless `allow_large`, `link-outside` unless
        `skip_links`.
        """
        top = Path(directory)
        if not allow_large:
            yield from work(lambda: _refuse_home(top))
        tree = yield from work(lambda: _scanned(top, skip_links=skip_links))
        if not allow_large:
            _refuse_large(tree)
        for line in tree.left_out:
            self.tell(f"left out {line}")
        meter = Meter(progress)
        meter.expect(len(tree.files), tree.size)
        for attempt in range(ATTEMPTS):
            groups, large = split(tree.files)
            parts = [self._large(file, meter) for file in large] + [self._small(group, meter) for group in groups]
            files = [file for part in (yield from together(parts, AT_ONCE)) for file in part]
            links = [SourceLink(path=path, target=target) for path, target in tree.links]
            manifest = SourceManifest(files=files, links=links, directories=tree.directories)
            request = Request("POST", "/v1/sources", body=msgspec.json.encode(manifest), repeatable=True)
            try:
                return (yield from self.call(request, Source)).digest
            except Conflict as error:
                if error.code != "blobs-missing" or attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _small(self, files: list[LocalFile], meter: Meter) -> Flow[list[SourceFile]]:
        contents = yield from work(lambda: [(data := read_small(file), digest_of(data)) for file in files])
        missing = yield from self._missing([digest for _, digest in contents])
        pack: list[bytes] = []
        sent = size = 0
        for file, (data, digest) in zip(files, contents, strict=True):
            if digest in missing:
                missing.discard(digest)
                pack += [pack_header(PackEntry(size=len(data), digest=digest)), data]
                sent, size = sent + 1, size + file.size
            else:
                meter.skip(1, file.size)
        if pack:
            request = Request(
                "POST", "/v1/blobs/pack", {}, b"".join(pack), PACK_HEADERS, repeatable=True, timeout=PATIENCE
            )
            yield from self.call(request, Stored)
            meter.moved(sent, size)
        return [
            SourceFile(path=file.path, digest=digest, size=len(data), executable=file.executable)
            for file, (data, digest) in zip(files, contents, strict=True)
        ]

    def _large(self, file: LocalFile, meter: Meter) -> Flow[list[SourceFile]]:
        for attempt in range(ATTEMPTS):
            try:
                with OpenFile(file.location) as source:
                    return [(yield from self._once(file, source, meter))]
            except Invalid as error:
                if not goes_on(error, attempt):
                    raise
        raise AssertionError("unreachable")

    def _once(self, file: LocalFile, source: OpenFile, meter: Meter) -> Flow[SourceFile]:
        digest = yield from work(source.digest)
        found = SourceFile(path=file.path, digest=digest, size=source.size, executable=file.executable)
        if not (yield from self._missing([digest])):
            meter.skip(1, file.size)
            return found
        # Pieces that came before an interruption are passed over by the server.
        yield from send_pieces(self, f"/v1/blobs/{quoted(digest)}", {"size": source.size}, source, 0, meter)
        meter.moved(1, 0)
        return found

    def _missing(self, digests: list[str]) -> Flow[set[str]]:
        body = msgspec.json.encode(Digests(digests=digests))
        request = Request("POST", "/v1/blobs/missing", {}, body, repeatable=True)
        return set((yield from self.call(request, Digests)).digests)


class Sources(SourcesApi, Blocking):
    """Sources, blocking."""


class AsyncSources(SourcesApi, Asynchronous):
    """Sources, on asyncio."""


def _scanned(top: Path, *, skip_links: bool) -> Tree:
    if not top.is_dir():
        raise Invalid(f"{str(top)!r} is no directory", code="bad-source", hint="name the directory to run in")
    return scan(top, source=True, skip_links=skip_links)


def _refuse_home(top: Path) -> None:
    place = top.resolve()
    if place == Path.home().resolve() or place == Path(place.anchor) or place in Path.home().resolve().parents:
        raise Invalid(
            f"{str(place)!r} is your home directory, or holds it: all of it would be sent with the job",
            code="source-is-home",
            hint="go into your project's directory, use --no-source, or say --yes (allow_large=True)",
        )


def _refuse_large(tree: Tree) -> None:
    if tree.size <= LARGE_SOURCE:
        return
    largest = sorted(tree.files, key=lambda file: -file.size)[:3]
    listed = ", ".join(f"{file.path!r} ({file.size / 1e6:,.0f} MB)" for file in largest)
    raise Invalid(
        f"the source has {tree.size / 1e6:,.0f} MB, more than {LARGE_SOURCE / 1e6:,.0f} MB; the largest: {listed}",
        code="source-too-large",
        hint="put data into a folder, leave it out with .daisignore, or say --yes (allow_large=True)",
    )
