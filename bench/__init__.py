"""Figures: what Dais does beside a named peer or a physical limit, measured in the same run.

One file for each bench; `python -m bench.jobs --quick` runs one alone, `python -m bench` all that are quick enough to
be run together, `python -m bench jobs ray_jobs` those that are named. Each appends what it has seen to `RESULTS.md`.
`docs/benchmarks.md` says how to read it.
"""
