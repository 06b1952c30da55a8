"""Auto-provisioning beside a default allocation: how much faster, and how much cheaper, a real training gets.

A program trains a small classifier in two processes. A template profiles it with few epochs; then it
trains for long with what a user would have taken (half a core, 512 MiB, as ACAI's client does), with the fastest
allocation that is expected to cost no more, and with the cheapest that is expected to take no longer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bench.harness import Aim, Bench, Row, main, ratios
from bench.server import dais
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.kit.clock import from_rfc3339
from dais.wire.spec import JobSpec
from tests.support.installation import Installation

MIB = 1 << 20
DEFAULT = (0.5, 512 * MIB)
CPU, MEM = (0.5, 1.0, 2.0), (256 * MIB, 512 * MIB)
NAME = "classifier"

TRAIN = """
import math, os, random, sys
epochs, rows, width = int(sys.argv[2]), 1500, 24
random.seed(1)
truth = [random.uniform(-1, 1) for _ in range(width)]
data = []
for _ in range(rows):
    x = [random.gauss(0, 1) for _ in range(width)]
    data.append((x, 1.0 if sum(a * b for a, b in zip(x, truth)) > 0 else 0.0))

def gradient(part, weights):
    total = [0.0] * width
    for x, y in part:
        off = 1 / (1 + math.exp(-sum(a * b for a, b in zip(x, weights)))) - y
        for place, value in enumerate(x):
            total[place] += off * value
    return total

weights = [0.0] * width
for _ in range(epochs):
    inward, outward = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(outward, repr(gradient(data[: rows // 2], weights)).encode())
        os._exit(0)
    mine = gradient(data[rows // 2 :], weights)
    os.close(outward)
    with os.fdopen(inward) as told:
        theirs = eval(told.read())
    os.waitpid(child, 0)
    weights = [w - 2.0 * (a + b) / rows for w, a, b in zip(weights, mine, theirs)]
right = sum((sum(a * b for a, b in zip(x, weights)) > 0) == (y > 0.5) for x, y in data)
print("accuracy", right / rows)
assert right / rows > 0.8
"""


def run(bench: Bench) -> None:
    few, epochs = bench.pick(20, 10), bench.pick(400, 80)
    spec = JobSpec(command=("python3", "-c", TRAIN, "--epochs", f"{{{few},{2 * few},{4 * few}}}"))
    with dais(isolation="sandbox") as server:
        templates = server.client().templates
        templates.new(NAME, spec, cpu=CPU, mem=MEM, parallel=1)
        templates.wait(NAME)
        expected = templates.predict(NAME, {"epochs": epochs})
        default = next(one for one in expected.allocations if (one.cpu, one.mem) == DEFAULT)
        fastest = templates.predict(NAME, {"epochs": epochs}, max_cost=default.cost, optimize="time").chosen
        cheapest = templates.predict(NAME, {"epochs": epochs}, max_time=default.seconds).chosen
        chosen = {"default": DEFAULT, "fastest": (fastest.cpu, fastest.mem), "cheapest": (cheapest.cpu, cheapest.mem)}
        sides: dict[str, Callable[[], float]] = {
            side: partial(seconds, server, epochs, *allocation) for side, allocation in chosen.items()
        }
        seen = bench.interleave(sides)
    price = ProvisioningSettings().price("local")

    def cents(side: str) -> list[float]:
        cpu, mem = chosen[side]
        hourly = cpu * price.cpu + mem / (1 << 30) * price.mem
        return [spent / 3600 * hourly * 100 for spent in seen[side]]

    what, beside = f"train for {epochs} epochs", f"the default: {words(DEFAULT)}"
    bench.report(
        Row(
            figure=f"{what}, fastest for no more money ({words(chosen['fastest'])}): speed-up",
            ours=seen["fastest"],
            unit="s",
            peer=beside,
            theirs=seen["default"],
            ratios=ratios(seen["default"], seen["fastest"]),
            aim=Aim(number="", must=1.7),
        ),
        Row(
            figure=f"{what}, cheapest in no more time ({words(chosen['cheapest'])}): what it costs",
            ours=cents("cheapest"),
            unit="cents",
            peer=beside,
            theirs=cents("default"),
            ratios=ratios(cents("cheapest"), cents("default")),
            aim=Aim(number="", must=0.61, at_most=True),
        ),
    )


def seconds(server: Installation, epochs: int, cpu: float, mem: int) -> float:
    """How long a training with this allocation runs."""
    resources: dict[str, Any] = {"cpu": cpu, "mem": f"{mem // MIB}Mi"}
    job = server.submit("python3", "-c", TRAIN, "--epochs", str(epochs), **resources)
    done = server.wait(job.id)
    assert done.state == "SUCCEEDED", f"the training failed: {done.reason} {done.detail}"
    assert done.started_at is not None
    assert done.ended_at is not None
    return (from_rfc3339(done.ended_at) - from_rfc3339(done.started_at)) / 1e6


def words(allocation: tuple[float, int]) -> str:
    """An allocation as people read it."""
    cpu, mem = allocation
    return f"{cpu:g} cores, {mem // MIB} MiB"


if __name__ == "__main__":
    main(run)
