"""Following a log and waiting for an end, through restarts of the server."""

from __future__ import annotations

import time
from dataclasses import replace

from dais.sdk.errors import DaisError, TooMany, Unavailable, Unreachable
from dais.sdk.flow import Backoff, Emit, Flow, Items, Pause, Request, Resource, decode
from dais.sdk.stream import Parser, ServerEvent, next_events, open_events
from dais.wire.answers import JobDetail, LogFrame

RECONNECT_SECONDS = 120.0
"""For how long a server that went away is tried."""


class Connection:
    """One connection that is made anew when it breaks: how long to wait, what to tell."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._backoff = Backoff(RECONNECT_SECONDS)
        self._lost = False

    def works(self) -> None:
        """Something came through."""
        if self._lost:
            self._resource.tell("connected again")
        self._lost = False
        self._backoff.reset()

    def broke(self, problem: DaisError) -> Flow[None]:
        """Wait before the next attempt. Raises Unreachable when it has taken too long."""
        if not self._lost:
            self._resource.tell(f"lost the connection: {problem.message}; trying again")
        self._lost = True
        pause = self._backoff.next(problem.retry_after)
        if pause is None:
            raise Unreachable(
                f"{problem.message}, for {RECONNECT_SECONDS:.0f} seconds; the job is not affected",
                sent=True,
                hint="when the server is back, follow on with `dais job logs -f`",
            ) from problem
        yield Pause(pause)


def follow_log(resource: Resource, request: Request, *, ending: bool = True) -> Items[LogFrame | JobDetail]:
    """Emit the frames of a log stream, and with `ending` the job as it ended; nothing is lost or said twice."""
    connection = Connection(resource)
    position: str | None = None
    while True:
        headers = {"last-event-id": position} if position else {}
        try:
            stream = yield from open_events(replace(request, headers=headers))
            parser = Parser()
            while (found := (yield from next_events(stream, parser))) is not None:
                connection.works()
                for event in found:
                    position = event.id or position
                    item = _item(event)
                    if isinstance(item, LogFrame) or (item is not None and ending):
                        yield Emit(item)
                    if event.event == "end":
                        return
            problem: DaisError = Unreachable("the server ended the stream", sent=True)
        except (Unavailable, TooMany) as error:
            problem = error
        yield from connection.broke(problem)


def wait_for(resource: Resource, job: JobDetail, timeout: float | None) -> Flow[JobDetail]:
    """The job once it has ended. Raises TimeoutError after `timeout` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    connection = Connection(resource)
    while job.alive:
        try:
            job = yield from _listen(resource, job, until, connection)
            problem: DaisError = Unreachable("the server ended the stream", sent=True)
        except (Unavailable, TooMany) as error:
            problem = error
        if job.alive:
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"job {job.id} has not ended within {timeout:g} seconds; it is {job.state}")
            yield from connection.broke(problem)
    return job


def _listen(resource: Resource, job: JobDetail, until: float | None, connection: Connection) -> Flow[JobDetail]:
    """Listen first, then look, so that no change falls between; the job as it is when the stream ends."""
    silence = None if until is None else max(0.05, until - time.monotonic())
    stream = yield from open_events(Request("GET", f"/v1/jobs/{job.id}/events", timeout=silence))
    parser = Parser()
    changed = True
    while True:
        if changed:
            job = yield from resource.call(Request("GET", f"/v1/jobs/{job.id}"), JobDetail)
            connection.works()
        if not job.alive or (until is not None and time.monotonic() >= until):
            return job
        found = yield from next_events(stream, parser)
        if found is None:
            return job
        changed = bool(found)


def _item(event: ServerEvent) -> LogFrame | JobDetail | None:
    if event.event == "log":
        return decode(event.data.encode(), LogFrame)
    if event.event != "end" or event.data == "null":  # null: who may read the log, and no more of the job
        return None
    return decode(event.data.encode(), JobDetail)
