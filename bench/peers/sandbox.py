"""The same sandbox without Dais: the bwrap command that a no-op job gets, for a bare loop."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dais.engines.contract import Bind, Limits
from dais.engines.contract import LaunchSpec as Wanted
from dais.node.sandbox import ARGS_FD, DATA_FD, Plan
from dais.node.spec import LaunchSpec

USER = 13011


def bare_sandbox(program: str, directory: Path) -> tuple[list[str], list[str]]:
    """(prefix that drops the user, bwrap command) of /bin/true in a no-op job's sandbox; what it binds is made here."""
    root = os.geteuid() == 0
    uid = USER if root else os.getuid()
    for name in ("work", "tools", "data"):
        (directory / name).mkdir(mode=0o755)
    directory.chmod(0o755)
    if root:
        os.chown(directory / "work", uid, uid)
    wanted = Wanted(
        attempt_id="bare",
        argv=("/bin/true",),
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/work"},
        workdir="/home/work",
        binds=(
            Bind(source=str(directory / "work"), target="/home/work", read_only=False),
            Bind(source=str(directory / "tools"), target="/opt/dais/bin"),
        ),
        limits=Limits(cpu=0.25, memory=64 << 20, shm=32 << 20),
    )
    plan = Plan(LaunchSpec(msgspec.json.decode(msgspec.json.encode(wanted))), program, stage=False, uid=uid, gid=uid)
    held = plan.descriptors()
    try:
        options = os.pread(held[ARGS_FD], 1 << 20, 0).decode().split("\0")[:-1]
        words = _without_supervisor(options, held, directory / "data")
    finally:
        for fd in held.values():
            os.close(fd)
    prefix = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--"] if root else []
    return prefix, [program, *words, "--", "/bin/true"]


def _without_supervisor(options: list[str], held: dict[int, int], data: Path) -> list[str]:
    """The options, without the pipes to the supervisor, and with files in place of what comes by descriptor."""
    words: list[str] = []
    rest = iter(options)
    for word in rest:
        if word in ("--json-status-fd", "--block-fd"):
            next(rest)
        elif word == "--ro-bind-data":
            number = int(next(rest))
            path = data / str(number - DATA_FD)
            path.write_bytes(os.pread(held[number], 1 << 20, 0))
            words[-2:] = ["--ro-bind", str(path)]  # in place of its --perms: a bind keeps the file's own
        else:
            words.append(word)
    return words
