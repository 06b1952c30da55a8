"""Starting containers through the engine, beside the daemon's bare create-and-start; on daemons of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bench.harness import Aim, Bench, Row, main, ratios
from dais.engines.contract import Engine, Handle, LaunchSpec, Phase
from dais.kit.ids import new_id
from tests.support.containers import IMAGE, USER, ContainerDaemon, ContainerHarness, Daemons
from tests.support.engines import eventually

PATIENCE = 120.0


def run(bench: Bench) -> None:
    daemons = Daemons()
    try:
        for kind in ("docker", "podman"):
            try:
                daemon = daemons.get(kind)
            except pytest.skip.Exception as reason:
                bench.absent(kind, str(reason))
                continue
            measure(bench, daemon)
    finally:
        daemons.close()


def measure(bench: Bench, daemon: ContainerDaemon) -> None:
    """Both figures of one daemon, one container after the other."""
    count = bench.pick(12, 4)
    through(daemon, 1, started)  # the first makes the runner kit
    for what, ours, wait in (("started", started, False), ("run to its end", ended, True)):
        seen = bench.interleave({
            "dais": partial(through, daemon, count, ours),
            "bare": partial(bare, daemon, count, wait=wait),
        })  # fmt: skip
        bench.report(
            Row(
                figure=f"a container of {daemon.kind} {what}, mean",
                ours=seen["dais"],
                unit="ms",
                peer="create and start by the API" + (", and wait" if wait else ""),
                theirs=seen["bare"],
                ratios=ratios(seen["dais"], seen["bare"]),
                aim=Aim(number="containers", must=1.3, at_most=True),
            )
        )


def bare(daemon: ContainerDaemon, count: int, *, wait: bool) -> float:
    """Milliseconds for each, with nothing asked for but an image, a command and no network."""
    document = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", "Ulimits": _ulimits()}}
    spent = 0.0
    for _ in range(count):
        begun = time.perf_counter()
        container = daemon.json("POST", "/containers/create", document)["Id"]
        daemon.json("POST", f"/containers/{container}/start")
        if wait:
            daemon.json("POST", f"/containers/{container}/wait")
        spent += time.perf_counter() - begun
        daemon.call("DELETE", f"/containers/{container}?force=true")
    return spent / count * 1000


def _ulimits() -> list[dict[str, object]]:
    """Podman cannot start containers here without any."""
    return [{"Name": name, "Soft": 4096, "Hard": 4096} for name in ("nofile", "nproc")]


def through(daemon: ContainerDaemon, count: int, until: Callable[[Phase], bool]) -> float:
    """Milliseconds for each from `launch` until the engine has told of the phase."""
    return asyncio.run(_through(daemon, count, until))


async def _through(daemon: ContainerDaemon, count: int, until: Callable[[Phase], bool]) -> float:
    directory = Path(tempfile.mkdtemp(prefix="dais-bench-", dir="/var/tmp"))
    harness = ContainerHarness(daemon, directory)
    engine = await harness.open()
    told: dict[str, asyncio.Event] = {}

    async def follow() -> None:
        async for batch in engine.watch():
            for status in batch.statuses:
                if until(status.phase) and status.attempt_id in told:
                    told[status.attempt_id].set()
            await engine.acknowledge(batch)

    following = asyncio.create_task(follow())
    spent = 0.0
    try:
        for _ in range(count):
            spec = LaunchSpec(
                attempt_id=new_id(), argv=("true",), env={"PATH": "/bin"}, image=IMAGE, uid=USER, gid=USER
            )
            event = told[spec.attempt_id] = asyncio.Event()
            begun = time.perf_counter()
            [handle] = await engine.launch([spec])
            await asyncio.wait_for(event.wait(), PATIENCE)
            spent += time.perf_counter() - begun
            await _gone(harness, engine, handle)
    finally:
        following.cancel()
        await engine.close()
        await harness.close()
        shutil.rmtree(directory, ignore_errors=True)
    return spent / count * 1000


async def _gone(harness: ContainerHarness, engine: Engine, handle: Handle) -> None:
    """Until it has ended and is removed, so that none is measured beside another."""

    async def over() -> bool:
        return ended((await engine.poll([handle]))[0].phase)

    async def removed() -> bool:
        return not await asyncio.to_thread(harness.daemon.containers, harness.installation)

    await eventually(over, "the end")
    await engine.forget([handle])
    await eventually(removed, "its removal")


def started(phase: Phase) -> bool:
    return phase in (Phase.RUNNING, Phase.ENDED)


def ended(phase: Phase) -> bool:
    return phase is Phase.ENDED


if __name__ == "__main__":
    main(run)
