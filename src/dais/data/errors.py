"""What goes wrong with files, in words: failures of the disk and of paths as errors with a code and a remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dais.kit.errors import Conflict, DaisError, Invalid, NotFound, Unavailable
from dais.wire.paths import PathError, shown
from dais.wire.units import short_size


@contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """Turn OSError and PathError into errors that name `path` (as the user knows it) and the remedy."""
    try:
        yield
    except PathError as error:
        raise invalid_path(error) from error
    except OSError as error:
        raise of_disk(error, path) from error


def invalid_path(error: PathError) -> Invalid:
    return Invalid(str(error), code=error.code, path=error.path[:200])


def of_disk(error: OSError, path: str) -> DaisError:
    """The error of a family for what the kernel said about `path`."""
    what = shown(path or ".")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full()
    if error.errno == errno.EROFS:
        return Unavailable(
            "the disk with the server's data can only be read; an administrator must mount it read-write",
            code="disk-read-only",
        )
    if error.errno == errno.ENOENT:
        return NotFound(f"there is no {what} in the folder", code="no-such-file", path=path[:200])
    if error.errno == errno.ENOTDIR:
        return Conflict(
            f"{what} is, or leads through, something that is no directory (links are not followed); remove that first",
            code="not-a-directory",
            path=path[:200],
        )
    if error.errno == errno.ELOOP:
        return Conflict(
            f"{what} is a link or no ordinary file, and is not followed or opened; name the file that is meant",
            code="not-a-file",
            path=path[:200],
        )
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return Conflict(
            f"{what} is a directory already; remove it, or choose another path", code="is-a-directory", path=path[:200]
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Conflict(
            f"{what} may not be opened: a job took its permissions away; give them back with chmod in a job",
            code="no-permission",
            path=path[:200],
        )
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ):
        return Invalid(
            f"the server's file system takes no such name: {what}; rename it", code="bad-path", path=path[:200]
        )
    return Unavailable(
        f"the server's disk failed at {what}: {os.strerror(error.errno or 0)}", code="disk-failed", retry_after=5
    )


def disk_full() -> Unavailable:
    return Unavailable(
        "the disk with the server's data is full; remove folders or files that are not needed, then try again",
        code="disk-full",
    )


def disk_reserved(free: int, wanted: int, reserve: int) -> Unavailable:
    return Unavailable(
        f"the disk with the server's data has {short_size(free)} left, of which {short_size(reserve)} stay free "
        f"(DAIS_DATA_RESERVE_DISK), and {short_size(wanted)} more are to come; remove folders or files that are not "
        "needed, then try again",
        code="disk-full",
    )


def digest_mismatch(what: str, wanted: str, found: str) -> Invalid:
    return Invalid(
        f"what came of {shown(what)} is not what was announced: its digest is {found}, not {wanted}; "
        "the file changed while it was sent, or was damaged on the way: send it again",
        code="digest-mismatch",
        expected=wanted,
        given=found,
    )


def in_use(what: str, users: list[str]) -> Conflict:
    """What is to be removed is needed by others, which are named."""
    return Conflict(
        f"{shown(what)} is used by {', '.join(users)}; remove {'them' if len(users) > 1 else 'that'} first, or keep it",
        code="in-use",
        name=what[:200],
        used_by=users,
    )


def no_such_blob(digest: str) -> NotFound:
    return NotFound(f"there is no blob {digest}; upload it first", code="no-such-blob", digest=digest)


def blob_damaged(digest: str) -> Unavailable:
    return Unavailable(
        f"the stored content of {digest} was damaged where the server keeps it; upload it again",
        code="blob-damaged",
        digest=digest,
    )


SHOWN_MISSING = 1_000
"""Digests that a refusal names; a client asks for the rest by sending the same again."""


def blobs_missing(what: str, missing: list[str]) -> Conflict:
    return Conflict(
        f"{len(missing):,} {what} are not in the blob store; upload them first, then send it again",
        code="blobs-missing",
        missing=missing[:SHOWN_MISSING],
        count=len(missing),
    )
