"""What a job in an allocation can reach: nothing of other jobs, of its supervisor, of Slurm or of Dais."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from dais.engines.contract import File, LaunchSpec
from dais.engines.slurm import SlurmEngine
from tests.support.engines import Watcher, eventually, output, printed, read_log
from tests.support.slurm import Cluster, words_of
from tests.support.slurm_harness import SlurmHarness

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECRET = "correct-horse-battery-staple"
ATTACK = """\
import glob, json, os, socket, sys

directory, munge, conf, port = sys.argv[1:]
found = {}

def attempt(name, action):
    try:
        found[name] = repr(action())[:200]
    except BaseException as error:
        found[name] = None

def content(path):
    try:
        return open(path, "rb").read()
    except OSError:
        return b""

attempt("own directory", lambda: os.listdir(directory))
attempt("all attempts", lambda: os.listdir(os.path.dirname(directory)))
attempt("journal", lambda: open(directory + "/journal").read())
attempt("stop", lambda: open(directory + "/stop", "w"))
attempt("supervisor", lambda: socket.socket(socket.AF_UNIX).connect(directory + "/supervisor.sock"))
attempt("munge", lambda: socket.socket(socket.AF_UNIX).connect(munge))
attempt("slurm.conf", lambda: open(conf).read())
attempt("server", lambda: socket.create_connection(("127.0.0.1", int(port)), 2))
attempt("other processes", lambda: [p for p in glob.glob("/proc/[0-9]*") if int(p[6:]) > 50] or 1 / 0)
attempt("environments", lambda: [p for p in glob.glob("/proc/[0-9]*/environ") if b"SLURM" in content(p)][0])
attempt("slurm variables", lambda: [n for n in os.environ if n.startswith(("SLURM", "MUNGE"))] or 1 / 0)
attempt("submit", lambda: os.popen("SLURM_CONF=%s timeout 3 sbatch --wrap=true 2>&-" % conf).read() or 1 / 0)
attempt("signal the supervisor", lambda: os.kill(os.getppid(), 0) if os.getppid() > 1 else 1 / 0)
attempt("control group", lambda: open(glob.glob("/sys/fs/cgroup/memory/*/*/*/*/memory.limit_in_bytes")[0], "w"))
print("FOUND " + json.dumps({name: what for name, what in found.items() if what is not None}), flush=True)
"""


@pytest.mark.parametrize("isolation", ["sandbox", "process"])
async def test_a_job_reaches_nothing_outside_its_sandbox(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher, isolation: str
) -> None:
    """Without a sandbox the same attacks succeed: what they aim at is there."""
    victim = harness.spec(("print", "here"), ("sleep-forever",), env={"PATH": "/usr/bin:/bin", "TOKEN": SECRET})
    [running] = await engine.launch([victim])
    await watcher.running(victim.attempt_id)
    await printed(engine, running, b"here\n")
    stream = await engine.exec(running, ("true",), env={}, workdir=None, pty=None)  # its bridge is there, too
    await stream.close()
    place = harness.cluster.place
    with socket.create_server(("127.0.0.1", 0)) as server:
        targets = [
            str(harness.directory / "attempts" / victim.attempt_id),
            str(place / "munge" / "socket"),
            str(harness.cluster.conf),
            str(server.getsockname()[1]),
        ]
        attacker = harness.spec(argv=("/usr/bin/python3", "-c", ATTACK, *targets), isolation=isolation)
        [handle] = await engine.launch([attacker])
        end = await watcher.over(attacker.attempt_id)
    said = output(await read_log(engine, handle)).decode()
    assert end.exit_code == 0, said
    found = json.loads(said.partition("FOUND ")[2])
    if isolation == "sandbox":
        assert found == {}
    else:
        assert {"own directory", "all attempts", "journal", "stop", "supervisor", "munge", "slurm.conf", "server",
                "other processes", "environments", "submit", "signal the supervisor"} <= found.keys()  # fmt: skip


async def test_secrets_of_a_launch_are_on_no_disk_and_in_no_command_line(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    cluster = harness.cluster
    cluster.run("scontrol", "update", f"nodename={','.join(cluster.nodes)}", "state=drain", "reason=a pause")
    try:
        spec = harness.spec(
            ("env", "TOKEN"),
            ("cat", "/run/secret"),
            ("sleep-forever",),
            env={"PATH": "/usr/bin:/bin", "TOKEN": SECRET},
            files=(File(target="/run/secret", content=SECRET[::-1].encode()),),
        )
        [handle] = await engine.launch([spec])
        await eventually(lambda: _queued(cluster, spec), "the job in the queue")
        assert await asyncio.to_thread(holders, cluster.place) == []
    finally:
        cluster.run("scontrol", "update", f"nodename={','.join(cluster.nodes)}", "state=resume")
    await watcher.running(spec.attempt_id)
    await printed(engine, handle, SECRET[::-1].encode())
    # Only what the job itself has printed holds them now.
    left = await asyncio.to_thread(holders, cluster.place)
    assert [path.suffix for path in left] == [".seg"]
    assert not [pid for pid in cluster.processes() if SECRET.encode() in words_of(pid)]
    assert not (harness.directory / "attempts" / spec.attempt_id / "launch").exists()


def holders(place: Path) -> list[Path]:
    """Files that hold one of the secrets."""
    found = []
    for directory, _, names in os.walk(place):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if SECRET.encode() in content or SECRET[::-1].encode() in content:
                    found.append(path)
    return found


async def _queued(cluster: Cluster, spec: LaunchSpec) -> bool:
    return spec.attempt_id in cluster.run("squeue", "--noheader", "--format=%j")
