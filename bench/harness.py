"""How every bench measures: sides in turn, round after round, and then medians, spreads, ratios and one table.

Ratios carry over from machine to machine where figures do not; so both sides of each are measured in the same round,
in an order that changes from round to round, and the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
ROUNDS = 5
BUSY = 0.15
"""Which share of the machine others may use before a run counts as one on a busy machine."""

_head = "| Figure | Dais | Beside it | Ratio | Must | Should | Reached | Rounds | Others |\n" + "|---" * 9 + "|\n"


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a ratio (or a figure, where nothing stands beside it) must and should reach. `number` is the aim's name."""

    number: str
    must: float
    should: float | None = None
    at_most: bool = False
    """Whether smaller is better: times and sizes."""

    def verdict(self, value: float) -> str:
        """How far a value gets."""
        return (
            "should" if self._meets(value, self.should) else "must" if self._meets(value, self.must) else "**missed**"
        )

    def _meets(self, value: float, bound: float | None) -> bool:
        return bound is not None and (value <= bound if self.at_most else value >= bound)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    figure: str
    ours: Sequence[float]
    unit: str
    peer: str = ""
    theirs: Sequence[float] = ()
    theirs_unit: str | None = None
    ratios: Sequence[float] = ()
    aim: Aim | None = None

    def cells(self, others: str) -> list[str]:
        beside = f"{self.peer}: {spread(self.theirs)} {self.theirs_unit or self.unit}" if self.theirs else self.peer
        judged = self.ratios or self.ours
        return [
            f"{self.aim.number}. {self.figure}" if self.aim and self.aim.number else self.figure,
            f"{spread(self.ours)} {self.unit}",
            beside,
            spread(self.ratios) if self.ratios else "",
            number(self.aim.must) if self.aim else "",
            number(self.aim.should) if self.aim and self.aim.should is not None else "",
            self.aim.verdict(statistics.median(judged)) if self.aim else "",
            str(len(self.ours)),
            others,
        ]


@dataclass
class Bench:
    """What a bench is given: how thorough to be, and where to report."""

    quick: bool = False
    rounds: int = ROUNDS
    keep: bool = True
    """Whether results are appended to the file."""
    _busy: str = field(default="", init=False)

    def pick(self, thorough: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else thorough

    def note_load(self) -> None:
        """Look at what else runs on this machine, while nothing of ours does."""
        share = busy_share()
        self._busy = f"busy {share:.0%}" if share > BUSY else "quiet"

    def interleave(self, sides: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Measure every side once per round, in turn; the order is reversed in every other round."""
        seen: dict[str, list[float]] = {name: [] for name in sides}
        for index in range(self.rounds):
            names = list(sides) if index % 2 == 0 else list(sides)[::-1]
            for name in names:
                seen[name].append(sides[name]())
                print(f"  round {index + 1}/{self.rounds}  {name}: {number(seen[name][-1])}", file=sys.stderr)
        return seen

    def repeat(self, side: Callable[[], float]) -> list[float]:
        """Measure one thing, once per round."""
        return [side() for _ in range(self.rounds)]

    def report(self, *rows: Row) -> None:
        """Print rows, and append them to the results."""
        text = "".join(f"| {' | '.join(row.cells(self._busy))} |\n" for row in rows)
        print(text, end="", flush=True)
        if self.keep:
            with RESULTS.open("a") as file:
                file.write(text)

    def absent(self, what: str, remedy: str) -> None:
        """Say that a peer is not on this machine; the bench goes on without it."""
        print(f"  {what} is not here, so nothing stands beside the figure; {remedy}", file=sys.stderr)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours ÷ theirs, round by round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.5f}"


def spread(values: Sequence[float]) -> str:
    """The median, and the least and greatest where there are several."""
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def busy_share(seconds: float = 1.0) -> float:
    """Which share of the processors is in use now."""

    def times() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    before, all_before = times()
    time.sleep(seconds)
    after, all_after = times()
    return (after - before) / max(1, all_after - all_before)


def machine() -> str:
    """This machine in a few words."""
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    model = models[0] if models else platform.machine()
    system = f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {model}, {memory:.0f} GiB, {system}"


def commit() -> str:
    """The commit that is measured; with a mark when files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", ".", ":!RESULTS.md")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")


def begin(bench: Bench, names: Sequence[str]) -> None:
    """The head of a run: when, what, where."""
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    quick = ", quick (few rounds, small amounts)" if bench.quick else ""
    title = f"\n## {at}, commit {commit()}{quick}\n\n{machine()}. Benches: {', '.join(names)}.\n\n{_head}"
    print(title, end="")
    if bench.keep:
        with RESULTS.open("a") as file:
            file.write(title)


def options(description: str, names: bool = False) -> argparse.ArgumentParser:
    """The command line that every bench has."""
    parser = argparse.ArgumentParser(description=description)
    if names:
        parser.add_argument("names", nargs="*", help="which benches; all quick ones when left out")
    parser.add_argument("--quick", action="store_true", help="two rounds and small amounts, to see that it works")
    parser.add_argument("--rounds", type=int, help=f"rounds ({ROUNDS}; with --quick 2)")
    parser.add_argument("--no-results", action="store_true", help="do not append to RESULTS.md")
    return parser


def bench_of(chosen: argparse.Namespace) -> Bench:
    """What the command line asks for."""
    rounds = chosen.rounds or (2 if chosen.quick else ROUNDS)
    return Bench(quick=chosen.quick, rounds=rounds, keep=not chosen.no_results)


def main(run: Callable[[Bench], None]) -> None:
    """Run one bench from its own file."""
    module = sys.modules[run.__module__]
    name = Path(module.__file__ or "").stem
    bench = bench_of(options(module.__doc__ or "").parse_args())
    begin(bench, [name])
    bench.note_load()
    run(bench)
