"""The model of runtime, the choice under caps, hints, and the part of a product that is run: all pure."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dais.compute.provisioning.choosing import Fitted, Price, Room, choose, too_small, weigh
from dais.compute.provisioning.design import choose_points
from dais.compute.provisioning.hints import Hint, fill_in, parse_hints, read_parameters
from dais.compute.provisioning.model import Sample, estimate, fit, powers
from dais.kit.errors import Invalid

GIB = 1 << 30
EPOCH = Hint("epoch", ("1", "2", "8"), True)
KIND = Hint("kind", ("cnn", "rnn"), False)
PRICE = Price(0.04, 0.005, 1.0)


def law(epoch: float, kind: str, cpu: float, mem: int) -> float:
    return float(3.0 * epoch**0.9 * (2.0 if kind == "rnn" else 1.0) * cpu**-0.7 * (mem / GIB) ** -0.1)


def samples(noise: float, seed: int = 0) -> list[Sample]:
    chance = random.Random(seed)
    return [
        Sample((epoch, kind), cpu, mem, law(float(epoch), kind, cpu, mem) * math.exp(chance.gauss(0, noise)))
        for epoch in EPOCH.values
        for kind in KIND.values
        for cpu in (0.5, 1.0, 2.0)
        for mem in (GIB // 2, GIB)
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0.0, 0.1))
def test_a_known_law_is_found_again(seed: int, noise: float) -> None:
    fitted = fit((EPOCH, KIND), samples(noise, seed))
    found = dict(powers(fitted))
    slack = 0.02 + 2.5 * noise
    assert found["epoch"] == pytest.approx(0.9, abs=slack)
    assert found["cpu"] == pytest.approx(-0.7, abs=slack)
    assert math.exp(found["kind=rnn"]) == pytest.approx(2.0, rel=2 * slack)
    said = estimate(fitted, ("4", "rnn"), 1.5, GIB)
    assert said.seconds == pytest.approx(law(4, "rnn", 1.5, GIB), rel=0.02 + 2 * noise)
    assert said.low <= said.seconds <= said.high
    assert said.beyond == ()


def test_the_interval_holds_about_nine_of_ten() -> None:
    inside = 0
    for seed in range(200):
        said = estimate(fit((EPOCH, KIND), samples(0.2, seed)), ("4", "cnn"), 1.0, GIB)
        inside += said.low <= law(4, "cnn", 1.0, GIB) * math.exp(random.Random(-seed).gauss(0, 0.2)) <= said.high
    assert 165 <= inside <= 199


def test_what_was_not_profiled_is_said() -> None:
    fitted = fit((EPOCH, KIND), samples(0.01))
    assert estimate(fitted, ("50", "cnn"), 1.0, GIB).beyond == ("epoch",)
    assert estimate(fitted, ("2", "cnn"), 16.0, 64 * GIB).beyond == ("cpu", "mem")
    alone = fit((EPOCH,), [Sample(("2",), cpu, GIB, 1 / cpu) for cpu in (0.5, 1.0, 2.0)])
    assert alone.warnings[0] == "epoch: runs succeeded with 2 alone; nothing is known of others"


def test_two_runs_are_too_few() -> None:
    with pytest.raises(ValueError, match="2 profiling runs succeeded; a model needs 3"):
        fit((), [Sample((), 1.0, GIB, 1.0)] * 2)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100),
    caps=st.tuples(st.floats(0.05, 200.0), st.floats(0.05, 200.0)),
)
def test_a_wider_cap_never_costs_more(seed: int, caps: tuple[float, float]) -> None:
    fitted = fit((EPOCH, KIND), samples(0.05, seed))
    grid = [(cpu, mem) for cpu in (0.5, 1.0, 2.0) for mem in (GIB // 2, GIB)]
    found, _ = weigh(fitted, (EPOCH, KIND), (), ("2", "cnn"), grid, 0, [Room(2.0, 4 * GIB, 0)], PRICE)
    narrow, wide = sorted(caps)
    fastest = min(one.seconds for one in found)
    if fastest > narrow:
        with pytest.raises(Invalid, match="no allocation is expected to end within") as caught:
            choose(found, "cost", narrow, None)
        assert caught.value.code == "nothing-feasible"
        assert caught.value.fields["nearest"]["seconds"] == fastest
        return
    strict = choose(found, "cost", narrow, None)
    assert strict.seconds <= narrow
    assert choose(found, "cost", wide, None).cost <= strict.cost
    assert choose(found, "time", None, strict.cost).seconds <= strict.seconds
    assert {(one.cpu, one.mem) for one in found if one.frontier} >= {
        (one.cpu, one.mem) for one in (choose(found, "cost", None, None), choose(found, "time", None, None))
    }


def test_memory_that_was_too_little_is_not_chosen() -> None:
    known = (Fitted(("2", "cnn"), GIB // 2, False), Fitted(("1", "cnn"), GIB // 2, True))
    hints = (EPOCH, KIND)
    assert too_small(hints, known, ("2", "cnn"), GIB // 2)
    assert too_small(hints, known, ("8", "cnn"), GIB // 4)
    assert not too_small(hints, known, ("8", "cnn"), GIB)
    assert not too_small(hints, known, ("1", "cnn"), GIB // 2)
    assert not too_small(hints, known, ("8", "rnn"), GIB // 2)
    fitted = fit(hints, samples(0.0))
    grid = [(1.0, GIB // 2), (1.0, GIB), (4.0, GIB)]
    found, _ = weigh(fitted, hints, known, ("8", "cnn"), grid, 0, [Room(2.0, 4 * GIB, 0)], PRICE)
    assert [one.obstacle for one in found] == [
        "a profiling run was out of memory with 512 MiB or more",
        None,
        "no machine can hold it",
    ]
    assert choose(found, "time", None, None).mem == GIB
    with pytest.raises(Invalid, match="no allocation can be had"):
        choose([found[0]], "cost", None, None)


@pytest.mark.parametrize(
    "command, names",
    [
        (("python", "train.py", "--epoch", "{1,2,5}", "--lr={0.1,0.01}"), ["epoch", "lr"]),
        (("sh", "-c", "x --epoch {1,2} N={3,4} && y {a,b}"), ["epoch", "N", "option3"]),
        (("sh", "-c", "echo ${HOME} | awk '{print $1}' {fixed}"), []),
        (("x", "-n", "{5}"), ["n"]),
    ],
)
def test_hints_are_found(command: tuple[str, ...], names: list[str]) -> None:
    assert [hint.name for hint in parse_hints(command)] == names


def test_hints_are_filled_in() -> None:
    command = ("sh", "-c", "x --epoch {1,2} ${A} {b}", "--k", "{u,v}")
    assert fill_in(command, ("7", "u")) == ("sh", "-c", "x --epoch 7 ${A} {b}", "--k", "u")


@pytest.mark.parametrize(
    "word, problem",
    [
        ("{1,,2}", "has an empty value"),
        ("{1,1}", "has a value twice"),
        ("{" + ",".join(map(str, range(21))) + "}", "at most 20"),
    ],
)
def test_bad_hints_are_refused(word: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as caught:
        parse_hints(("x", "--epoch", word))
    assert caught.value.code == "bad-hint"
    with pytest.raises(Invalid, match="epoch is there twice"):
        parse_hints(("x", "--epoch", "{1,2}", "--epoch", "{1,2}"))


@pytest.mark.parametrize(
    "parameters, problem",
    [
        ({"kind": "cnn"}, "epoch is missing"),
        ({"epoch": "x", "kind": "cnn"}, "not a number"),
        ({"epoch": "nan", "kind": "cnn"}, "not a number"),
        ({"epoch": "0", "kind": "cnn"}, "above 0"),
        ({"epoch": "1", "kind": "mlp"}, "nothing is known"),
        ({"epochs": "1"}, "did you mean epoch"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as caught:
        read_parameters((EPOCH, KIND), parameters)
    assert caught.value.code == "bad-parameter"


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=6), most=st.integers(3, 30))
def test_a_part_of_the_product_is_balanced(sizes: list[int], most: int) -> None:
    points = choose_points(sizes, most)
    assert len(points) == min(most, math.prod(sizes)) == len(set(points))
    assert points == choose_points(sizes, most)
    for place, size in enumerate(sizes):
        counts = [sum(point[place] == level for point in points) for level in range(size)]
        assert len(points) < 2 * size or min(counts) > 0
        assert max(counts) - min(counts) <= max(3, len(points) // 3)
