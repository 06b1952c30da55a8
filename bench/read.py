"""Authenticated reads a second, beside a raw ASGI answer on the same server."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

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

        account = server.ask("GET", f"/v1/jobs/{job}").json["account_id"]
        paths = {
            "GET an account: a row read, permission checked": f"/v1/accounts/{account}",
            "GET a job with its runs, history and notifications": f"/v1/jobs/{job}",
            "GET /v1/me: token and user known, nothing read": "/v1/me",
        }
        sides: dict[str, Callable[[], float]] = {figure: partial(get, path) for figure, path in paths.items()}
        sides["raw ASGI"] = lambda: wrk(bare, "/", connections=CONNECTIONS, seconds=seconds).per_second
        seen = bench.interleave(sides)
    for figure in paths:
        bench.report(
            Row(
                figure=figure,
                ours=seen[figure],
                unit="requests/s",
                peer="raw ASGI, a constant answer",
                theirs=seen["raw ASGI"],
                ratios=ratios(seen[figure], seen["raw ASGI"]),
                aim=Aim(number="7", must=0.40, should=0.55) if "account" in figure else None,
            )
        )


if __name__ == "__main__":
    main(run)
