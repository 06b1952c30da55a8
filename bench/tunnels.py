"""TCP into a job by `dais job port-forward`, beside nginx's stream proxy and `ssh -L` to the same program outside.

The program reads and drops, and says one byte at the end: what is measured is what was received there.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.dial import BLOCK, SINK
from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port, wait_port
from bench.peers.processes import process
from bench.peers.sshd import forwarded
from bench.server import dais
from tests.support.installation import DAIS, Installation

PORT = 7000
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
CONFIGURATION = """
load_module {module}; daemon off; error_log stderr; pid {directory}/pid; worker_processes 1; user root;
events {{ worker_connections 1024; }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{app}; proxy_half_close on; }} }}
"""


def run(bench: Bench) -> None:
    if shutil.which("nginx") is None or not STREAM.exists():
        bench.absent("nginx with its stream module", "install libnginx-mod-stream: there is nothing to compare with")
        return
    with ExitStack() as held:
        place = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="dais-bench-")))
        server = held.enter_context(dais(isolation="sandbox"))
        app = free_port()
        held.enter_context(process(sys.executable, "-c", SINK, str(app)))
        wait_port(app)
        ports = {
            "ours": held.enter_context(_into_a_job(server)),
            "nginx": held.enter_context(_nginx(place, app)),
            "ssh": held.enter_context(forwarded(app)),
        }
        size = bench.pick(2048, 128)
        sides: dict[str, Callable[[], float]] = {name: partial(send, port, size) for name, port in ports.items()}
        for port in ports.values():
            send(port, 16)  # what comes first is slower
        seen = bench.interleave(sides)
    bench.report(
        *(
            Row(figure=f"{size:,} MiB into a job by port-forward", ours=seen["ours"], unit="MiB/s", peer=peer,
                theirs=seen[name], ratios=ratios(seen["ours"], seen[name]), aim=aim)
            for name, peer, aim in (
                ("nginx", "nginx stream, 1 worker", Aim(number="15", must=0.5, should=0.8)),
                ("ssh", "ssh -L through OpenSSH", None),
            )
        )
    )  # fmt: skip


def send(port: int, size: int) -> float:
    """MiB a second, until the other side has read the last byte."""
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        for _ in range(size):
            sock.sendall(BLOCK)
        sock.shutdown(socket.SHUT_WR)
        if sock.recv(1) != b"x":
            raise ConnectionError(f"port {port}: the other side has not read all of it")
    return size / (time.perf_counter() - begun)


@contextmanager
def _into_a_job(server: Installation) -> Iterator[int]:
    """The program in a job, and a port that leads to it."""
    job = server.submit("python3", "-c", SINK, str(PORT), cpu=1, mem="256Mi")
    server.wait_output(job, b"up")
    words = [*DAIS, "job", "port-forward", job.id, f"0:{PORT}", "--json"]
    with subprocess.Popen(words, env=server.environment, stdout=subprocess.PIPE) as forward:
        assert forward.stdout is not None
        try:
            yield int(json.loads(forward.stdout.readline())["port"])
        finally:
            forward.terminate()


@contextmanager
def _nginx(place: Path, app: int) -> Iterator[int]:
    port = free_port()
    path = place / "nginx.conf"
    path.write_text(CONFIGURATION.format(module=STREAM, directory=place, port=port, app=app))
    with process("nginx", "-p", str(place), "-c", str(path)):
        wait_port(port)
        yield port


if __name__ == "__main__":
    main(run)
