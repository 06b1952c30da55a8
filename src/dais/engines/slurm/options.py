"""What a resource group on Slurm is attached with. No secret is among it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dais.engines.contract.people import UnixUsers

_word = msgspec.Meta(pattern=r"^[^\s\x00-\x1f]*$")
Word = Annotated[str, _word]
UserPair = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}=[a-z_][a-z0-9_-]{0,31}$")]


class SlurmOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How jobs reach Slurm, and what each of them asks it for.

    `partition` (else Slurm's default one), `account`, `qos`, `constraint` and `reservation` go to sbatch as they are;
    `extra` are further options of it, `--name=value` each. `gpu` is what Slurm calls the GPUs (`gpu`, or `gpu:a100`).
    `bid` says what becomes of a job's bid: `nice` lowers the niceness by it, from 1000 down to 0; `priority` makes it
    the priority (operators of Slurm alone may); `none` leaves the order to Dais.

    `bin` is the directory of Slurm's commands (else they are on PATH), `conf` the path of `slurm.conf` where it is not
    the usual one. `login` is a machine that they are called on by ssh (`user@host`), where the server has none, with
    `ssh` as further options. `user` is the Unix user that owns the jobs, where the server is root; else they are the
    server's own user's.

    `rest` is where slurmrestd is asked instead of the commands, `unix:///run/slurmrestd/socket` or
    `http://host:6820`; `rest_token` the path of a file with a token of Slurm's (JWT), where that wants one, and
    `rest_version` the version of its interface.

    `map_users`: jobs are submitted as the Unix user of whoever submitted them to Dais, and run as that. `users` say who
    is who, `ID=unix` each with the id of a user of Dais; others are refused. Sudo must let the server's user run sbatch
    and scancel as them. `own_directories` are shown to their jobs, with `{user}` for the Unix user's name.

    `directory` is one on a file system that the server and all nodes share, by the same path; else it is below the data
    directory, which is then on such a file system. `python` is a Python >= 3.11 on the nodes and `isolation` what they
    can do: both are found by a small job when they are not given. `apptainer` is its program on the nodes, where it is
    not on their PATH; with it jobs can start from images (unverified: see `dais.node.apptainer`).

    `interval` is how often, in seconds, Slurm is asked for the state of all jobs, `settle` how long the file system may
    take to show what a node wrote. `overhead` is memory, in MiB, that each job asks for beyond its own: the
    supervisor's, and that of commands which people run in it. `lookahead` is how many jobs more than fit are handed to
    Slurm; else as many as there are nodes.
    """

    partition: Word = ""
    account: Word = ""
    qos: Word = ""
    constraint: Word = ""
    reservation: Word = ""
    extra: tuple[Annotated[str, msgspec.Meta(pattern=r"^--[a-z][a-z-]*(=[^\x00-\x1f]*)?$")], ...] = ()
    gpu: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][\w.:-]*$")] = "gpu"
    bid: Literal["nice", "priority", "none"] = "none"
    bin: str = ""
    conf: str = ""
    login: Annotated[str, msgspec.Meta(pattern=r"^([^\s-][^\s]*)?$")] = ""
    ssh: tuple[str, ...] = ()
    user: Word = ""
    rest: Annotated[str, msgspec.Meta(pattern=r"^(unix:///[^\s]+|https?://[^\s/]+/?)?$")] = ""
    rest_token: Annotated[str, msgspec.Meta(pattern=r"^(/.*)?$")] = ""
    rest_version: Annotated[str, msgspec.Meta(pattern=r"^v[0-9]+\.[0-9]+\.[0-9]+$")] = "v0.0.38"
    map_users: bool = False
    users: tuple[UserPair, ...] = ()
    own_directories: tuple[Annotated[str, msgspec.Meta(pattern=r"^/[^\x00-\x1f]+$")], ...] = ()
    directory: str = ""
    python: str = ""
    isolation: Literal["", "sandbox", "process"] = ""
    apptainer: Annotated[str, msgspec.Meta(pattern=r"^(/[^\x00-\x1f]+)?$")] = ""
    interval: Annotated[float, msgspec.Meta(ge=0.1, le=600)] = 5.0
    settle: Annotated[float, msgspec.Meta(ge=0, le=600)] = 15.0
    overhead: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 64
    lookahead: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        if self.rest and self.login:
            raise ValueError("Slurm is asked by slurmrestd (rest) or on a login node (login), not by both")
        if self.rest_token and not self.rest:
            raise ValueError("rest_token is the token for slurmrestd: say where that is (rest)")
        if not self.map_users and (self.users or self.own_directories):
            raise ValueError("users and own_directories are for mapped users: say map_users=true, too")
        if self.map_users and not self.directory:
            raise ValueError(
                "map_users needs a directory of its own (directory), through which the users may pass; the data "
                "directory stays closed to them"
            )
        if self.map_users and self.rest:
            raise ValueError("map_users needs Slurm's commands, run as the user by sudo: slurmrestd (rest) has no such")
        if self.map_users and self.isolation == "process":
            raise ValueError("map_users needs the sandbox: leave isolation out")

    @property
    def people(self) -> UnixUsers | None:
        """Who is which Unix user; None where all jobs are one user's."""
        if not self.map_users:
            return None
        return UnixUsers(map_users=True, users=self.users)
