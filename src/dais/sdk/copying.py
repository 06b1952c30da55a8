"""Files into and out of running jobs: a tar stream through a command in the job. Nothing is written elsewhere."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dais.sdk.errors import DaisError, Invalid, NotFound
from dais.wire.paths import stays_inside

if TYPE_CHECKING:
    import tarfile

    from dais.sdk.execution import ExecSession
    from dais.sdk.jobs import Jobs

Note = Callable[[str], None] | None


def copy_to_job(jobs: Jobs, ref: str, local: Path, remote: str, note: Note = None) -> None:
    """Copy `local` to `remote`: into it when that is a directory, else under that name.

    Raises NotFound when `local` is absent, DaisError `copy-failed` with the words of the job's tar.
    """
    if not os.path.lexists(local):
        raise NotFound(f"there is no file {str(local)!r}", code="no-such-file")
    _require_absolute(remote)
    inside = remote.endswith("/") or jobs.exec(ref, ["test", "-d", remote]).exit_code == 0
    directory = remote if inside else posixpath.dirname(remote)
    name = local.resolve().name if inside else posixpath.basename(remote)
    script = 'mkdir -p "$1" && exec tar -C "$1" -xof -'
    with jobs.open_exec(ref, ["sh", "-c", script, "sh", directory]) as session:
        feeder = threading.Thread(target=_send_tree, args=(session, local, name, note), daemon=True)
        feeder.start()
        _finish(session)
        feeder.join(timeout=30)


def copy_from_job(jobs: Jobs, ref: str, remote: str, local: Path, note: Note = None) -> None:
    """Copy `remote` to `local`: into it when that is a directory, else under that name.

    Links that point outside and special files are left out, and `note` is told. Raises DaisError `copy-failed`.
    """
    import tarfile  # few copy, and every command about jobs would wait for it

    _require_absolute(remote)
    plain = posixpath.normpath(remote)
    name = posixpath.basename(plain) or "root"
    destination = local / name if local.is_dir() else local
    if not destination.parent.is_dir():
        raise NotFound(f"there is no directory {str(destination.parent)!r}", code="no-such-directory")
    where, what = (posixpath.dirname(plain), posixpath.basename(plain)) if plain != "/" else ("/", ".")
    with jobs.open_exec(ref, ["tar", "-C", where, "-cf", "-", what]) as session:
        output = _Output(session)
        try:
            with tarfile.open(fileobj=output, mode="r|", bufsize=64 << 10) as archive:  # type: ignore[call-overload]
                extract(archive, what, destination, note)
        except tarfile.TarError as error:
            output.drain()
            if session.exit_code == 0:
                raise DaisError(f"the copy came damaged: {error}", code="copy-failed") from error
        output.drain()
        _check(session, output.errors)


def extract(archive: tarfile.TarFile, top: str, destination: Path, note: Note = None) -> None:
    """Write an archive whose members are `top` and what is below it as `destination`.

    Members that would come to lie outside, links that point outside, devices and pipes are left out. Links are made
    last, so that no member is written through one.
    """
    links: list[tuple[Path, str]] = []
    for member in archive:
        parts = _below(member.name, top)
        if parts is None:
            _tell(note, f"left out {member.name!r}: it lies outside")
            continue
        path = destination.joinpath(*parts)
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.isreg():
            path.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            assert source is not None
            _write(source, path, member.mode)
        elif parts and member.issym() and stays_inside("/".join(parts), member.linkname):
            links.append((path, member.linkname))
        elif member.islnk() and (target := _below(member.linkname, top)) is not None:
            _copy_again(destination.joinpath(*target), path)
        else:
            _tell(note, f"left out {member.name!r}: it is a link that points outside, or no file")
    for path, target_name in links:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target_name)


class _Output:
    """The standard output of a command as a file; what it says on stderr is kept."""

    def __init__(self, session: ExecSession) -> None:
        self._items: Iterator[tuple[int, bytes]] = iter(session)
        self._rest = b""
        self.errors = bytearray()

    def read(self, size: int = -1) -> bytes:
        from dais.sdk.execution import STDOUT

        while len(self._rest) < size or size < 0:
            item = next(self._items, None)
            if item is None:
                break
            if item[0] == STDOUT:
                self._rest += item[1]
            else:
                self.errors += item[1]
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data

    def drain(self) -> None:
        while self.read(1 << 20):
            pass


class _Input:
    """The standard input of a command as a file."""

    def __init__(self, session: ExecSession) -> None:
        self._session = session

    def write(self, data: Any) -> int:
        self._session.send(bytes(data))
        return len(data)


def _send_tree(session: ExecSession, local: Path, name: str, note: Note) -> None:
    import tarfile

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.isreg() or member.isdir() or member.issym() or member.islnk():
            member.uname = member.gname = ""
            member.uid = member.gid = 0
            return member
        _tell(note, f"left out {member.name!r}: it is no file")
        return None

    try:
        with tarfile.open(fileobj=_Input(session), mode="w|", bufsize=64 << 10) as archive:  # type: ignore[call-overload]
            archive.add(local, arcname=name, filter=kept)
    except OSError as error:
        _tell(note, f"stopped at {error.filename or local}: {error.strerror or error}")
        session.close()  # an archive cut short must not look whole
        return
    session.send_eof()


def _finish(session: ExecSession) -> None:
    errors = bytearray()
    for _, data in session:
        errors += data
    _check(session, errors)


def _check(session: ExecSession, errors: bytearray) -> None:
    if session.exit_code != 0:
        words = errors.decode("utf-8", "replace").strip().splitlines() or [f"exit code {session.exit_code}"]
        hint = "copying needs sh and tar in the job's image" if session.exit_code in (126, 127) else None
        raise DaisError(f"the job's tar failed: {words[0]}", code="copy-failed", hint=hint)


def _require_absolute(remote: str) -> None:
    if not remote.startswith("/") or "\0" in remote:
        raise Invalid(f"{remote!r} is not an absolute path in the job", code="bad-path", hint="write it as JOB:/path")


def _below(name: str, top: str) -> list[str] | None:
    """The parts of a member's name below `top`; None when it is not below it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or name.startswith("/"):
        return None
    if top == ".":
        return parts
    return parts[1:] if parts and parts[0] == top else None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(source: IO[bytes], path: Path, mode: int) -> None:
    """Whole or not at all: written beside, then renamed."""
    temporary = path.with_name(f".{path.name[:200]}.dais-part")
    try:
        with open(temporary, "wb", opener=_private) as file:
            while chunk := source.read(1 << 20):
                file.write(chunk)
        temporary.chmod(mode & 0o755 | 0o600)  # what others could not read there, as a key, they cannot here
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _copy_again(original: Path, path: Path) -> None:
    if original.is_file() and not original.is_symlink():
        with original.open("rb") as source:
            _write(source, path, original.stat().st_mode)


def _tell(note: Note, message: str) -> None:
    if note is not None:
        note(message)
