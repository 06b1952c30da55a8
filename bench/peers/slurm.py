"""A whole Slurm on this machine for as long as a block lasts: munged, one slurmctld, four slurmd of two CPUs each."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.load import free_port
from bench.peers.processes import process

NODES, CPUS = 4, 2
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
PATIENCE = 60.0

_conf = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/%n.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=60
MaxArraySize=10001
{nodes}
PartitionName=main Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""


def missing() -> list[str]:
    """The programs that are not here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextmanager
def slurm(directory: Path) -> Iterator[dict[str, str]]:
    """Run it in a directory; the environment for its commands, once every node is idle."""
    host = os.uname().nodename
    (directory / "state").mkdir()
    key = directory / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    ports = {f"n{index}": free_port() for index in range(1, NODES + 1)}
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} RealMemory=1000 State=UNKNOWN"
        for name, port in ports.items()
    ]
    conf = directory / "slurm.conf"
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "")
    conf.write_text(
        _conf.format(host=host, controller=free_port(), directory=directory, user=user, nodes="\n".join(nodes))
    )
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": _path()}
    munge = ["munged", "--foreground", "--force", f"--socket={directory}/munge.socket", f"--key-file={key}"]
    munge += [f"--{name}-file={directory}/munge.{name}" for name in ("pid", "log", "seed")]
    with ExitStack() as held:
        held.enter_context(process(*munge, env=environment))
        _wait(lambda: (directory / "munge.socket").exists(), "munged listens")
        held.enter_context(process("slurmctld", "-D", "-f", str(conf), env=environment))
        for name in ports:
            (directory / name).mkdir()
            held.enter_context(process("slurmd", "-D", "-N", name, "-f", str(conf), env=environment))
        _wait(lambda: _idle(environment) == NODES, "every node is idle")
        yield environment


def command(environment: dict[str, str], *words: str) -> str:
    """What a command of Slurm prints."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, f"{words} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def _idle(environment: dict[str, str]) -> int:
    done = subprocess.run(
        ["sinfo", "-h", "-N", "-t", "idle"], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return len(done.stdout.splitlines())


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.1)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
