"""Uids for containers: each attempt has one of its own while anything of it lives, so that jobs never share a user."""

from __future__ import annotations

import errno
import fcntl
import heapq
import os

from dais.node import processes


class NoUid(Exception):
    """Every uid of the range is in use."""


REGISTER = "/run/dais-uids.lock"


class Leasing:
    """What a root supervisor may lease, and whose the files on disk are.

    `owner` and `group` are whose the files on disk are, and no container ever has them; containers see such files as
    their own through id-mapped mounts. `count` uids from `first` on are leased. Raises ValueError for impossible ones.
    """

    __slots__ = ("count", "first", "group", "owner")

    def __init__(self, owner: int, group: int, first: int, count: int) -> None:
        leased = range(first, first + count)
        if min(owner, group) < 1 or first < 1000 or count < 1 or leased.stop > 2**31:
            raise ValueError(f"uids {first} to {leased.stop - 1} beside the owner {owner}:{group} are no such ids")
        if owner in leased or group in leased:
            raise ValueError(f"uids {first} to {leased.stop - 1} cannot be leased: {owner}:{group} is the files' owner")
        self.owner = owner
        self.group = group
        self.first = first
        self.count = count

    @classmethod
    def parse(cls, text: str) -> Leasing:
        """From `owner:group:first:count`, as the supervisor is told. Raises ValueError."""
        owner, group, first, count = map(int, text.split(":"))
        return cls(owner, group, first, count)

    def __str__(self) -> str:
        return f"{self.owner}:{self.group}:{self.first}:{self.count}"


class Register:
    """Which uids any supervisor of this machine has leased: a lock on a byte of one file for each.

    The end of a container ends everything of its uid, so two supervisors must never lease the same one. The kernel lets
    go of the locks of a supervisor that dies. Where the file cannot be had each supervisor counts as the only one.
    """

    def __init__(self, path: str = REGISTER) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            self._fd = -1

    def claim(self, uid: int) -> bool:
        """False when another supervisor has it."""
        if self._fd < 0:
            return True
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, uid)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True

    def let_go(self, uid: int) -> None:
        """Others may lease it."""
        if self._fd >= 0:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, uid)


class Leases:
    """Which uids are taken. Always the lowest free one is given, so that few are ever used."""

    def __init__(self, leasing: Leasing, register: Register | None = None) -> None:
        self._register = register or Register()
        self._end = leasing.first + leasing.count
        self._next = leasing.first
        self._returned: list[int] = []

    def take(self) -> int:
        """The lowest uid that is not taken and has no process on this machine. Raises NoUid."""
        busy: list[int] = []
        try:
            while True:
                if self._returned:
                    uid = heapq.heappop(self._returned)
                elif self._next < self._end:
                    uid = self._next
                    self._next += 1
                else:
                    raise NoUid("every uid that containers may have is in use")
                if self._register.claim(uid):
                    if not processes.user_runs(uid):
                        return uid
                    self._register.let_go(uid)
                busy.append(uid)  # a predecessor's, or somebody else's: it may become free later
        finally:
            for uid in busy:
                heapq.heappush(self._returned, uid)

    def give_back(self, uid: int) -> None:
        """Its container has ended."""
        self._register.let_go(uid)
        heapq.heappush(self._returned, uid)


def kill_user(uid: int) -> None:
    """KILL every process of a user, wherever it hides. Does nothing where there is none.

    Done by a child that has become that user: the kernel then reaches all of them at once and nobody else.
    """
    if not processes.user_runs(uid):
        return
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, 9)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
