"""Building images through the API that Docker and Podman share: the context as a stream, the log as it comes.

The context is read without following any link, and `.dockerignore` applies. Docker's build API takes secrets only in
a session of BuildKit's own protocol, so there they are refused; Podman's takes them beside the context.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets as random_names
import stat
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import aiodocker
from aiodocker.jsonstream import json_stream_stream

from dais.engines.container.ignored import Ignored
from dais.engines.container.problems import classified, told, told_now
from dais.engines.contract import BuildRequest, ImageProblem, Progress
from dais.wire.dockerfile import Instruction, instructions
from dais.wire.references import parse_reference

CHUNK = 1 << 20
_MOST_DOCKERFILE = 1 << 20
_FILES = 1024
"""Open files and processes of build steps. Podman's own default is more than a machine may allow."""

_secret_name = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_step = re.compile(r"Step (\d+)/\d+ :|(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+:")
_parse_line = re.compile(r"(?:parse error(?: on)? line|[Ll]ine) (\d+)")


@dataclass(frozen=True)
class Sent:
    """What is sent to the builder: pieces of a tar, how the Dockerfile is called in it, and its instructions."""

    tar: Iterator[bytes]
    dockerfile: str
    parsed: tuple[Instruction, ...]
    secrets: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    async def stream(self) -> AsyncIterator[bytes]:
        """The tar, read in threads."""
        while piece := await asyncio.to_thread(self._much):
            yield piece

    def _much(self) -> bytes:
        pieces, size = [], 0
        for piece in self.tar:
            pieces.append(piece)
            size += len(piece)
            if size >= CHUNK:
                break
        return b"".join(pieces)


def context_of(request: BuildRequest, *, podman: bool) -> Sent:
    """The context of a build. Blocking. Raises ImageProblem `build-failed` for what can be seen before it begins."""
    if request.secrets and not podman:
        raise ImageProblem(
            "build-failed",
            "Docker's build API takes no secrets (only BuildKit's own protocol does); build on a group of Podman's, or "
            "without them",
        )
    root = Path(request.context)
    text = _read_dockerfile(root, request.dockerfile)
    names, files = [], {}
    for name, value in request.secrets.items():
        if not _secret_name.fullmatch(name):
            raise ImageProblem("build-failed", f"{name[:80]!r} cannot name a secret of a build")
        inside = f".dais-secret-{random_names.token_hex(16)}"
        names.append(f"id={name},src={inside}")
        files[inside] = value
    kept = str(PurePosixPath(request.dockerfile))
    ignored = Ignored(_lines(root / ".dockerignore"), always=(kept, ".dockerignore"))
    return Sent(_tar(root, ignored, files), kept, tuple(instructions(text)), tuple(names), files)


def derived_from(image: str, more: Sequence[str]) -> Sent:
    """A context that is nothing but a Dockerfile: an image, and instructions that need no files."""
    text = "".join(f"{line}\n" for line in (f"FROM {image}", *more))
    return Sent(iter([*_file("Dockerfile", text.encode()), _END]), "Dockerfile", tuple(instructions(text)))


async def built(
    docker: aiodocker.Docker, sent: Sent, request: BuildRequest, network: str | None, *, podman: bool
) -> AsyncGenerator[Progress]:
    """Build, telling the log. Raises ImageProblem `build-failed` with the failing line, or as a pull; OSError."""
    stage, step = 0, 0
    with told_now(request.reference):
        try:
            async with (
                asyncio.timeout(request.time),
                docker._query(
                    "build",
                    "POST",
                    params=_asked(sent, request, network, podman),
                    data=sent.stream(),
                    headers={"Content-Type": "application/x-tar"},
                    timeout=None,
                ) as response,
            ):
                async for message in json_stream_stream(response):
                    text = _text(message)
                    if match := _step.search(text):
                        stage, step = int(match[2] or 0), int(match[1] or match[3])
                    if text:
                        yield Progress(text=text)
        except aiodocker.DockerError as error:
            raise _failed(sent, error, stage, step) from error
        except TimeoutError as error:
            at = _place(sent.parsed, stage, step)
            where = f" at line {at.line} ({at})" if at else ""
            raise ImageProblem(
                "build-failed",
                f"the build took longer than {request.time:g} s, and was ended{where}",
                line=at.line if at else None,
            ) from error


def _asked(sent: Sent, request: BuildRequest, network: str | None, podman: bool) -> dict[str, str]:
    limits: list[object] = [
        f"{name}={_FILES}:{_FILES}" if podman else {"Name": name, "Soft": _FILES, "Hard": _FILES}
        for name in ("nofile", "nproc")
    ]
    asked = {
        "t": str(parse_reference(request.reference)),
        "dockerfile": sent.dockerfile,
        "buildargs": json.dumps(dict(request.arguments)),
        "labels": json.dumps(dict(request.labels)),
        "rm": "1",
        "forcerm": "1",
        "nocache": "0" if request.cache else "1",
        "ulimits": json.dumps(limits),
    }
    if network is not None:
        asked["networkmode"] = network
    if sent.secrets:
        asked["secrets"] = json.dumps(list(sent.secrets))
    return asked


