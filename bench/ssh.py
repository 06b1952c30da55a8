"""Bytes through the SSH gateway into a job that has no sshd, beside OpenSSH's server: a pipe, sftp, rsync, `-L`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.dial import SINK
from bench.harness import Bench, Row, main, ratios
from bench.load import free_port, wait_port
from bench.peers.processes import process
from bench.peers.sshd import CIPHER, openssh, options
from bench.server import dais
from bench.tunnels import send
from tests.support.ssh import Laptop

PORT = 7000
WAYS = {"pipe": "a pipe into `cat`", "sftp": "sftp put", "rsync": "rsync of one file", "forward": "`ssh -L`"}


def run(bench: Bench) -> None:
    missing = [name for name in ("ssh", "sftp", "rsync", "/usr/sbin/sshd") if shutil.which(name) is None]
    if missing:
        bench.absent(", ".join(missing), "install OpenSSH and rsync: there is nothing to compare with")
        return
    with ExitStack() as held:
        place = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="dais-bench-")))
        size = bench.pick(512, 32)
        content = place / "content"
        content.write_bytes(os.urandom(1 << 20) * size)
        server = held.enter_context(dais(isolation="sandbox", DAIS_SSH_PORT="0"))
        job = server.submit("python3", "-c", SINK, str(PORT), cpu=2, mem="1Gi")
        server.wait_output(job, b"up")
        laptop = Laptop(server)
        held.callback(shutil.rmtree, laptop.place)
        laptop.enrol()
        node = held.enter_context(openssh())
        app = free_port()
        held.enter_context(process(sys.executable, "-c", SINK, str(app)))
        wait_port(app)
        ours = Side((*laptop.options(), f"-oCiphers={CIPHER}"), f"{job.id}@127.0.0.1", "received", PORT)
        theirs = Side(options(node), node.name, f"{place}/received", app)
        for way in WAYS:
            measure = {
                "ours": partial(ours.rate, way, content, size),
                "theirs": partial(theirs.rate, way, content, size),
            }
            seen = bench.interleave(measure)
            bench.report(
                Row(figure=f"SSH gateway: {WAYS[way]}, {size:,} MiB into a job", ours=seen["ours"], unit="MiB/s",
                    peer="OpenSSH's sshd, the same client and cipher", theirs=seen["theirs"],
                    ratios=ratios(seen["ours"], seen["theirs"]))
            )  # fmt: skip


class Side:
    """A server of SSH, and where in it a file goes and a program listens that drops what it reads."""

    def __init__(self, told: Sequence[str], name: str, received: str, port: int) -> None:
        self._told, self._name, self._received, self._port = told, name, received, port

    def rate(self, way: str, content: Path, size: int) -> float:
        """MiB a second, with the connection's own beginning."""
        if way == "forward":
            return self._forwarded(size)
        script = f"put {content} {self._received}\n".encode()
        rsync = ("rsync", "--whole-file", "--ignore-times", "-e", shlex.join(("ssh", *self._told)))
        words = {
            "pipe": ("ssh", *self._told, self._name, "cat > /dev/null"),
            "sftp": ("sftp", *self._told, "-b", "-", self._name),
            "rsync": (*rsync, str(content), f"{self._name}:{self._received}"),
        }[way]
        begun = time.perf_counter()
        with content.open("rb") as file:
            given = {"input": script} if way == "sftp" else {"stdin": file}
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **given)
        return size / (time.perf_counter() - begun)

    def _forwarded(self, size: int) -> float:
        port = free_port()
        with process("ssh", *self._told, "-N", f"-L127.0.0.1:{port}:localhost:{self._port}", self._name):
            wait_port(port)
            return send(port, size)


if __name__ == "__main__":
    main(run)
