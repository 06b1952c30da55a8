"""What is run for a shell or a command, and what is said of one that the image lacks."""

from __future__ import annotations

import re

NOT_FOUND = 127

_SHELL = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"
_COMMAND = 'command -v bash >/dev/null 2>&1 && exec bash -c "$0"; exec sh -c "$0"'
_rsync = re.compile(r"(?:\S*/)?rsync --server\b")
_scp = re.compile(r"(?:\S*/)?scp (?:-\S+ )*-[tf]\b")


def shell_argv(command: str | None) -> tuple[str, ...]:
    """The command line inside the job: bash where there is one, else sh; None is a shell for a person.

    It is no login shell: `/etc/profile` would hide the job's own environment behind the system's PATH.
    """
    return ("sh", "-c", _SHELL) if command is None else ("sh", "-c", _COMMAND, command)


def explanation(command: str, code: int) -> str:
    """What to say beside the exit code, if anything."""
    if code != NOT_FOUND:
        return ""
    if _rsync.match(command):
        return (
            "rsync must be in the job's image too, and is not: install it there (`apt-get install rsync`), or copy "
            "with sftp or scp, which need nothing"
        )
    if _scp.match(command):
        return "the old protocol of scp (-O) needs scp in the job's image; without -O scp needs nothing there"
    return ""
