"""The benches' arithmetic: turns, ratios, verdicts, and the line that is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import harness
from bench.harness import Aim, Bench, Row, begin, number, ratios, spread


def test_sides_are_measured_in_turn_and_the_order_is_reversed_in_every_other_round() -> None:
    told: list[str] = []

    def side(name: str) -> float:
        told.append(name)
        return float(len(told))

    seen = Bench(rounds=3).interleave({"a": lambda: side("a"), "b": lambda: side("b")})
    assert told == ["a", "b", "b", "a", "a", "b"]
    assert seen == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([1, 4], [2, 2]) == [0.5, 2]


@pytest.mark.parametrize(
    "value,at_most,verdict",
    [
        (0.6, False, "should"),
        (0.4, False, "must"),
        (0.2, False, "**missed**"),
        (0.2, True, "should"),
        (0.4, True, "must"),
        (0.6, True, "**missed**"),
    ],
)
def test_verdict(value: float, at_most: bool, verdict: str) -> None:
    must, should = (0.5, 0.3) if at_most else (0.3, 0.5)
    assert Aim(number="1", must=must, should=should, at_most=at_most).verdict(value) == verdict


@pytest.mark.parametrize(
    "value,text", [(0, "0"), (0.0917, "0.0917"), (1.006, "1.01"), (12345.6, "12,346"), (0.000123, "0.00012")]
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_spread_tells_median_least_and_greatest() -> None:
    assert spread([3, 1, 2]) == "2 (1 to 3)"
    assert spread([7]) == "7"


def test_a_run_is_appended_with_its_machine_and_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "RESULTS.md")
    bench = Bench()
    begin(bench, ["jobs"])
    aim = Aim(number="1", must=0.3, should=0.5)
    bench.report(
        Row(figure="jobs", ours=[4, 6, 5], unit="jobs/s", peer="spawn", theirs=[10, 10, 10],
            ratios=ratios([4, 6, 5], [10, 10, 10]), aim=aim)
    )  # fmt: skip
    head, row = harness.RESULTS.read_text().split("|---" * 9 + "|\n")
    assert "Python" in head
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1:8] == ["1. jobs", "5 (4 to 6) jobs/s", "spawn: 10 (10 to 10) jobs/s", "0.5 (0.4 to 0.6)", "0.3",
                          "0.5", "should"]  # fmt: skip
