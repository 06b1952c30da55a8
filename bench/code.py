"""Code sessions: asked for until the first cell is answered, and a cell's round trip, beside Jupyter's own.

Beside the first stand a kernel that is started cold by jupyter_client, and the server that JupyterHub starts for a
user, until a kernel of its answers the same cell. Beside the round trip stands jupyter_client.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import connect

from bench.harness import Aim, Bench, Row, main, ratios
from bench.peers.jupyterhub import Hub, jupyterhub
from bench.server import dais
from dais.sdk import Client
from tests.support.installation import Installation
from tests.support.jupyter import KERNEL, with_ipykernel

PATIENCE = 120.0
CELL, WORTH = "1 + 1", "2"
USER = "ada"


def run(bench: Bench) -> None:
    if any(importlib.util.find_spec(module) is None for module in ("ipykernel", "jupyterhub", "jupyterlab")):
        bench.absent("Jupyter", "install requirements/bench.txt (make bench does)")
        return
    with dais(isolation="auto", DAIS_COMPUTE_CODE_POOL="1", DAIS_COMPUTE_INTERACTIVE_PER_USER="0") as server:
        _first_answers(bench, server)
        _round_trips(bench, server)


def _first_answers(bench: Bench, server: Installation) -> None:
    client = server.client()
    _end(server, _open(client)[0])
    with jupyterhub(USER) as hub:
        sides = {
            "warm": lambda: _from_the_pool(server),
            "cold": lambda: _submitted(server),
            "kernel": _cold_kernel,
            "hub": lambda: _hubs_server(hub),
        }
        seen = bench.interleave(sides)
    ours = seen["warm"]
    bench.report(
        Row(figure="session asked for to its first answer, from the pool", ours=ours, unit="s",
            peer="ipykernel started cold by jupyter_client", theirs=seen["kernel"],
            ratios=ratios(seen["kernel"], ours), aim=Aim(number="18", must=10, should=20)),
        Row(figure="the same", ours=ours, unit="s", theirs=seen["hub"],
            peer="JupyterHub, a user's server and a kernel of its", ratios=ratios(seen["hub"], ours)),
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


def _hubs_server(hub: Hub) -> float:
    """A server of a user's, asked for a kernel, which is asked for a cell over its WebSocket."""
    begun = time.perf_counter()
    try:
        _first_cell(hub.start(USER), hub.token)
        return time.perf_counter() - begun
    finally:
        hub.stop(USER)


def _first_cell(address: str, token: str) -> None:
    request = urllib.request.Request(  # noqa: S310
        f"{address}/api/kernels", data=b"{}", headers={"Authorization": f"token {token}"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
        kernel = json.load(answer)["id"]
    channels = f"{address.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels"
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
    with connect(channels, additional_headers={"Authorization": f"token {token}"}, open_timeout=PATIENCE) as socket:
        socket.send(json.dumps(message))
        while True:
            heard = json.loads(socket.recv(timeout=PATIENCE))
            if heard["msg_type"] == "execute_result":
                assert heard["content"]["data"]["text/plain"] == WORTH
                return


if __name__ == "__main__":
    main(run)
