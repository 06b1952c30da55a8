"""Connections to ports of a container, by the socket on which its process 1 listens; nothing is published."""

from __future__ import annotations

import asyncio
import os
import stat
import time

from dais.engines.supervised.streams import PlainStream

READY_SECONDS = 10.0
ANSWER_SECONDS = 30.0
_chunk = 256 << 10
_line_limit = 512


async def dial(directory: str, port: int) -> PlainStream:
    """Through the socket in a container's own directory. Raises LookupError, ConnectionRefusedError, OSError."""
    if not 0 < port < 1 << 16:
        raise ConnectionRefusedError(f"{port} is no port")
    reader, writer = await _connect(directory)
    try:
        writer.write(f"{port}\n".encode())
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await reader.readline()
        if answer == b"+\n":
            return PlainStream(reader, writer)
    except BaseException:
        writer.close()
        raise
    writer.close()
    if not answer:
        raise ConnectionResetError("the container ended the connection before it began")
    if answer == b"-refused\n":
        raise ConnectionRefusedError(f"nothing listens at port {port} of the container")
    words = answer[1:_line_limit].decode("utf-8", "replace").strip()
    raise OSError(f"port {port} of the container cannot be reached: {words}")


async def _connect(directory: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The socket is there once process 1 has begun."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            fd = _open_socket(directory)
        except FileNotFoundError as error:
            if not os.path.isdir(directory):  # noqa: PTH112, ASYNC240 - a look at one directory
                raise LookupError("the container does not run any more") from error
            if time.monotonic() > deadline:
                raise TimeoutError("the container does not take connections") from error
            await asyncio.sleep(0.02)
            continue
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{fd}", limit=_chunk)
        except ConnectionRefusedError as error:
            raise LookupError("the container does not run any more") from error
        finally:
            os.close(fd)


def _open_socket(directory: str) -> int:
    """The socket itself: the job can put anything in its place, a link to another socket of the machine too."""
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fd = os.open("dial", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError("the job has put something else in the place of the socket that connections go through")
    return fd
