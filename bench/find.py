"""The file set with `model=cnn` and the largest `accuracy` among a million, over HTTP, beside a bare authenticated GET.

`cnn` is what 30 % have; `rare` a thousand of the million; `poor` 20 %, none of which is among the best 80 %: what no
order of an index helps with. MLflow's `search_runs` stands beside it on 100,000 runs, which are written into its store
as rows: by its API that would take hours.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import platformdirs

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import request, send_all
from bench.server import dais
from tests.support.installation import Installation
from tests.support.needs import postgres_programs
from tests.support.postgres import DURABLE, cluster

MANY, FEW = 1_000_000, 20_000
RUNS = 100_000
MLFLOW = "mlflow==3.17.2"
SCRIPT = Path(__file__).parent / "peers" / "mlflow_runs.py"
REQUESTS = 40
STEP = 50_000

_numbers = "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
_id = "'00000000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT)"
_value = "((CAST(i AS BIGINT) * 7919) % 1000003) / 1000003.0"
_model = (
    f"CASE WHEN i % 1000 = 7 THEN 'rare' WHEN {_value} < 0.2 THEN 'poor' WHEN i % 10 < 4 THEN 'cnn' ELSE 'other' END"
)
FILL = (
    (
        "INSERT INTO file_set_versions (id, set_id, version, files, size, digest, made_by, made_by_id, created_by, "
        f"created_at) SELECT {_id}, '{{set}}', i, 1, 1, 'blake3:0', 'upload', '{{user}}', '{{user}}', "
        "1700000000000000 + i FROM n"
    ),
    (
        "INSERT INTO meta_values (entity_id, key, account_id, kind, type, number, text) "
        f"SELECT {_id}, 'accuracy', '{{account}}', 'fileset', 1, {_value}, '' FROM n"
    ),
    (
        "INSERT INTO meta_values (entity_id, key, account_id, kind, type, number, text) "
        f"SELECT {_id}, 'model', '{{account}}', 'fileset', 3, 0, {_model} FROM n"
    ),
)


def run(bench: Bench) -> None:
    many = bench.pick(MANY, FEW)
    _beside_reading(bench, "SQLite", "", many)
    programs = postgres_programs()
    if programs is None:
        bench.absent("PostgreSQL", "install postgresql")
    else:
        with cluster(programs, DURABLE) as running, running.database() as url:
            _beside_reading(bench, "PostgreSQL", url, many)
    _beside_mlflow(bench)


def _beside_reading(bench: Bench, name: str, url: str, many: int) -> None:
    with dais(database_url=url) as server:
        fill(server, url, many)
        account, _ = whose(server)
        models = ("cnn", "rare", "poor")
        sides: dict[str, Callable[[], float]] = {one: partial(milliseconds, server, best(one)) for one in models}
        bare = request("GET", f"/v1/accounts/{account}", token=server.token)
        sides["bare"] = partial(milliseconds, server, bare)
        seen = bench.interleave(sides)
    for model in models:
        what = {"cnn": "30 % are", "rare": "0.1 % are", "poor": "20 % are, and never the best"}[model]
        bench.report(
            Row(
                figure=f"find model={model} max(accuracy) among {many:,} on {name}; {what}",
                ours=seen[model],
                unit="ms",
                peer="GET an account",
                theirs=seen["bare"],
                ratios=ratios(seen[model], seen["bare"]),
                aim=Aim(number="", must=3, at_most=True) if model == "cnn" else None,
            )
        )


def _beside_mlflow(bench: Bench) -> None:
    interpreter = with_mlflow()
    if interpreter is None:
        bench.absent("MLflow", f"let pip install {MLFLOW}, or name an interpreter that has it in DAIS_BENCH_MLFLOW")
        return
    runs = bench.pick(RUNS, 2_000)
    with ExitStack() as held:
        server = held.enter_context(dais())
        fill(server, "", runs)
        ask = held.enter_context(mlflow(interpreter, runs))
        seen = bench.interleave({"ours": partial(milliseconds, server, best("cnn")), "mlflow": ask})
    bench.report(
        Row(
            figure=f"find model=cnn max(accuracy) among {runs:,}, over HTTP",
            ours=seen["ours"],
            unit="ms",
            peer="MLflow, search_runs of its client on its SQLite store, in one process",
            theirs=seen["mlflow"],
            ratios=ratios(seen["mlflow"], seen["ours"]),
            aim=Aim(number="13", must=20, should=100),
        )
    )


def best(model: str) -> bytes:
    """The query, as a request without its token."""
    where = [{"key": "model", "value": model}, {"key": "accuracy", "op": "max"}]
    return json.dumps({"kind": "fileset", "where": where}).encode()


def milliseconds(server: Installation, asked: bytes) -> float:
    """The median of requests that are made one after the other, on one connection each."""
    whole = asked if asked.startswith(b"GET") else request("POST", "/v1/find", token=server.token, body=asked)
    spent = []
    for _ in range(REQUESTS if asked.startswith(b"GET") or b"poor" not in asked else 1):
        begun = time.perf_counter()
        (body,) = send_all(server.port, [whole], connections=1)
        spent.append((time.perf_counter() - begun) * 1000)
        assert asked.startswith(b"GET") or len(json.loads(body)["items"]) == 1, body[:400]
    return statistics.median(spent)


def whose(server: Installation) -> tuple[str, str]:
    """The ids of the personal account and of the user."""
    me = server.ask("GET", "/v1/me").json
    account = server.ask("GET", f"/v1/accounts/{me['account']}").json
    return account["id"], me["id"]


def fill(server: Installation, url: str, many: int) -> None:
    """Versions of one file set, each with a model and an accuracy, as rows."""
    account, user = whose(server)
    chosen = {"set": "00000000-0000-7000-8000-000000000001", "account": account, "user": user}
    first = (
        "INSERT INTO file_sets (id, account_id, name, latest, given, created_by, created_at) VALUES "
        f"('{chosen['set']}', '{chosen['account']}', 'many', {many}, {many}, '{chosen['user']}', 1700000000000000)"
    )
    with _connected(url, server.data / "dais.db") as execute:
        execute(first)
        for start in range(1, many + 1, STEP):
            span = _numbers.format(first=start, last=min(start + STEP - 1, many))
            for insert in FILL:
                head, select, rest = insert.partition("SELECT ")
                execute((head + span + select + rest).format(**chosen))
        execute("ANALYZE" if url else "SELECT 1")  # which PostgreSQL does by itself, some time later


@contextmanager
def _connected(url: str, path: Path) -> Iterator[Callable[[str], Any]]:
    """What executes a statement in a transaction of its own."""
    if not url:
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            yield connection.execute
        finally:
            connection.close()
        return
    import psycopg

    with psycopg.connect(url, autocommit=True) as held:
        yield held.execute


def with_mlflow() -> str | None:
    """An interpreter that has MLflow: the one that DAIS_BENCH_MLFLOW names, else that of an environment of its own.

    It is made in the cache directory at the first use, of half a gigabyte; in the environment of the benches MLflow's
    many bounds would hold other peers back. None where pip cannot install it.
    """
    if named := os.environ.get("DAIS_BENCH_MLFLOW"):
        return named
    place = Path(platformdirs.user_cache_dir("dais-bench")) / MLFLOW
    interpreter = place / "bin" / "python"
    if not (place / "whole").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
            subprocess.run([interpreter, "-m", "pip", "install", "--quiet", MLFLOW], check=True, timeout=900)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
        (place / "whole").touch()
    return str(interpreter)


@contextmanager
def mlflow(interpreter: str, runs: int) -> Iterator[Callable[[], float]]:
    """What asks MLflow for the same, in a process of its own; the median of three, in ms."""
    with TemporaryDirectory(prefix="dais-bench-") as place:
        words: Sequence[str] = [interpreter, str(SCRIPT), place, str(runs)]
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "HOME": place}
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=place, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        inward, outward = process.stdin, process.stdout
        try:
            while (line := outward.readline()) != "ready\n":
                assert line, "MLflow has ended"

            def ask() -> float:
                inward.write("\n")
                inward.flush()
                return float(outward.readline())

            yield ask
        finally:
            inward.close()
            process.wait(60)


if __name__ == "__main__":
    main(run)
