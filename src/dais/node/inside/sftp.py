"""An SFTP server (version 3, draft-ietf-secsh-filexfer-02, with OpenSSH's extensions) on stdin and stdout.

It runs inside a job, as the job's user and within its file system: what it may open is what the job may. It needs
Python 3.8 and nothing else, and is given to it as its source (`python3 -I -S -c`), so that nothing is installed.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import struct
import sys
import time
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Parts = tuple[Any, ...]
    """The type of an answer, and what is in it."""

VERSION = 3
MOST_HANDLES = 256
LARGEST_PACKET = (256 << 10) + 1024
LARGEST_READ = (256 << 10) - 1024
NAMES_AT_ONCE = 100
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
HAS_SIZE, HAS_IDS, HAS_MODE, HAS_TIMES, HAS_MORE = 1, 2, 4, 8, 0x80000000
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32

FIRST, SECOND = b"posix-rename hardlink fsync lsetstat limits expand-path", b"statvfs fstatvfs"
EXTENSIONS = [
    (name + b"@openssh.com", version) for names, version in ((FIRST, b"1"), (SECOND, b"2")) for name in names.split()
]
CODES = {errno.ENOENT: NO_SUCH_FILE, errno.ENOTDIR: NO_SUCH_FILE, errno.EACCES: DENIED, errno.EPERM: DENIED}


class Failed(Exception):
    """A request that is answered with a status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fields:
    """Reads what is in a packet."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def number(self) -> int:
        try:
            found: int = struct.unpack_from(">I", self.data, self.at)[0]
        except struct.error:
            raise Failed(BAD_MESSAGE, "it ends too early") from None
        self.at += 4
        return found

    def long(self) -> int:
        return self.number() << 32 | self.number()

    def text(self) -> bytes:
        size = self.number()
        if self.at + size > len(self.data):
            raise Failed(BAD_MESSAGE, "it ends too early")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def path(self) -> bytes:
        found = self.text()
        if b"\0" in found:
            raise Failed(FAILURE, "a path holds no NUL")
        return found or b"."

    def attributes(self) -> dict[str, Any]:
        flags = self.number()
        found: dict[str, Any] = {}
        if flags & HAS_SIZE:
            found["size"] = self.long()
        if flags & HAS_IDS:
            found["ids"] = self.number(), self.number()
        if flags & HAS_MODE:
            found["mode"] = self.number()
        if flags & HAS_TIMES:
            found["times"] = self.number(), self.number()
        if flags & HAS_MORE:
            for _ in range(min(self.number(), 64)):
                self.text(), self.text()
        return found


def packed(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def attributes_of(status: os.stat_result) -> bytes:
    flags = HAS_SIZE | HAS_IDS | HAS_MODE | HAS_TIMES
    times = max(0, int(status.st_atime)) & 0xFFFFFFFF, max(0, int(status.st_mtime)) & 0xFFFFFFFF
    ids = status.st_uid & 0xFFFFFFFF, status.st_gid & 0xFFFFFFFF
    return struct.pack(">IQIIIII", flags, status.st_size, *ids, status.st_mode, *times)


@lru_cache(maxsize=1000)
def name_of(kind: str, number: int) -> str:
    """The name of a user or group, where the image knows one."""
    try:
        return pwd.getpwuid(number).pw_name if kind == "user" else grp.getgrgid(number).gr_name
    except (KeyError, OverflowError):
        return str(number)


def long_name(name: bytes, status: os.stat_result) -> bytes:
    """A line as `ls -l` prints it, which clients show."""
    then = time.localtime(status.st_mtime)
    recent = abs(time.time() - status.st_mtime) < 180 * 86400
    when = time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", then)
    owner, group = name_of("user", status.st_uid), name_of("group", status.st_gid)
    head = f"{stat.filemode(status.st_mode)} {status.st_nlink:3} {owner:8} {group:8} {status.st_size:8} {when} "
    return head.encode("utf-8", "replace") + name


class Server:
    """Answers requests one after the other: `handles` are descriptors, or what is left of directories."""

    def __init__(self) -> None:
        self.handles: dict[bytes, Any] = {}
        self.made = 0
        self.answers: dict[int | bytes, Callable[[Fields], Parts | None]] = {
            **PLAIN,
            3: self.open,
            4: self.close,
            5: self.read,
            6: self.write,
            8: lambda fields: (105, attributes_of(os.fstat(self.file(fields)))),
            10: lambda fields: change(self.file(fields), fields.attributes()),
            11: self.opendir,
            12: self.readdir,
            b"fsync@openssh.com": lambda fields: os.fsync(self.file(fields)),
            b"fstatvfs@openssh.com": lambda fields: (201, space_of(os.fstatvfs(self.file(fields)))),
        }

    def answer(self, packet: bytes) -> list[bytes]:
        """The answer to a packet, as a list of its parts behind the length."""
        if packet[0] == 1:
            pairs = [packed(name) + packed(version) for name, version in EXTENSIONS]
            return [b"\x02", struct.pack(">I", VERSION), *pairs]
        fields = Fields(packet, 1)
        request = struct.pack(">I", fields.number())
        try:
            kind, *parts = self.act(packet[0], fields) or (101, status(OK, b""))
        except Failed as error:
            kind, parts = 101, [status(error.code, str(error).encode())]
        except OSError as error:
            words = (error.strerror or "it failed").encode("utf-8", "replace")
            kind, parts = 101, [status(CODES.get(error.errno or 0, FAILURE), words)]
        except (ValueError, OverflowError) as error:
            kind, parts = 101, [status(FAILURE, str(error).encode("utf-8", "replace"))]
        return [bytes((kind,)), request, *parts]

    def act(self, kind: int, fields: Fields) -> Parts | None:
        answer = self.answers.get(fields.text() if kind == 200 else kind)
        if answer is None:
            raise Failed(UNSUPPORTED, "this is not done here")
        return answer(fields)

    # -- handles

    def keep(self, thing: object) -> Parts:
        if len(self.handles) >= MOST_HANDLES:
            if isinstance(thing, int):
                os.close(thing)
            raise Failed(FAILURE, f"{MOST_HANDLES} files are open already")
        self.made += 1
        handle = struct.pack(">I", self.made & 0xFFFFFFFF)
        self.handles[handle] = thing
        return 102, packed(handle)

    def file(self, fields: Fields) -> int:
        found = self.handles.get(fields.text())
        if not isinstance(found, int):
            raise Failed(FAILURE, "there is no such handle")
        return found

    # -- files

    def open(self, fields: Fields) -> Parts:
        path, wanted, given = fields.path(), fields.number(), fields.attributes()
        flags = os.O_CLOEXEC | os.O_NOCTTY
        if wanted & READ and wanted & WRITE:
            flags |= os.O_RDWR
        elif wanted & WRITE:
            flags |= os.O_WRONLY
        for asked, flag in ((APPEND, os.O_APPEND), (CREATE, os.O_CREAT), (TRUNCATE, os.O_TRUNC)):
            flags |= flag if wanted & asked else 0
        flags |= os.O_EXCL if wanted & CREATE and wanted & EXCLUSIVE else 0
        # A pipe without another end would never open; a directory is not read as a file.
        fd = os.open(path, flags | os.O_NONBLOCK, given.get("mode", 0o666) & 0o7777)
        try:
            kind = os.fstat(fd).st_mode
            if stat.S_ISDIR(kind):
                raise Failed(FAILURE, "it is a directory")
            os.set_blocking(fd, True)
        except BaseException:
            os.close(fd)
            raise
        return self.keep(fd)

    def close(self, fields: Fields) -> None:
        thing = self.handles.pop(fields.text(), None)
        if thing is None:
            raise Failed(FAILURE, "there is no such handle")
        os.close(thing) if isinstance(thing, int) else thing[0].close()

    def read(self, fields: Fields) -> Parts:
        fd, offset, size = self.file(fields), fields.long(), fields.number()
        try:
            data = os.pread(fd, min(size, LARGEST_READ), offset)
        except OSError as error:
            if error.errno != errno.ESPIPE:
                raise
            data = os.read(fd, min(size, LARGEST_READ))
        if not data:
            raise Failed(EOF, "the file ends here")
        return 103, struct.pack(">I", len(data)), data

    def write(self, fields: Fields) -> None:
        fd, offset, size = self.file(fields), fields.long(), fields.number()
        data = memoryview(fields.data)[fields.at : fields.at + size]
        if len(data) != size:
            raise Failed(BAD_MESSAGE, "it ends too early")
        while data:
            try:
                written = os.pwrite(fd, data, offset)
            except OSError as error:
                if error.errno != errno.ESPIPE:
                    raise
                written = os.write(fd, data)
            data, offset = data[written:], offset + written

    # -- directories

    def opendir(self, fields: Fields) -> Parts:
        path = fields.path()
        return self.keep([os.scandir(path), path, [b".", b".."]])

    def readdir(self, fields: Fields) -> Parts:
        left = self.handles.get(fields.text())
        if not isinstance(left, list):
            raise Failed(FAILURE, "there is no such handle")
        entries, path, first = left
        found = []
        while first:
            found.append(named(path, first.pop(0)))
        for entry in entries:
            found.append(named(path, entry.name))
            if len(found) >= NAMES_AT_ONCE:
                break
        if not found:
            raise Failed(EOF, "that was all")
        return 104, struct.pack(">I", len(found)), *found


def status(code: int, words: bytes) -> bytes:
    return struct.pack(">I", code) + packed(words) + packed(b"en")


def only(path: bytes) -> Parts:
    return 104, struct.pack(">I", 1), packed(path), packed(path), struct.pack(">I", 0)


def named(path: bytes, name: bytes) -> bytes:
    """An entry of a directory; one that has just gone is told without anything known of it."""
    try:
        found = os.lstat(os.path.join(path, name))
    except OSError:
        return packed(name) + packed(name) + struct.pack(">I", 0)
    return packed(name) + packed(long_name(name, found)) + attributes_of(found)


def change(where: bytes | int, given: dict[str, Any], **how: Any) -> None:
    if "size" in given:
        os.truncate(where, given["size"])
    if "ids" in given:
        os.chown(where, *given["ids"], **how)
    if "mode" in given:
        os.chmod(where, given["mode"] & 0o7777)
    if "times" in given:
        os.utime(where, given["times"], **how)


def space_of(found: os.statvfs_result) -> bytes:
    flags = (1 if found.f_flag & os.ST_RDONLY else 0) | (2 if found.f_flag & os.ST_NOSUID else 0)
    sizes = found.f_bsize, found.f_frsize, found.f_blocks, found.f_bfree, found.f_bavail
    files = found.f_files, found.f_ffree, found.f_favail
    number = getattr(found, "f_fsid", 0) & 0xFFFFFFFFFFFFFFFF
    return struct.pack(">11Q", *sizes, *files, number, flags, found.f_namemax)


def lsetstat(fields: Fields) -> None:
    path, given = fields.path(), fields.attributes()
    if "size" in given or ("mode" in given and stat.S_ISLNK(os.lstat(path).st_mode)):
        raise Failed(UNSUPPORTED, "a link has no size and no mode of its own to set")
    change(path, given, follow_symlinks=False)


def expand(fields: Fields) -> Parts:
    path = fields.path()
    if path == b"~" or path.startswith(b"~/"):
        path = os.fsencode(os.environ.get("HOME", "/")) + path[1:]
    return only(os.path.realpath(path))


def rename(fields: Fields) -> None:
    source, target = fields.path(), fields.path()
    if os.path.lexists(target):  # version 3 replaces nothing; OpenSSH's clients ask for posix-rename
        raise Failed(FAILURE, "there is something of that name already")
    os.rename(source, target)


PLAIN: dict[int | bytes, Callable[[Fields], Parts | None]] = {
    7: lambda fields: (105, attributes_of(os.lstat(fields.path()))),
    9: lambda fields: change(fields.path(), fields.attributes()),
    13: lambda fields: os.unlink(fields.path()),
    14: lambda fields: os.mkdir(fields.path(), fields.attributes().get("mode", 0o777) & 0o7777),
    15: lambda fields: os.rmdir(fields.path()),
    16: lambda fields: only(os.path.realpath(fields.path())),
    17: lambda fields: (105, attributes_of(os.stat(fields.path()))),
    18: rename,
    19: lambda fields: only(os.readlink(fields.path())),
    20: lambda fields: os.symlink(fields.path(), fields.path()),  # OpenSSH's order: what it leads to comes first
    b"posix-rename@openssh.com": lambda fields: os.rename(fields.path(), fields.path()),
    b"hardlink@openssh.com": lambda fields: os.link(fields.path(), fields.path(), follow_symlinks=False),
    b"statvfs@openssh.com": lambda fields: (201, space_of(os.statvfs(fields.path()))),
    b"lsetstat@openssh.com": lsetstat,
    b"limits@openssh.com": lambda _: (
        201,
        struct.pack(">QQQQ", LARGEST_PACKET, LARGEST_READ, LARGEST_READ, MOST_HANDLES),
    ),
    b"expand-path@openssh.com": expand,
}
"""Requests, by type or name, that are about a path alone."""


def serve(source: int, sink: int) -> None:
    """Answer until the client's end. Answers are written together where several requests have come together."""
    server = Server()
    have = bytearray()
    while True:
        part = os.read(source, 256 << 10)
        if not part:
            return
        have += part
        start, size = 0, 0
        parts: list[bytes] = []
        while len(have) - start >= 4:
            (length,) = struct.unpack_from(">I", have, start)
            if not 0 < length <= LARGEST_PACKET:
                return
            if len(have) - start - 4 < length:
                break
            made = server.answer(bytes(have[start + 4 : start + 4 + length]))
            start += 4 + length
            total = sum(map(len, made))
            parts.append(struct.pack(">I", total))
            parts += made
            size += total
            if size > 512 << 10:
                flush(sink, parts)
                parts, size = [], 0
        del have[:start]
        flush(sink, parts)


def flush(sink: int, parts: list[bytes]) -> None:
    left = memoryview(b"".join(parts))
    while left:
        left = left[os.write(sink, left) :]


def main() -> None:
    os.umask(0o022)
    home = os.environ.get("HOME")
    if home and os.path.isdir(home):
        os.chdir(home)
    try:
        serve(0, 1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