def _text(message: Mapping[str, Any]) -> str:
    """A message of a build as a line for people: its own words, or how a pull of its base goes on."""
    words = message.get("stream") or message.get("status") or ""
    if message.get("id") and words:
        words = f"{message['id']}: {words} {message.get('progress') or ''}"
    return str(words).rstrip()


def _failed(sent: Sent, error: aiodocker.DockerError, stage: int, step: int) -> Exception:
    words = str(error.message).strip()
    code = classified(words, error.status)
    if error.status == 900 or (code not in ("image-failed", "image-not-found") and not step):
        return told(sent.dockerfile, error)
    if found := _parse_line.search(words):
        line = int(found[1])
        at = next((one for one in reversed(sent.parsed) if one.line <= line), None)
    else:
        at = _place(sent.parsed, stage, step)
        line = at.line if at else 0
    if code in ("image-failed", "in-use", "bad-credentials") or not at or at.word != "FROM":
        code = "no-disk" if code == "no-disk" else "build-failed"
    where = f"{sent.dockerfile}, line {line}: {at}: " if at else f"{sent.dockerfile}: "
    return ImageProblem(code, f"{where}{words[:4000]}", line=line or None)


def _place(parsed: tuple[Instruction, ...], stage: int, step: int) -> Instruction | None:
    """The instruction of a step. Docker counts through the file, Podman from each stage's FROM."""
    if not step:
        return None
    if not stage:
        return parsed[step - 1] if step <= len(parsed) else None
    froms = [index for index, one in enumerate(parsed) if one.word == "FROM"]
    if stage > len(froms):
        return None
    index = froms[stage - 1] + step - 1
    return parsed[index] if index < len(parsed) else None


def _read_dockerfile(root: Path, name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ImageProblem("build-failed", f"the Dockerfile {name!r} is not a path below the context")
    inside = root
    for part in path.parts:
        inside = inside / part
        if inside.is_symlink():
            raise ImageProblem("build-failed", f"the Dockerfile {name!r} is, or lies behind, a link; name it itself")
    try:
        with inside.open("rb") as file:
            read = file.read(_MOST_DOCKERFILE + 1)
    except OSError as error:
        raise ImageProblem(
            "build-failed", f"the Dockerfile {name!r} cannot be read: {error.strerror}; name another by --file"
        ) from error
    if len(read) > _MOST_DOCKERFILE:
        raise ImageProblem("build-failed", f"the Dockerfile {name!r} has more than {_MOST_DOCKERFILE:,} bytes")
    return read.decode(errors="replace")


def _lines(path: Path) -> list[str]:
    try:
        return [] if path.is_symlink() else path.read_text(errors="replace").splitlines()
    except OSError:
        return []


_END = bytes(2 * tarfile.BLOCKSIZE)


def _tar(root: Path, ignored: Ignored, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """A tar of the tree, piece by piece. Links stay links; what is neither file, directory nor link is left out."""
    for name, content in files.items():
        yield from _file(name, content)
    for path in _walk(root, "", ignored):
        full = root / path
        about = full.lstat()
        info = tarfile.TarInfo(path)
        info.mode, info.mtime = stat.S_IMODE(about.st_mode), int(about.st_mtime)
        if stat.S_ISLNK(about.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, str(full.readlink())
            yield info.tobuf(tarfile.PAX_FORMAT)
        elif stat.S_ISDIR(about.st_mode):
            info.type = tarfile.DIRTYPE
            yield info.tobuf(tarfile.PAX_FORMAT)
        elif stat.S_ISREG(about.st_mode):
            yield from _content(full, info)
    yield _END


def _walk(root: Path, below: str, ignored: Ignored) -> Iterator[str]:
    with os.scandir(root / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        is_directory = entry.is_dir(follow_symlinks=False)
        if not ignored(path):
            yield path
        elif not (is_directory and ignored.has_exceptions):
            continue
        if is_directory:
            yield from _walk(root, path, ignored)


def _content(full: Path, info: tarfile.TarInfo) -> Iterator[bytes]:
    """A file's header, exactly as many bytes as that says, and what fills the last block."""
    descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        info.size = os.fstat(descriptor).st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        left = info.size
        while left:
            piece = file.read(min(CHUNK, left)) or bytes(min(CHUNK, left))
            left -= len(piece)
            yield piece
    yield bytes(-info.size % tarfile.BLOCKSIZE)


def _file(name: str, content: bytes) -> list[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o400
    return [info.tobuf(tarfile.PAX_FORMAT), content, bytes(-len(content) % tarfile.BLOCKSIZE)]
