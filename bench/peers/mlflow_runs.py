"""MLflow's `search_runs` over many runs, for an interpreter that has MLflow: `mlflow_runs.py DIRECTORY RUNS`.

The runs are written into its SQLite store by one transaction, as copies of one that its client made. Then each line
that comes is answered with the milliseconds of a search, the median of three.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import sys
import time

from mlflow.tracking import MlflowClient


def fill(client: MlflowClient, place: str, runs: int) -> str:
    """Make an experiment of so many runs, each with a model and an accuracy; its id."""
    experiment: str = client.create_experiment("many", artifact_location=place)
    client.log_param(client.create_run(experiment).info.run_id, "first", "1")
    random.seed(1)
    with sqlite3.connect(f"{place}/mlflow.db") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(runs)")]
        known = dict(zip(columns, database.execute("SELECT * FROM runs").fetchone(), strict=True))
        keys = [f"{number:032x}" for number in range(runs)]
        database.executemany(
            f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            (
                [{**known, "run_uuid": key, "name": key, "start_time": number}[column] for column in columns]
                for number, key in enumerate(keys)
            ),
        )
        database.executemany(
            "INSERT INTO params (run_uuid, key, value) VALUES (?, 'model', ?)",
            ((key, "cnn" if number % 10 < 3 else "other") for number, key in enumerate(keys)),
        )
        database.executemany(
            "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) "
            "VALUES (?, 'accuracy', ?, 0, 0, 0)",
            ((key, random.random()) for key in keys),
        )
        database.execute("ANALYZE")  # without it SQLite compares every run with every metric, for hours
    return experiment


def ask(client: MlflowClient, experiment: str) -> float:
    """Milliseconds that the search takes."""
    begun = time.perf_counter()
    found = client.search_runs([experiment], "params.model = 'cnn'", order_by=["metrics.accuracy DESC"], max_results=1)
    assert len(found) == 1
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    place, runs = sys.argv[1], int(sys.argv[2])
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    experiment = fill(client, place, runs)
    ask(client, experiment)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(statistics.median(ask(client, experiment) for _ in range(3)), flush=True)


if __name__ == "__main__":
    main()
