"""Attempts of mapped Unix users: what of them is that user's, and how the server stays safe from what it finds there.

Below the group's directory, which everybody may pass through and nobody read, each user has one of the server's:
`users/NAME`, with `attempts`, `news` and `nodes` as a group has them. The user's own supervisor writes there, and so
may the user. So the server keeps its own records (`job`, `end`, `told`) elsewhere, writes there only files that it
makes anew, and reads only regular files, so many bytes of each, through no link.

What a job is given is copied there: into `given` by the server, from there into `own` by the supervisor, so that
it belongs to the user. What only the user can remove (`own`, after its node has died) goes to `trash`, which the user's
next supervisor empties.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import Bind, LaunchRefused, LaunchSpec
from dais.engines.slurm.acl import ALL, ENTER, READ, share, share_content
from dais.engines.slurm.options import SlurmOptions
from dais.node.allocation import GIVEN, IMAGES, NEWS, OWN, PROBED, TRASH
from dais.node.belongings import copy
from dais.node.logs import SEGMENT_BYTES

LEAST_UID = 1000
SEGMENT_MOST = SEGMENT_BYTES + (16 << 20)
"""Beyond this many bytes a file is no segment of a log that a supervisor wrote."""


class Unix(msgspec.Struct, frozen=True, kw_only=True):
    """The Unix user of an attempt. `log` is how many bytes it may print."""

    name: str
    uid: int
    log: int = 1 << 30

    def holds(self, segment: int, offset: int) -> bool:
        """Whether a log of so many bytes may reach this far: who writes it may write without end."""
        return offset <= SEGMENT_MOST and segment <= 2 * (self.log // SEGMENT_BYTES) + 2


def unix_of(spec: LaunchSpec, options: SlurmOptions, server: int) -> Unix | None:
    """Whose Unix user's job it is; None for the group's own, which has the uid `server`.

    Raises LaunchRefused with what is missing.
    """
    people = options.people
    if people is None:
        return None
    if not spec.owner:
        if spec.labels:  # of somebody's, then, and not the server's own
            raise LaunchRefused(f"it is not said whose Unix user's {spec.attempt_id} is")
        return None
    name = people.of(spec.owner)
    if name is None:
        raise LaunchRefused(f"user {spec.owner} has no Unix user in this group; its option users names them")
    if problem := unix_problem(name, server):
        raise LaunchRefused(problem)
    if folder := next((bind.target for bind in spec.binds if bind.exact), None):
        raise LaunchRefused(f"{folder} is a folder, which a job of the Unix user {name} cannot be given")
    return Unix(name=name, uid=pwd.getpwnam(name).pw_uid, log=spec.limits.log)


def unix_problem(name: str, server: int) -> str | None:
    """Why nobody's jobs can be this Unix user's, where the server's own has the uid `server`."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        return f"this machine does not know the Unix user {name}; the nodes must know the same"
    if uid < LEAST_UID:
        return f"{name} has uid {uid}, a system user's: jobs run as uids of at least {LEAST_UID}"
    if uid == server:
        return f"{name} is the server's own user, whose jobs nobody else can have"
    return None


class UserPlaces:
    """The directories of one group's mapped users. `server` is the uid that the server's files belong to."""

    def __init__(self, directory: Path, server: int, gid: int, own_directories: Iterable[str]) -> None:
        self._top = directory / "users"
        self._server = server
        self._gid = gid
        self._shown = tuple(own_directories)

    def shared(self, unix: Unix) -> Path:
        """What all attempts of a user have together."""
        return self._top / unix.name

    def place(self, unix: Unix, attempt_id: str) -> Path:
        return self._top / unix.name / "attempts" / attempt_id

    def names(self) -> list[str]:
        """The users who have a directory."""
        try:
            return [entry.name for entry in os.scandir(self._top) if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def news(self, name: str) -> Path:
        return self._top / name / NEWS

    def make(self, unix: Unix, filter_file: Path) -> None:
        """A user's directories, with the filter of system calls. Raises OSError."""
        shared = self.shared(unix)
        for path in (self._top.parent, self._top):
            path.mkdir(exist_ok=True)
            path.chmod(0o711)
        self._own(self._top)
        rights = {shared: ENTER | READ, shared / "attempts": ENTER}
        rights |= {shared / name: ALL for name in (NEWS, PROBED, TRASH, IMAGES)}
        for path, right in rights.items():
            path.mkdir(mode=0o700, exist_ok=True)
            self._own(path)
            share(path, {unix.uid: right})
        seccomp = shared / filter_file.name
        if filter_file.exists() and not seccomp.exists():
            shutil.copyfile(filter_file, seccomp)
            seccomp.chmod(0o644)
            self._own(seccomp)

    def prepare(self, unix: Unix, spec: LaunchSpec) -> tuple[LaunchSpec, dict[str, Any]]:
        """An attempt's directory with what its job is given; the launch as it is then, and what its supervisor is
        told beside. Raises OSError.

        The user is let in when all is laid down: who may write there meanwhile could turn `given` into a link, and
        have the server write, with its own rights, wherever that leads.
        """
        place = self.place(unix, spec.attempt_id)
        place.mkdir(mode=0o700, exist_ok=True)
        self._own(place)
        share(place, {})
        share_content(place, {unix.uid: ALL, self._server: ALL})
        given = place / GIVEN
        shutil.rmtree(given, ignore_errors=True)
        given.mkdir(mode=0o750)
        binds: list[Bind] = []
        mine: list[str] = []
        for number, bind in enumerate(spec.binds):
            copy(bind.source, f"{given}/{number}")
            there = place / GIVEN / str(number) if bind.read_only else place / OWN / str(number)
            if not bind.read_only:
                mine.append(str(number))
            binds.append(msgspec.structs.replace(bind, source=str(there)))
        for pattern in self._shown:
            path = pattern.replace("{user}", unix.name)
            binds.append(Bind(source=path, target=path, read_only=False))
        share(place, {unix.uid: ALL})
        told = {"user": unix.name, "own": mine}
        return msgspec.structs.replace(spec, binds=tuple(binds), uid=None, gid=None, lease=False), told

    def remove(self, unix: Unix, attempt_id: str) -> None:
        """Remove an attempt's directory; what only its user can remove is put where that user's next job does so."""
        place = self.place(unix, attempt_id)
        shutil.rmtree(place, ignore_errors=True)
        if os.path.lexists(place):
            try:
                place.rename(self.shared(unix) / TRASH / attempt_id)
            except OSError:
                pass  # it is found again by the next server

    def _own(self, path: Path) -> None:
        if path.stat().st_uid != self._server:
            os.chown(path, self._server, self._gid)
