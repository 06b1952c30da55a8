"""The best allocation under a cap. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.compute.provisioning.hints import Hint
from dais.compute.provisioning.model import Fit, estimate
from dais.kit.errors import Invalid
from dais.wire.templates import Allocation, Optimize
from dais.wire.units import short_size

GIB = 1 << 30
HOUR = 3600.0


class Price(msgspec.Struct, frozen=True):
    """What an hour of a core, of a GiB of memory and of a GPU costs."""

    cpu: float
    mem: float
    gpu: float

    def of(self, cpu: float, mem: int, gpu: int, seconds: float) -> float:
        """What an allocation costs for so many seconds."""
        return (self.cpu * cpu + self.mem * mem / GIB + self.gpu * gpu) * seconds / HOUR


class Fitted(msgspec.Struct, frozen=True):
    """What happened in an amount of memory: it was enough, or the run was out of memory."""

    values: tuple[str, ...]
    mem: int
    enough: bool


class Room(msgspec.Struct, frozen=True):
    """What a machine can hold."""

    cpu: float
    mem: int
    gpu: int


def too_small(hints: Sequence[Hint], known: Sequence[Fitted], values: Sequence[str], mem: int) -> bool:
    """Whether a run was out of memory that had as much, and wanted no more.

    Larger numbers are taken to need no less. What ran in as little, and wanted no less, outweighs that.
    """
    if any(one.enough and one.mem <= mem and _no_less(hints, one.values, values) for one in known):
        return False
    return any(not one.enough and one.mem >= mem and _no_less(hints, values, one.values) for one in known)


def _no_less(hints: Sequence[Hint], more: Sequence[str], less: Sequence[str]) -> bool:
    return all(
        float(one) >= float(other) if hint.numeric else one == other
        for hint, one, other in zip(hints, more, less, strict=True)
    )


def weigh(
    fitted: Fit,
    hints: Sequence[Hint],
    known: Sequence[Fitted],
    values: Sequence[str],
    grid: Sequence[tuple[float, int]],
    gpu: int,
    rooms: Sequence[Room],
    price: Price,
) -> tuple[list[Allocation], tuple[str, ...]]:
    """Every allocation of the grid, with what it takes and costs; and the factors outside of what was profiled."""
    found = []
    beyond: dict[str, None] = {}
    for cpu, mem in grid:
        said = estimate(fitted, values, cpu, mem)
        beyond |= dict.fromkeys(said.beyond)
        obstacle = None
        if too_small(hints, known, values, mem):
            obstacle = f"a profiling run was out of memory with {short_size(mem)} or more"
        elif rooms and not any(cpu <= room.cpu and mem <= room.mem and gpu <= room.gpu for room in rooms):
            obstacle = "no machine can hold it"
        cost, low, high = (price.of(cpu, mem, gpu, one) for one in (said.seconds, said.low, said.high))
        found.append(
            Allocation(
                cpu=cpu,
                mem=mem,
                seconds=said.seconds,
                low=said.low,
                high=said.high,
                cost=cost,
                cost_low=low,
                cost_high=high,
                obstacle=obstacle,
            )
        )
    return [msgspec.structs.replace(one, frontier=_is_best(one, found)) for one in found], tuple(beyond)


def _is_best(one: Allocation, among: Sequence[Allocation]) -> bool:
    if one.obstacle is not None:
        return False
    return not any(
        other.obstacle is None
        and other.seconds <= one.seconds
        and other.cost <= one.cost
        and (other.seconds, other.cost) != (one.seconds, one.cost)
        for other in among
    )


def choose(
    found: Sequence[Allocation], optimize: Optimize, max_time: float | None, max_cost: float | None
) -> Allocation:
    """The cheapest or fastest one within the caps (seconds, cost). Raises Invalid `nothing-feasible`: the nearest."""
    possible = [one for one in found if one.obstacle is None]
    if not possible:
        raise Invalid(
            f"no allocation can be had: {found[0].obstacle}; register the template with more memory or other sizes",
            code="nothing-feasible",
        )
    within = [
        one
        for one in possible
        if (max_time is None or one.seconds <= max_time) and (max_cost is None or one.cost <= max_cost)
    ]
    if not within:
        raise _nothing(possible, max_time, max_cost)
    if optimize == "cost":
        return min(within, key=lambda one: (one.cost, one.seconds, one.mem))
    return min(within, key=lambda one: (one.seconds, one.cost, one.mem))


def _nothing(possible: Sequence[Allocation], max_time: float | None, max_cost: float | None) -> Invalid:
    """Names the allocation that misses the caps by the smallest factor."""

    def missed(one: Allocation) -> float:
        over_time = one.seconds / max_time if max_time else 0.0
        over_cost = one.cost / max_cost if max_cost else 0.0
        return max(over_time, over_cost)

    near = min(possible, key=missed)
    caps = [
        f"{max_time:.4g} s" if max_time is not None else "",
        f"a cost of {max_cost:.4g}" if max_cost is not None else "",
    ]
    return Invalid(
        f"no allocation is expected to end within {' and '.join(cap for cap in caps if cap)}; the nearest is "
        f"{near.cpu:g} cores and {short_size(near.mem)}: {near.seconds:.4g} s, cost {near.cost:.4g}. Allow that much, "
        "or ask for less work",
        code="nothing-feasible",
        nearest={"cpu": near.cpu, "mem": near.mem, "seconds": near.seconds, "cost": near.cost},
    )
