"""A throw-away Slurm: munged, slurmctld and four slurmd on ports of this machine, with directories of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dais.engines.slurm import SlurmOptions
from tests.support.needs import UNPRIVILEGED, needs_program, needs_root

NODES = 4
CORES, MEMORY = 16, 8000
"""Of each node: what Slurm believes, since nothing here uses them up. MiB."""
PATIENCE = 60.0
_CONF = """\
ClusterName=dais
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket
CredType=cred/munge
{tokens}StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/%n.pid
SlurmctldLogFile={place}/log/slurmctld.log
SlurmdLogFile={place}/log/%n.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
MessageTimeout=10
InactiveLimit=0
KillWait=2
UnkillableStepTimeout=10
MinJobAge=300
ProctrackType=proctrack/linuxproc
TaskPlugin=task/{task}
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,default_queue_depth=1000,bf_interval=1
NodeName={prefix}[1-{nodes}] NodeHostName=localhost NodeAddr=127.0.0.1 Port={ports} CPUs={cores} RealMemory={memory} \
Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={prefix}[1-{nodes}] Default=YES MaxTime=INFINITE State=UP
PartitionName=one Nodes={prefix}1 MaxTime=1 State=UP
"""
_TOKENS = "AuthAltTypes=auth/jwt\nAuthAltParameters=jwt_key={place}/jwt.key\n"
_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=no\n"


class Cluster:
    """A running Slurm. Jobs belong to the user `user`, whom everything that they need must let in."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.user = pwd.getpwuid(UNPRIVILEGED).pw_name
        self.conf = place / "slurm.conf"
        self.prefix = f"d{secrets.token_hex(3)}n"
        self.changes: dict[str, str] = {}
        """Lines of slurm.conf that are others here."""
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def nodes(self) -> list[str]:
        return [f"{self.prefix}{number}" for number in range(1, NODES + 1)]

    def options(self, **fields: object) -> SlurmOptions:
        """A group's options, tuned for tests."""
        quick = {"conf": str(self.conf), "user": self.user, "interval": 0.4, "settle": 1.0, "isolation": "sandbox"}
        return SlurmOptions(**(quick | fields))  # type: ignore[arg-type]

    def run(self, name: str, *words: str, given: str = "", user: int | None = None) -> str:
        """What one of Slurm's commands prints, as root unless told."""
        done = subprocess.run(
            [name, *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd="/",
            env={"PATH": os.environ["PATH"], "SLURM_CONF": str(self.conf)},
            user=user,
            group=user,
        )
        assert done.returncode == 0, (name, *words, done.stderr)
        return done.stdout.strip()

    def begin(self) -> None:
        """Start everything, and wait until all nodes are there."""
        for name in ("state", "spool", "log"):
            (self.place / name).mkdir()
        munge = self.place / "munge"
        munge.mkdir(mode=0o755)
        (munge / "key").write_bytes(secrets.token_bytes(1024))
        (munge / "key").chmod(0o400)
        first = free_ports(NODES + 1)
        self.conf.write_text(
            _CONF.format(
                host=socket.gethostname(),
                place=self.place,
                controller=first,
                ports=f"[{first + 1}-{first + NODES}]",
                prefix=self.prefix,
                nodes=NODES,
                cores=CORES,
                memory=MEMORY,
                task="cgroup" if self.counts_memory else "none",
                tokens=_TOKENS.format(place=self.place) if _has_tokens() else "",
            )
        )
        for line, other in self.changes.items():
            self.conf.write_text(self.conf.read_text().replace(line, other))
        (self.place / "cgroup.conf").write_text(_CGROUP)
        (self.place / "jwt.key").write_bytes(secrets.token_bytes(32))
        (self.place / "jwt.key").chmod(0o400)
        gres = []
        for number in range(2):
            os.mknod(self.place / f"gpu{number}", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            gres.append(f"Name=gpu File={self.place}/gpu{number}\n")
        (self.place / "gres.conf").write_text("".join(gres))
        files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        words = [f"--{option}={munge}/{name}" for option, name in files.items()]
        self._start("munged", "munged", "--foreground", "--force", *words)
        until((munge / "socket").exists, "munged")
        self.begin_accounting()
        self.begin_controller()
        self.begin_nodes()

    def begin_accounting(self) -> None:
        """There is none."""

    @property
    def counts_memory(self) -> bool:
        """Whether allocations have a control group that bounds their memory."""
        return os.access("/sys/fs/cgroup/memory", os.W_OK)

    def begin_controller(self, *, forgetful: bool = False) -> None:
        """Start it; `forgetful`, it has lost all that it knew of jobs and nodes."""
        self._start("slurmctld", "slurmctld", "-D", *(["-c"] if forgetful else []))

    def kill_controller(self) -> None:
        """KILL it once it has written down what it knows now: it would lose its newest jobs else."""
        now = time.time()
        until(lambda: (self.place / "state" / "job_state").stat().st_mtime > now, "the controller's state on disk")
        self.kill("slurmctld")

    def begin_nodes(self) -> None:
        for node in self.nodes:
            self.begin_node(node)
        until(self._all_idle, "all nodes")

    def begin_node(self, node: str) -> None:
        self._start(node, "slurmd", "-D", "-N", node)

    def begin_rest(self) -> str:
        """Start slurmrestd as the jobs' user, if it does not run; where it listens, for the option `rest`."""
        listening = self.place / "rest" / "socket"
        if "slurmrestd" not in self._daemons:
            needs_program("slurmrestd", "slurmrestd")
            listening.parent.mkdir(exist_ok=True)
            os.chown(listening.parent, UNPRIVILEGED, -1)
            listening.unlink(missing_ok=True)
            words = ("-a", "rest_auth/local", "-s", "openapi/v0.0.38", f"unix:{listening}")
            self._start("slurmrestd", "slurmrestd", *words, user=UNPRIVILEGED)
            until(listening.exists, "slurmrestd")
        return f"unix://{listening}"

    def begin_rest_with_tokens(self) -> str:
        """The same by TCP, for whoever has a token; skips where Slurm knows none."""
        if not _has_tokens():
            pytest.skip("needs Slurm's plugin auth_jwt (Debian: slurm-wlm-jwt-plugin)")
        needs_program("slurmrestd", "slurmrestd")
        port = free_ports(1)
        words = ("-a", "rest_auth/jwt", "-s", "openapi/v0.0.38", f"127.0.0.1:{port}")
        self._start("slurmrestd-tokens", "slurmrestd", *words, user=UNPRIVILEGED, SLURM_JWT="daemon")
        until(lambda: _listens(port), "slurmrestd")
        return f"http://127.0.0.1:{port}"

    def kill(self, name: str) -> None:
        """KILL a daemon (`slurmctld`, or a node's name), and nothing of what it started."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def crash(self, *nodes: str) -> None:
        """KILL nodes with all that runs on them, say so to Slurm, which would find out later, and start them again."""
        nodes = nodes or tuple(self.nodes)
        self.kill_all(*nodes)
        names = f"nodename={','.join(nodes)}"
        self.run("scontrol", "update", names, "state=down", "reason=lost power")
        for node in nodes:
            self.begin_node(node)
        with contextlib.suppress(AssertionError):  # one that has come back by itself has no state to resume from
            self.run("scontrol", "update", names, "state=resume")
        until(self._all_idle, "all nodes")

    def kill_all(self, *nodes: str) -> None:
        """KILL these nodes' daemons, and everything that they started."""
        for node in nodes:
            self.kill(node)
        for pid in self.processes(*nodes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(*nodes), "the end of what ran")

    def processes(self, *nodes: str) -> list[int]:
        """What Slurm has started on these nodes (all), its own step managers too."""
        found = []
        marks = [f"SLURMD_NODENAME={node}\0".encode() for node in nodes or self.nodes]
        groups = [f"/slurm_{node}/".encode() for node in nodes or self.nodes]
        managers = [f"{self.place}/spool/{node}".encode() for node in nodes or self.nodes]
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environ, group = (entry / "environ").read_bytes(), (entry / "cgroup").read_bytes()
                words = (entry / "cmdline").read_bytes()
                cwd = os.fsencode((entry / "cwd").readlink()) if words.startswith(b"slurmstepd") else b""
            except OSError:
                continue
            if any(mark in environ for mark in marks) or any(name in group for name in groups) or cwd in managers:
                found.append(int(entry.name))
        return found

    def end(self) -> None:
        """Stop everything, and leave nothing."""
        for name in sorted(self._daemons, key="munged".__eq__):
            daemon = self._daemons.pop(name)
            daemon.kill()
            daemon.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.processes(), "the end of what ran")
        for node in self.nodes:
            top = Path("/sys/fs/cgroup/memory") / f"slurm_{node}"
            for path in sorted(top.rglob("*/"), reverse=True) if top.exists() else []:
                path.rmdir()
            if top.exists():
                top.rmdir()

    def _start(self, name: str, *argv: str, user: int | None = None, **environment: str) -> None:
        with (self.place / "log" / f"{name}.out").open("ab") as out:
            environ = {"PATH": os.environ["PATH"], "SLURM_CONF": str(self.conf), **environment}
            self._daemons[name] = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environ,
                start_new_session=True,
                cwd="/",
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    def _all_idle(self) -> bool:
        try:
            states = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T").split()
        except AssertionError:
            return False
        return len(states) == NODES and not any(state.startswith(("down", "unk")) or "*" in state for state in states)


@contextlib.contextmanager
def slurm_cluster(kind: type[Cluster] = Cluster) -> Iterator[Cluster]:
    """A Slurm of its own; skips where its programs are missing, or this is not root."""
    needs_root()
    for program, package in (("slurmctld", "slurm-wlm"), ("slurmd", "slurm-wlm"), ("sbatch", "slurm-wlm"),
                             ("munged", "munge")):  # fmt: skip
        needs_program(program, package)
    place = Path(tempfile.mkdtemp(prefix="dais-slurm-"))
    place.chmod(0o755)
    cluster = kind(place)
    try:
        cluster.begin()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(place)


def _has_tokens() -> bool:
    """Whether Slurm's plugin for JSON Web Tokens is installed."""
    return any(Path("/usr/lib").glob("*/slurm*/auth_jwt.so"))


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def words_of(pid: int) -> bytes:
    """A process's command line; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until(condition: Callable[[], bool], what: str) -> None:
    """Ask until it is so; for what nobody tells."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.05)


_claimed: list[socket.socket] = []


def free_ports(count: int, start: int = 26800) -> int:
    """The first of so many ports in a row that nobody uses, and that no other test is given while this process lives.

    Between being found free and being listened on by a daemon a port is nobody's: a name that only one process of the
    machine can have, and that goes with it, says that it is taken.
    """
    for first in range(start, 60000, count):
        taken = []
        try:
            for port in range(first, first + count):
                claim = socket.socket(socket.AF_UNIX)
                taken.append(claim)
                claim.bind(f"\0dais-test-port-{port}")
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            for claim in taken:
                claim.close()
            continue
        _claimed.extend(taken)
        return first
    pytest.fail("no free ports")
