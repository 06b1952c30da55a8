"""What jobs would find on a node: a small job of its own looks, and writes it down for the server.

`--shared DIR` is the group's directory, `--out FILE` (in it) where the answer goes, `--nonce WORD` what it must hold,
so that the server knows that both see the same file system.
"""

from __future__ import annotations

import os
import sys

from dais.node import bundle, seccomp
from dais.node.allocation import node_name
from dais.node.around import find_around
from dais.node.launch import Machine
from dais.node.lean import dumps
from dais.node.probe import probe
from dais.node.settling import give_up_privileges, settle
from dais.node.spawn import reserve_low_descriptors


def main() -> None:
    """Look, write, end."""
    needed = list(sys.modules)  # by a supervisor; more is imported now to look
    arguments = sys.argv[1:]
    shared, out, nonce = (arguments[arguments.index(name) + 1] for name in ("--shared", "--out", "--nonce"))
    os.closerange(3, 65_536)
    reserve_low_descriptors()
    os.umask(0o077)
    os.chdir("/")
    settle()
    machine = Machine()
    isolation = probe(machine, None, seccomp.load(shared))
    give_up_privileges(machine)
    around = find_around()
    if around is not None and around.bounded:
        isolation["cgroup"] = around.version
        isolation["controllers"] = ["memory"]
    answer = {
        "nonce": nonce,
        "node": node_name(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "python": getattr(sys, "_base_executable", sys.executable),
        "version": ".".join(map(str, sys.version_info[:3])),
        "prefix": os.path.realpath(sys.base_prefix),
        "isolation": isolation,
        "gpus": sorted(f"/dev/{name}" for name in os.listdir("/dev") if name[:6] == "nvidia" and name[6:].isdigit()),
        "apptainer": _found("apptainer"),
    }
    try:
        bundle.write(needed)
    except OSError as error:
        print(f"the program cannot be laid down in one file: {error}", file=sys.stderr)  # noqa: T201
    with open(f"{out}.new", "w", encoding="utf-8") as file:
        file.write(dumps(answer))
    os.replace(f"{out}.new", out)


def _found(name: str) -> str | None:
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return next((path for place in places if os.access(path := f"{place}/{name}", os.X_OK)), None)
