"""Durable submits on PostgreSQL beside SQLite, at 64 clients; PostgreSQL syncs to disk here, too."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from bench.harness import Aim, Bench, Row, main, ratios
from bench.server import dais, spec
from bench.submit import occupy, post
from tests.support.needs import postgres_programs
from tests.support.postgres import DURABLE, cluster

CLIENTS = 64


def run(bench: Bench) -> None:
    seconds = bench.pick(3, 1)
    programs = postgres_programs()
    if programs is None:
        bench.absent("PostgreSQL", "install postgresql")
        return
    with ExitStack() as held:
        url = held.enter_context(held.enter_context(cluster(programs, DURABLE)).database())
        sides = {}
        for name, address in (("PostgreSQL", url), ("SQLite", "")):
            server = held.enter_context(dais(database_url=address))
            occupy(server)
            sides[name] = partial(post, server.port, "/v1/jobs", CLIENTS, seconds, spec(), server.token)
        seen = bench.interleave(sides)
    bench.report(
        Row(
            figure=f"durable submit on PostgreSQL, {CLIENTS} clients",
            ours=seen["PostgreSQL"],
            unit="submits/s",
            peer="Dais on SQLite",
            theirs=seen["SQLite"],
            ratios=ratios(seen["PostgreSQL"], seen["SQLite"]),
            aim=Aim(number="23", must=0.35, should=0.50),
        )
    )


if __name__ == "__main__":
    main(run)
