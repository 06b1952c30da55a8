"""Authenticated reads a second, beside a raw ASGI answer on the same server."""

from __future__ import annotations

import json

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import send_all, wrk
from bench.peers.processes import raw_asgi
from bench.server import dais, spec, submits

CONNECTIONS = 16


def run(bench: Bench) -> None:
    seconds = bench.pick(3, 1)
    with dais() as server, raw_asgi("hello") as bare:
        (body,) = send_all(server.port, submits(server, [spec()]))
        job = json.loads(body)["id"]
        server.wait(job)

        def get(path: str) -> float:
            return wrk(server.port, path, connections=CONNECTIONS, seconds=seconds, token=server.token).per_second

        seen = bench.interleave({
            "one job": lambda: get(f"/v1/jobs/{job}"),
            "raw ASGI": lambda: wrk(bare, "/", connections=CONNECTIONS, seconds=seconds).per_second,
            "who am I": lambda: get("/v1/me"),
        })  # fmt: skip
    aim = Aim(number="7", must=0.40, should=0.55)
    for figure in ("one job", "who am I"):
        what = {
            "one job": "GET a job with runs and history: row read, permission checked",
            "who am I": "GET /v1/me",
        }[figure]
        bench.report(
            Row(
                figure=what,
                ours=seen[figure],
                unit="requests/s",
                peer="raw ASGI",
                theirs=seen["raw ASGI"],
                ratios=ratios(seen[figure], seen["raw ASGI"]),
                aim=aim if figure == "one job" else None,
            )
        )


if __name__ == "__main__":
    main(run)
