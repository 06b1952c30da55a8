"""Receiving versions of files to places on this machine: each is verified, and appears whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from dais.sdk.errors import BadAnswer, Conflict, Invalid
from dais.sdk.flow import Flow, Request, Resource, Response, together, work
from dais.sdk.local_files import digest_of, digest_of_file
from dais.sdk.placing import Target, aside, drop_parts, put, receive_pieces
from dais.sdk.progress import Meter
from dais.sdk.uploading import ATTEMPTS, PATIENCE
from dais.wire.lake import Wanted
from dais.wire.paths import PathError, check_path, shown
from dais.wire.transfers import PACK_BYTES, PACK_ENTRIES, SMALL_FILE, PackEntry, PackError, unpack

AT_ONCE = 4
SHOWN = 5


class Version(Protocol):
    """A version of a file, as several answers tell it."""

    @property
    def path(self) -> str: ...
    @property
    def version(self) -> int | None: ...
    @property
    def digest(self) -> str | None: ...
    @property
    def size(self) -> int | None: ...


Placed = tuple[Version, Path]


class Getter:
    """Receives versions of the files of an account."""

    def __init__(self, resource: Resource, account: str | None, meter: Meter) -> None:
        self._resource = resource
        self._account = account
        self._meter = meter

    def get(self, placed: Sequence[Placed]) -> Flow[None]:
        """Have each file come to its place. The directories are there. What is the same already is not fetched."""
        self._meter.expect(len(placed), sum(file.size or 0 for file, _ in placed))
        wanted = yield from work(lambda: [one for one in placed if not self._same(one)])
        small = [one for one in wanted if (one[0].size or 0) < SMALL_FILE]
        parts = [self._large(one) for one in wanted if (one[0].size or 0) >= SMALL_FILE]
        parts += [self._small(group) for group in _groups(small)]
        yield from together(parts, AT_ONCE)

    def _same(self, one: Placed) -> bool:
        file, place = one
        if not is_same(file, place):
            return False
        self._meter.skip(1, file.size or 0)
        return True

    def _small(self, placed: list[Placed]) -> Flow[None]:
        body = msgspec.json.encode(Wanted(files=[_name(file) for file, _ in placed], account=self._account))
        request = Request("POST", "/v1/files/fetch", {}, body, repeatable=True, timeout=PATIENCE)
        response = yield from self._resource.send(request)
        yield from work(lambda: self._unpack(placed, response))

    def _unpack(self, placed: list[Placed], response: Response) -> None:
        try:
            came = list(unpack(response.body))
        except PackError as error:
            raise BadAnswer(f"the answer is cut off: {error}", code="bad-answer") from error
        if [entry.path for entry, _ in came] != [_name(file) for file, _ in placed]:
            raise BadAnswer("the answer does not hold the files that were asked for", code="bad-answer")
        for (file, place), (entry, content) in zip(placed, came, strict=True):
            if entry.kind != "file" or digest_of(content) != file.digest:
                raise BadAnswer(
                    f"the content of {shown(_name(file))} is damaged or gone on the server",
                    code="digest-mismatch",
                    hint="an administrator should run `dais doctor data`",
                )
            _write(entry, content, place)
            self._meter.moved(1, file.size or 0)

    def _large(self, one: Placed) -> Flow[None]:
        file, place = one
        query = {"path": _name(file), "account": self._account}
        for attempt in range(ATTEMPTS):
            try:
                yield from receive_pieces(
                    self._resource, "/v1/files/content", query, file.size or 0, place, self._meter, file.digest or ""
                )
            except Conflict as error:  # what had come was of another version
                if error.code != "changed" or attempt + 1 == ATTEMPTS:
                    raise
                yield from work(lambda: drop_parts(place))
            else:
                return


def is_same(file: Version, place: Path) -> bool:
    """Whether an ordinary file with this content is at the place."""
    try:
        info = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size == file.size and digest_of_file(place)[0] == file.digest


def at_mount_point(files: Sequence[tuple[Version, str]], mount: Path, *, force: bool) -> list[Placed]:
    """Places of files below a directory, which is there; the directories above them are made. Follows no link.

    Raises Invalid `in-the-way` for what is there and is something else, unless `force`; before anything is written.
    """
    target = Target(mount)
    placed: list[Placed] = []
    clashes: list[str] = []
    for file, name in files:
        try:
            path = check_path(name.lstrip("/"))
        except PathError as error:
            raise BadAnswer(f"the server named a path that cannot be: {error}", code="bad-answer") from error
        place = mount / path
        if os.path.lexists(place) and not is_same(file, place):
            clashes.append(str(place))
        placed.append((file, place))
    if clashes and not force:
        listed = ", ".join(map(shown, clashes[:SHOWN])) + (
            f" and {len(clashes) - SHOWN:,} more" if len(clashes) > SHOWN else ""
        )
        raise Invalid(
            f"what is in the way here is not the same: {listed}",
            code="in-the-way",
            hint="move it away, download into another directory, or replace it with --force (force=True)",
        )
    for _, name in files:
        target.place(name.lstrip("/"))
    return placed


def _name(file: Version) -> str:
    return f"{file.path}:{file.version}"


def _write(entry: PackEntry, content: memoryview, place: Path) -> None:
    fresh = aside(place, "file")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if entry.executable else 0o666)
    with open(fd, "wb") as file:  # noqa: PTH123
        file.write(content)
    put(fresh, place)


def _groups(placed: Sequence[Placed]) -> list[list[Placed]]:
    groups: list[list[Placed]] = []
    size = 0
    for one in placed:
        if not groups or size + (one[0].size or 0) > PACK_BYTES or len(groups[-1]) >= PACK_ENTRIES:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += one[0].size or 0
    return groups
