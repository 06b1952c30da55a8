"""`/metrics`, for Prometheus: what was counted, turned into its format when it is asked for."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dais
from dais.api.context import Context, Services
from dais.api.routing import Receive, Routes, Scope, Send
from dais.compute import Figures, figures
from dais.identity import require
from dais.kit.meters import Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric

routes = Routes()


@routes.raw(
    "GET",
    "/metrics",
    summary="Figures for Prometheus",
    action="installation:get",
    public="Prometheus may send the token of the settings, which is no user's",
)
async def metrics(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """Text in Prometheus's format. For administrators, and for who sends the token of `DAIS_SERVER_METRICS_TOKEN`."""
    await _check(ctx.services, scope)
    body, kind = await render(ctx.services)
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _check(services: Services, scope: Scope) -> None:
    """Raises Unauthenticated, Forbidden."""
    wanted = services.settings["server"].metrics_token if "server" in services.settings else ""
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    if wanted and hmac.compare_digest(given, b"Bearer " + wanted.encode()):
        return
    actor = await services.authenticator.actor(scope)
    await services.db.read(require, actor, "installation:get")


async def render(services: Services) -> tuple[bytes, str]:
    """The figures of this process, and those of the database that all servers share; with their content type."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    now: Figures = await services.db.read(figures)
    registry.register(_Collector(services, now))
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """Looks at the counters when Prometheus's library asks."""

    def __init__(self, services: Services, now: Figures) -> None:
        self._services = services
        self._figures = now

    def collect(self) -> Iterator[Metric]:
        yield from self._server()
        yield from self._requests()
        yield from self._database()
        yield from self._jobs()

    def _server(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily(
            "dais", "What runs.", {"version": dais.__version__, "database": self._services.db.dialect}
        )
        yield GaugeMetricFamily(
            "dais_stopping", "1 while the server is stopping.", float(self._services.stopping.is_set())
        )
        free = GaugeMetricFamily(
            "dais_disk_free_bytes",
            "Bytes that may still be written in the data directory.",
            _free(self._services.data_dir),
        )
        yield free

    def _requests(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        answers = CounterMetricFamily(
            "dais_http_requests", "Answers by route and status.", labels=["method", "route", "status"]
        )
        seconds = HistogramMetricFamily(
            "dais_http_request_seconds", "Time to answer; streams are left out.", labels=["method", "route"]
        )
        streams = GaugeMetricFamily(
            "dais_http_open_streams", "Event streams and WebSockets that are open.", labels=["route"]
        )
        for route in self._services.meter.routes:
            for status, count in sorted(route.statuses.items()):
                answers.add_metric([route.method, route.path, str(status)], count)
            if route.timed and route.statuses:
                seconds.add_metric([route.method, route.path], **_histogram(route.seconds))
            if not route.timed:
                streams.add_metric([route.path], route.streams)
        yield from (answers, seconds, streams)

    def _database(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        meter = self._services.db.meter
        seconds = HistogramMetricFamily(
            "dais_database_commit_seconds", "Time of a transaction that writes, with its fsync."
        )
        seconds.add_metric([], **_histogram(meter.seconds))
        sizes = HistogramMetricFamily("dais_database_commit_verbs", "Changes that were committed together.")
        sizes.add_metric([], **_histogram(meter.sizes))
        yield from (seconds, sizes)
        yield CounterMetricFamily("dais_database_failed_commits", "Transactions that were undone.", meter.failed)

    def _jobs(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        live = GaugeMetricFamily("dais_jobs", "Live jobs, in all servers.", labels=["group", "state"])
        waited = GaugeMetricFamily(
            "dais_queue_oldest_seconds", "For how long the oldest waiting job has waited.", labels=["group"]
        )
        connected = GaugeMetricFamily("dais_engine_connected", "1 while the engine can be reached.", labels=["group"])
        ticks = HistogramMetricFamily("dais_tick_seconds", "Time of a scheduler's tick.", labels=["group"])
        compute = self._services.parts.compute
        away = compute.unconnected() if compute is not None else []
        for name, group in compute.groups.items() if compute is not None else ():
            for state in ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING"):
                live.add_metric([name, state], self._figures.jobs.get((name, state), 0))
            waited.add_metric([name], self._figures.waited.get(name, 0.0))
            connected.add_metric([name], float(name not in away))
            ticks.add_metric([name], **_histogram(group.ticks))
        changes = CounterMetricFamily(
            "dais_job_changes", "Changes of jobs' states that this server committed.", labels=["state", "reason"]
        )
        sessions = CounterMetricFamily(
            "dais_code_sessions",
            "Code sessions opened: warm sandboxes, and jobs that were submitted.",
            labels=["start"],
        )
        for (name, *labels), count in sorted(self._services.db.meter.tallies.items()):
            if name == "job_changes":
                changes.add_metric(labels, count)
            elif name == "code_sessions":
                sessions.add_metric(labels, count)
        warm = GaugeMetricFamily("dais_warm_sandboxes", "Sandboxes that are kept for code sessions.", labels=["state"])
        for state, count in self._figures.warm.items():
            warm.add_metric([state], count)
        yield from (live, waited, connected, ticks, changes, sessions, warm)


def _histogram(found: Histogram) -> dict[str, Any]:
    return {"buckets": found.buckets(), "sum_value": found.total}


def _free(path: Path) -> float:
    info = os.statvfs(path)
    return float(info.f_bavail * info.f_frsize)
