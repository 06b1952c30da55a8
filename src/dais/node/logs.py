"""A container's output on disk: append-only frames in segments. The supervisor writes, the engine reads.

A frame is 8 bytes of time (ns since the epoch), one byte of stream, 4 bytes of length (all big-endian), and the bytes.
Segments are `<8 digits>.seg`; the next one begins when the current would grow beyond 4 MiB. Nothing is fsynced: the
page cache survives the supervisor, and a machine that crashes ends its containers anyway.
"""

from __future__ import annotations

import os
import stat
import struct
import time

STDOUT, STDERR, SYSTEM = 1, 2, 3
SEGMENT_BYTES = 4 << 20

_HEADER = struct.Struct(">QBI")
HEADER_BYTES = _HEADER.size
# Larger lengths come only from a file that is not a log.
_SANE_LENGTH = 1 << 24
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def log_directory(node_dir: str, attempt_id: str) -> str:
    """Where the supervisor of `node_dir` keeps the output of an attempt."""
    return f"{node_dir}/attempts/{attempt_id}/log"


def segment_name(number: int) -> str:
    return f"{number:08d}.seg"


class LogWriter:
    """Appends output up to `limit` bytes; the rest is counted as discarded and marked once.

    Never raises: a disk that is full loses output, says so in the log once there is room again, and nothing more.
    """

    def __init__(self, directory: str, limit: int) -> None:
        self.directory = directory
        self._limit = limit
        self._fd = -1
        self._segment = -1
        self._size = 0
        self.written = 0
        self.truncated = False
        self.incomplete = False
        """Whether output is missing: beyond the limit, or lost to a full disk."""
        self._lost = 0
        self._lost_because = ""

    def write(self, stream: int, data: memoryview) -> None:
        """Append one chunk (at most a segment) of a stream."""
        if self.truncated:
            return
        room = self._limit - self.written
        if len(data) > room:
            if room > 0:
                self._append(stream, data[:room])
            self.truncated = self.incomplete = True
            self._mark(f"output beyond {self._limit} bytes was discarded")
            self.close()
            return
        self._append(stream, data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, stream: int, data: memoryview) -> None:
        if self._lost:
            lost, self._lost = self._lost, 0
            if not self._put(SYSTEM, memoryview(f"{lost} bytes were lost: {self._lost_because}".encode())):
                self._lost = lost
        if not self._lost and self._put(stream, data):
            self.written += len(data)
        else:
            self.incomplete = True
            self._lost += len(data)

    def _mark(self, text: str) -> None:
        self._put(SYSTEM, memoryview(text.encode()))

    def _put(self, stream: int, data: memoryview) -> bool:
        header = _HEADER.pack(time.time_ns(), stream, len(data))
        size = HEADER_BYTES + len(data)
        try:
            if self._fd < 0 or self._size + size > SEGMENT_BYTES:
                self._next_segment()
            done = os.writev(self._fd, (header, data))
        except OSError as error:
            self._lost_because = error.strerror or str(error)
            return False
        if done < size:
            # A torn frame would hide what follows: take it back.
            self._lost_because = os.strerror(28)
            try:
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
            except OSError:
                self.close()
            return False
        self._size += size
        return True

    def _next_segment(self) -> None:
        os.makedirs(self.directory, mode=0o770, exist_ok=True)  # the umask decides, or the directory
        path = f"{self.directory}/{segment_name(self._segment + 1)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self.close()
        self._fd = fd
        self._segment += 1
        self._size = 0


def read(
    directory: str, segment: int, offset: int, limit: int = 1 << 20
) -> tuple[list[tuple[int, int, bytes]], int, int]:
    """Frames from a place on: ([(ns, stream, bytes)], next segment, next offset).

    About `limit` bytes at most, but at least one frame if there is one, and all of one segment; does not wait for more.
    A log that does not exist (yet) has no frames. What is torn at the end of the newest segment is left for later; in
    an older segment it is skipped, since nobody will finish it.
    """
    while True:
        try:
            # Where a container writes its log itself its job may have put something else there.
            fd = os.open(f"{directory}/{segment_name(segment)}", _READ)
        except FileNotFoundError:
            return [], segment, offset
        try:
            # Looked at before reading: what is complete now stays complete.
            newest = not os.path.exists(f"{directory}/{segment_name(segment + 1)}")
            found, offset = _read_segment(fd, offset, limit)
        finally:
            os.close(fd)
        if found or newest:
            return found, segment, offset
        segment, offset = segment + 1, 0


def end(directory: str) -> tuple[int, int]:
    """(segment, offset) behind the newest output, which may be half a frame; (0, 0) when there is none."""
    try:
        numbers = (name.removesuffix(".seg") for name in os.listdir(directory) if name.endswith(".seg"))
        newest = max((int(number) for number in numbers if len(number) == 8 and number.isdecimal()), default=None)
        if newest is None:
            return 0, 0
        return newest, os.lstat(f"{directory}/{segment_name(newest)}").st_size
    except FileNotFoundError:
        return 0, 0


def _read_segment(fd: int, offset: int, limit: int) -> tuple[list[tuple[int, int, bytes]], int]:
    frames: list[tuple[int, int, bytes]] = []
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return frames, offset
    buffer = os.pread(fd, limit + HEADER_BYTES, offset)
    position = 0
    while len(buffer) - position >= HEADER_BYTES:
        at, stream, length = _HEADER.unpack_from(buffer, position)
        if length > _SANE_LENGTH:
            break
        end = position + HEADER_BYTES + length
        if end > len(buffer):
            if frames:
                break
            buffer = os.pread(fd, end, offset)
            if len(buffer) < end:
                break
        frames.append((at, stream, buffer[position + HEADER_BYTES : end]))
        position = end
    return frames, offset + position
