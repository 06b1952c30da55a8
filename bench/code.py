"""Code sessions: asked for until the first cell is answered, and a cell's round trip, beside Jupyter's own.

Beside the first stand a kernel that is started cold by jupyter_client, and a Jupyter server, which is what JupyterHub
starts for each user, until a kernel of its answers the same cell. Beside the round trip stands jupyter_client.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import connect

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import free_port
from bench.server import dais
from dais.sdk import Client
from tests.support.installation import Installation
from tests.support.jupyter import KERNEL, with_ipykernel

PATIENCE = 120.0
CELL, WORTH = "1 + 1", "2"


def run(bench: Bench) -> None:
    if importlib.util.find_spec("ipykernel") is None or importlib.util.find_spec("jupyter_server") is None:
        bench.absent("Jupyter", "install requirements/bench.txt (make bench does)")
        return
    with dais(isolation="auto", DAIS_COMPUTE_CODE_POOL="1", DAIS_COMPUTE_INTERACTIVE_PER_USER="0") as server:
        _first_answers(bench, server)
        _round_trips(bench, server)


def _first_answers(bench: Bench, server: Installation) -> None:
    client = server.client()
    _end(server, _open(client)[0])
    sides = {
        "warm": lambda: _from_the_pool(server),
        "cold": lambda: _submitted(server),
        "kernel": _cold_kernel,
        "server": _jupyter_server,
    }
    seen = bench.interleave(sides)
    ours = seen["warm"]
    bench.report(
        Row(figure="session asked for to its first answer, from the pool", ours=ours, unit="s",
            peer="ipykernel started cold by jupyter_client", theirs=seen["kernel"],
            ratios=ratios(seen["kernel"], ours), aim=Aim(number="18", must=10, should=20)),
        Row(figure="the same", ours=ours, unit="s", theirs=seen["server"],
            peer="a Jupyter server with a kernel, as JupyterHub starts for each user",
            ratios=ratios(seen["server"], ours)),
        Row(figure="the same, in seconds", ours=ours, unit="s", aim=Aim(number="", must=0.5, at_most=True)),
        Row(figure="session asked for to its first answer, without the pool", ours=seen["cold"], unit="s",
            peer="ipykernel started cold by jupyter_client", theirs=seen["kernel"],
            ratios=ratios(seen["kernel"], seen["cold"])),
    )  # fmt: skip


def _round_trips(bench: Bench, server: Installation) -> None:
    count = bench.pick(200, 20)
    client = server.client()
    own, _ = _open(client)
    installed = with_ipykernel(server)
    list(client.code.run(installed, CELL, kernel=KERNEL))
    with _kernel() as bare:
        seen = bench.interleave(
            {
                "dais": lambda: _trip(count, lambda: _cell(client, own)),
                "same": lambda: _trip(count, lambda: _cell(client, installed, KERNEL)),
                "bare": lambda: _trip(count, lambda: _execute(bare)),
            }
        )
    _end(server, own)
    bench.report(
        *(
            Row(figure=f"a cell's round trip, median, {what}", ours=seen[side], unit="ms", theirs=seen["bare"],
                peer="ipykernel by jupyter_client", ratios=ratios(seen[side], seen["bare"]), aim=aim)
            for side, what, aim in (
                ("dais", "the built-in kernel", Aim(number="19", must=1.5, should=1.15, at_most=True)),
                ("same", "ipykernel in a sandbox", Aim(number="", must=1.5, should=1.15, at_most=True)),
            )
        )
    )  # fmt: skip


def _trip(count: int, cell: Callable[[], None]) -> float:
    """Milliseconds of one, the median of so many."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        cell()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


# -- ours ------------------------------------------------------------------------------------------------------


def _open(client: Client) -> tuple[str, float]:
    begun = time.perf_counter()
    job = client.code.open().id
    _cell(client, job)
    return job, time.perf_counter() - begun


def _cell(client: Client, job: str, kernel: str = "python") -> None:
    answers = list(client.code.run(job, CELL, kernel=kernel))
    assert WORTH in str([item for answer in answers for item in answer.console]), answers


def _from_the_pool(server: Installation) -> float:
    client = server.client()
    until = time.monotonic() + PATIENCE
    while not list(client.jobs.list(state="alive", type="system", tag="dais-warm=ready")):
        assert time.monotonic() < until, "no warm sandbox is there"
        time.sleep(0.05)
    job, took = _open(client)
    _end(server, job)
    return took


def _submitted(server: Installation) -> float:
    """With a variable that no warm sandbox has."""
    from dais.wire.code import NewCodeSession

    client = server.client()
    begun = time.perf_counter()
    job = client.code.open(NewCodeSession(environment={"BENCH": "1"})).id
    _cell(client, job)
    took = time.perf_counter() - begun
    _end(server, job)
    return took


def _end(server: Installation, job: str) -> None:
    server.client().jobs.kill(job)
    server.wait(job)


# -- theirs ----------------------------------------------------------------------------------------------------


@contextmanager
def _kernel() -> Iterator[Any]:
    from jupyter_client.manager import KernelManager

    manager: Any = KernelManager(kernel_name="python3")
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _execute(client: Any) -> None:
    """Until the reply and the end of the output are here."""
    shown: list[str] = []

    def on_output(message: Any) -> None:
        if message["msg_type"] == "execute_result":
            shown.append(message["content"]["data"]["text/plain"])

    client.execute_interactive(CELL, output_hook=on_output, timeout=PATIENCE)
    assert shown == [WORTH]


def _cold_kernel() -> float:
    begun = time.perf_counter()
    with _kernel() as client:
        _execute(client)
        return time.perf_counter() - begun


def _jupyter_server() -> float:
    """A server, asked for a kernel, which is asked for a cell over its WebSocket."""
    port = free_port()
    with TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "JUPYTER_CONFIG_DIR": home, "JUPYTER_RUNTIME_DIR": f"{home}/run"}
        options = (
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--IdentityProvider.token=bench",
        )
        begun = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options],
            env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                _first_cell(port)
                return time.perf_counter() - begun
            finally:
                process.terminate()


def _first_cell(port: int) -> None:
    kernel = _asked(port, "/api/kernels")["id"]
    address = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels?token=bench"
    header = {
        "msg_id": "1",
        "msg_type": "execute_request",
        "username": "",
        "session": "1",
        "version": "5.3",
        "date": "",
    }
    content = {"code": CELL, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    with connect(address, open_timeout=PATIENCE) as socket:
        socket.send(json.dumps(message))
        while True:
            heard = json.loads(socket.recv(timeout=PATIENCE))
            if heard["msg_type"] == "execute_result":
                assert heard["content"]["data"]["text/plain"] == WORTH
                return


def _asked(port: int, path: str) -> Any:
    """A POST, once the server listens."""
    until = time.monotonic() + PATIENCE
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=b"{}", headers={"Authorization": "token bench"}, method="POST"
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                body = answer.read()
                if not body.startswith(b"{"):  # another program's, on a port that was free a moment ago
                    raise RuntimeError(f"what listens on port {port} is no Jupyter server: {body[:200]!r}")
                return json.loads(body)
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < until, "the Jupyter server does not listen"
            time.sleep(0.02)


if __name__ == "__main__":
    main(run)
