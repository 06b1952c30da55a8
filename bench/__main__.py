"""`python -m bench [NAME…]`: run benches one after the other; one that fails is told, and the next goes on."""

from __future__ import annotations

import importlib
import sys
import time
import traceback

from bench.harness import begin, bench_of, options

QUICK = (
    "jobs", "queues", "read", "submit", "postgres", "transfers", "lake", "follow", "idle", "cli_times", "many_jobs",
    "decisions", "install_size", "dial", "find", "execs", "tunnels", "ssh", "idle_sockets", "proxy",
    "code",
)  # fmt: skip
SLOW = ("provision", "containers", "slurm", "slurm_jobs", "ray_jobs")
"""Benches whose peers take minutes; they run when they are named."""


def main() -> int:
    chosen = options(f"Benches: {', '.join(QUICK)}; by name only: {', '.join(SLOW)}.", names=True).parse_args()
    names = chosen.names or list(QUICK)
    unknown = [name for name in names if name not in QUICK + SLOW]
    if unknown:
        print(f"there is no bench {', '.join(unknown)}; there are {', '.join(QUICK + SLOW)}", file=sys.stderr)
        return 2
    bench = bench_of(chosen)
    begin(bench, names)
    failed = []
    for name in names:
        bench.note_load()
        begun = time.monotonic()
        print(f"{name} …", file=sys.stderr)
        try:
            importlib.import_module(f"bench.{name}").run(bench)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
