"""The supervisor as a program: `--dir DIR` serves, `--detach` does so in the background, `--clean` only cleans up.

`--idle SECONDS` is how long it stays when nobody needs it; `--lease OWNER:FIRST:COUNT` are the uids that it leases (see
`Leasing`); with `--server-apart` their owner is the server, is not root, and is held to what `Fence` allows;
`--allow-root` see `Machine`; `--remote FILE` lets a server on another machine in, see `bridging`. `--probe` only tries
what this machine can do with what lies in DIR, prints it as JSON, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys

from dais.node import seccomp
from dais.node.bridging import Bridging, read_facts
from dais.node.control import Server
from dais.node.fence import Fence
from dais.node.guard import Guard
from dais.node.journal import Journal
from dais.node.launch import Machine
from dais.node.launcher import supervisor_command
from dais.node.leases import Leasing
from dais.node.probe import probe
from dais.node.recovery import clear, remove_groups
from dais.node.roots import Roots
from dais.node.settling import give_up_privileges, settle, take_lock
from dais.node.spawn import reserve_low_descriptors
from dais.node.supervisor import IDLE_SECONDS, Supervisor, groups_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dais.node.journal import Past


def main() -> None:
    """Run the supervisor of one directory; returns when another one serves it already."""
    arguments = sys.argv[1:]
    leasing = Leasing.parse(arguments[arguments.index("--lease") + 1]) if "--lease" in arguments else None
    if "--probe" in arguments:
        _probe_only(leasing, (arguments[arguments.index("--dir") + 1],) if "--dir" in arguments else ())
        return
    node_dir = os.path.realpath(arguments[arguments.index("--dir") + 1])
    # What a caller left open would end up in every container.
    os.closerange(3, 65_536)
    reserve_low_descriptors()
    if "--detach" in arguments:
        _detach()
    os.umask(0o077)
    apart, cleaning = "--server-apart" in arguments, "--clean" in arguments
    if apart:
        _check_place(node_dir)
    elif not cleaning:
        os.makedirs(node_dir, mode=0o700, exist_ok=True)
        os.chmod(node_dir, 0o700)
    lock = take_lock(node_dir, cleaning=cleaning)
    if lock is None:
        return
    if cleaning:
        clear(Journal(f"{node_dir}/journal").load())
        return
    remote = read_facts(arguments[arguments.index("--remote") + 1]) if "--remote" in arguments else None
    os.chdir("/")
    settle()
    idle = float(arguments[arguments.index("--idle") + 1]) if "--idle" in arguments else IDLE_SECONDS
    machine = Machine(allow_root="--allow-root" in arguments and not apart, leasing=leasing)
    if apart and leasing is not None:
        machine.server_uid = leasing.owner
        os.umask(0o027)  # the server reads the logs, as the directory's group
    _serve(node_dir, machine, idle, remote)


def _serve(node_dir: str, machine: Machine, idle_seconds: float, remote: dict[str, Any] | None) -> None:
    journal = Journal(f"{node_dir}/journal")
    past = journal.load()
    left = clear(past)
    above = os.path.dirname(node_dir)
    machine.places = (node_dir, *(f"{above}/{name}" for name in ("folders", "jobs", "envs")))
    machine.roots = Roots(node_dir)
    machine.fence = Fence(above, strict=machine.server_uid is not None)
    isolation = probe(machine, group_name(node_dir), seccomp.load(node_dir))
    if machine.cgroups is not None:
        # What a predecessor left that died before its journal could name them.
        remove_groups([(machine.cgroups.version, machine.cgroups.bases)])
    give_up_privileges(machine)
    supervisor = Supervisor(node_dir, machine, journal, past, idle_seconds)
    supervisor.remember(past)
    _tell_lost(supervisor, past, left)
    try:
        journal.append([groups_line(machine)])
    except OSError as error:
        print(f"the journal cannot be written: {error}", file=sys.stderr)  # noqa: T201
    supervisor.loop.install_signals()
    signal.signal(signal.SIGTERM, lambda *_: setattr(supervisor, "end_requested", True))
    server = Server(supervisor, isolation)
    guard = Guard(supervisor, own_command(node_dir, "--clean"))
    if remote is not None:
        Bridging(supervisor, remote)
    supervisor.run()
    server.close()
    if machine.cgroups is not None:
        machine.cgroups.remove_base()
    guard.dismiss()


def _probe_only(leasing: Leasing | None, places: tuple[str, ...]) -> None:
    os.closerange(3, 65_536)
    reserve_low_descriptors()
    os.chdir("/")
    settle()
    machine = Machine(leasing=leasing)
    machine.places = places
    given = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    found = probe(machine, f"dais-probe-{os.getpid()}", seccomp.checked(given))
    if machine.cgroups is not None:
        machine.cgroups.remove_base()
    print(json.dumps(found))  # noqa: T201 - what it is asked for


def own_command(node_dir: str, *options: str) -> list[str]:
    """The command line that runs this program with this interpreter."""
    return [*supervisor_command(), "--dir", node_dir, *options]


def _check_place(node_dir: str) -> None:
    """Root writes into this directory: nobody else may be able to put another one in its place. Raises OSError."""
    for path in (node_dir, os.path.dirname(node_dir)):
        status = os.lstat(path)
        movable = status.st_mode & 0o022 and not (path != node_dir and status.st_mode & stat.S_ISVTX)
        if status.st_uid != 0 or movable or not stat.S_ISDIR(status.st_mode):
            raise PermissionError(1, "the supervisor writes as root where others can write, too", path)


def _detach() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()


def _tell_lost(supervisor: Supervisor, past: Past, left: list[int]) -> None:
    """What ran when the predecessor died has ended with it."""
    detail = "the node's supervisor ended without stopping it"
    if left:
        detail += f"; processes {left} could not be killed"
    for attempt_id in past.unfinished:
        supervisor.end_unknown(attempt_id, "lost", detail)
    supervisor.tell()


def group_name(node_dir: str) -> str:
    """A name that no other directory of this machine has, and this one has each time."""
    status = os.stat(node_dir)
    return f"dais-{status.st_dev:x}-{status.st_ino:x}"
