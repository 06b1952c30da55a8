"""`make chaos`: many seeds, and every named point in turn; prints the seed or the point that fails."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.chaos.points import POINTS
from tests.chaos.run import run
from tests.chaos.trouble import die_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds (default 10)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--rounds", type=int, default=8, help="rounds of trouble for each seed (default 8)")
    parser.add_argument("--points", action="store_true", help="every named point in turn, six to an installation")
    parser.add_argument("--only", default="", help="with --points: those whose name contains this, or of this part")
    arguments = parser.parse_args()
    fired: set[str] = set()
    failed: list[str] = []
    if arguments.points:
        points = [
            point
            for point in POINTS
            if point.area != "upgrades" and (arguments.only in point.name or arguments.only == point.area)
        ]
        batches = [points[start : start + 6] for start in range(0, len(points), 6)]
        for number, batch in enumerate(batches):
            _one(f"points {', '.join(point.name for point in batch)}", number, fired, failed,
                 chosen=[die_at(point, 1) for point in batch])  # fmt: skip
        missed = sorted({point.name for point in points} - fired)
        print(f"{len(fired)} of {len(points)} points were reached" + (f"; not: {', '.join(missed)}" if missed else ""))
    else:
        first = random.randrange(1 << 32)
        for seed in [arguments.seed] if arguments.seed is not None else range(first, first + arguments.seeds):
            _one(f"seed {seed}", seed, fired, failed, rounds=arguments.rounds)
    for what in failed:
        print(f"FAILED: {what}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def _one(what: str, seed: int, fired: set[str], failed: list[str], **options: object) -> None:
    begun = time.monotonic()
    try:
        reached = run(seed, **options)  # type: ignore[arg-type]
    except Exception as error:
        failed.append(f"{what}: {error}")
        print(f"{what}: FAILED: {error!r}", flush=True)
        return
    fired.update(reached)
    print(
        f"{what}: well, {time.monotonic() - begun:.0f} s; died at {', '.join(reached) or 'no named point'}", flush=True
    )


if __name__ == "__main__":
    main()
