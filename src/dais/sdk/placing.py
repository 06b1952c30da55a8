"""Where files come to: directories that no link leads out of, and large files that come piece by piece."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dais.sdk.errors import BadAnswer, Invalid
from dais.sdk.flow import Flow, Query, Request, Resource, Response, work
from dais.sdk.local_files import digest_of, digest_of_file
from dais.sdk.progress import Meter
from dais.sdk.uploading import PATIENCE
from dais.wire.paths import shown
from dais.wire.transfers import PIECE_BYTES


class Target:
    """The directory that files come into. Nothing is written through a link that lies in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[str] = set()

    def place(self, path: str) -> Path:
        """Where an entry goes; the directory above it is there then. Raises Invalid where a link is in the way."""
        parent = path.rpartition("/")[0]
        if parent not in self._made:
            self.directory(parent)
        return self.root / path

    def directory(self, path: str) -> None:
        """Make a directory."""
        self.root.mkdir(parents=True, exist_ok=True)
        at = self.root
        for part in path.split("/") if path else ():
            at = at / part
            try:
                at.mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(at.lstat().st_mode):
                    raise in_the_way(at) from None
        self._made.add(path)


def in_the_way(place: Path) -> Invalid:
    return Invalid(
        f"{shown(str(place))} is in the way: it is something else here than in the folder",
        code="in-the-way",
        hint="remove or rename it, or pull into another directory",
    )


def receive_pieces(
    resource: Resource, path: str, query: Query, size: int, place: Path, meter: Meter, digest: str = ""
) -> Flow[None]:
    """Receive a large file piece by piece, from an address that answers ranges; each is verified before it is kept.

    What came before an interruption is not asked for again. With `digest` the whole is verified, too. Raises Conflict
    `changed`.
    """
    begun = yield from work(lambda: list(_parts(place)))
    part, tag = begun[0] if begun else (None, "")
    # When all has come but the last step, one byte is asked for again: it tells whether the file is the same still.
    offset = min(part.stat().st_size, max(size - 1, 0)) if part is not None else 0
    meter.skip(0, offset)
    while True:
        headers = {"range": f"bytes={offset}-{offset + PIECE_BYTES - 1}"}
        if tag:
            headers["if-match"] = f'"{tag}"'
        request = Request("GET", path, query, headers=headers, timeout=PATIENCE)
        response = yield from resource.send(request)
        tag = response.headers.get("etag", "").strip('"')
        data = response.body
        if data and digest_of(data) != response.headers.get("dais-digest"):
            raise BadAnswer(f"what came of {shown(place.name)} is damaged", code="digest-mismatch", hint="pull again")
        part = aside(place, f"{tag}.part")
        executable = response.headers.get("dais-executable") == "true"
        total = _total(response, offset + len(data))
        keep, start = part, offset
        yield from work(lambda: _append(keep, data, start, executable))  # noqa: B023
        meter.moved(0, len(data))
        offset += len(data)
        if offset >= total:
            if digest and (yield from work(lambda: digest_of_file(keep)[0])) != digest:  # noqa: B023
                yield from work(lambda: keep.unlink())  # noqa: B023
                raise BadAnswer(
                    f"what came of {shown(place.name)} is damaged",
                    code="digest-mismatch",
                    hint="an administrator should run `dais doctor data`",
                )
            yield from work(lambda: put(keep, place))  # noqa: B023
            meter.moved(1, 0)
            return


def _total(response: Response, otherwise: int) -> int:
    """The size of the whole file, from `Content-Range: bytes 0-9/20`."""
    size = response.headers.get("content-range", "").rpartition("/")[2]
    return int(size) if size.isdigit() else otherwise


def aside(place: Path, suffix: str) -> Path:
    """A name beside a file's own, for what is not whole yet."""
    return place.with_name(f".dais-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]}.{suffix}")


def _parts(place: Path) -> Iterator[tuple[Path, str]]:
    """What came of a file before an interruption, with the tag that the file had."""
    stem = aside(place, "").name
    for part in place.parent.glob(f"{stem}*.part"):
        if part.is_file() and not part.is_symlink():
            yield part, part.name.removeprefix(stem).removesuffix(".part")


def drop_parts(place: Path) -> None:
    for part, _ in list(_parts(place)):
        part.unlink()


def _append(part: Path, data: bytes, offset: int, executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    fd = os.open(part, flags, 0o777 if executable else 0o666)
    with open(fd, "wb", buffering=0) as file:  # noqa: PTH123
        view = memoryview(data)
        while view:
            written = os.pwrite(file.fileno(), view, offset)
            view, offset = view[written:], offset + written


def put(fresh: Path, place: Path) -> None:
    """Give a whole file its name. Raises Invalid where a directory is in the way."""
    try:
        fresh.replace(place)
    except IsADirectoryError:
        fresh.unlink()
        raise in_the_way(place) from None
