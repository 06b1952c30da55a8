"""Jobs: submit, look, follow, wait, steer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any, cast

import msgspec

from dais.sdk.copying import copy_from_job, copy_to_job
from dais.sdk.errors import Conflict
from dais.sdk.execution import (
    AsyncExecSession,
    ExecResult,
    ExecSession,
    Terminal,
    collect,
    collect_async,
    open_exec,
    open_exec_async,
)
from dais.sdk.flow import (
    Asynchronous,
    Blocking,
    Emit,
    Flow,
    Items,
    Query,
    Request,
    listing,
    operation,
    quoted,
)
from dais.sdk.following import follow_log, wait_for
from dais.sdk.job_answers import Checked, Usage
from dais.sdk.job_apps import JobAppsApi
from dais.sdk.pages import pages
from dais.sdk.port_forward import AsyncPortForwarding, PortForwarding
from dais.sdk.reproducing import ReproducingApi
from dais.sdk.specs import make_spec
from dais.sdk.storing import store_answer
from dais.wire.answers import Job, JobDetail, LogFrame, LogPage
from dais.wire.spec import Input, JobSpec, JobType, Mount, NetworkMode, Output, Port, SecretUse

Tags = Mapping[str, str] | Sequence[str]


class JobsApi(JobAppsApi, ReproducingApi):
    """Jobs. `ref` is an id or its last eight digits, a number, "last", or a name: the live job's, else the newest's."""

    @operation
    def submit(
        self,
        command: Sequence[str] | None = None,
        *,
        spec: JobSpec | None = None,
        name: str | None = None,
        account: str | None = None,
        image: str | None = None,
        workdir: str | None = None,
        data: Sequence[str | Mount] | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Sequence[str | SecretUse] | None = None,
        cpu: float | str | None = None,
        mem: float | str | None = None,
        gpu: int | None = None,
        shm: float | str | None = None,
        type: JobType | None = None,  # noqa: A002  the field's name
        preemptable: bool | None = None,
        restartable: bool | None = None,
        bid: int | None = None,
        max_run_time: float | str | None = None,
        idle_timeout: float | str | None = None,
        tags: Tags | None = None,
        network: NetworkMode | None = None,
        pty: bool | None = None,
        source: str | None = None,
        requirements: str | None = None,
        inputs: Sequence[str | Input] | None = None,
        output: str | Output | None = None,
        code: str | None = None,
        notify: Sequence[str] | None = None,
        ports: Sequence[str | Port] | None = None,
        group: str | None = None,
        idempotency_key: str | None = None,
        enforce_name: bool = False,
    ) -> Flow[JobDetail]:
        """Put a job into the queue; it is there, once, when this returns.

        Fields are as in `docs/job-spec.md`: `mem=16` is GiB, "512Mi" a text; `data` takes "NAME[/below]:/mount[:ro]",
        `secrets` "NAME", "NAME:VARIABLE" or "NAME:/path", `inputs` "NAME[:N][=/path]", `output` "PATH[=FILESET]",
        `ports` "NAME:PORT[/tcp]"; what is given beside `spec` wins over it. With `enforce_name`, a name that is taken
        gets a suffix. The same `idempotency_key` (else made up) with the same spec makes one job within 24 hours.

        Raises SpecError (a ValueError) before anything is sent, Invalid, NotFound, Forbidden, TooMany, Conflict.
        """
        given: dict[str, Any] = {
            "command": command,
            "name": name,
            "account": account,
            "image": image,
            "workdir": workdir,
            "data": data,
            "environment": environment,
            "secrets": secrets,
            "type": type,
            "preemptable": preemptable,
            "restartable": restartable,
            "bid": bid,
            "max_run_time": max_run_time,
            "idle_timeout": idle_timeout,
            "tags": tags,
            "network": network,
            "pty": pty,
            "source": source,
            "requirements": requirements,
            "inputs": inputs,
            "output": output,
            "code": code,
            "notify": notify,
            "ports": ports,
            "group": group,
        }
        wanted = make_spec(spec, given, {"cpu": cpu, "mem": mem, "gpu": gpu, "shm": shm}, self._client.account)
        key = idempotency_key or token_urlsafe(18)
        while True:
            try:
                return (yield from self._submit(wanted, key))
            except Conflict as error:
                if not (enforce_name and wanted.name and error.code == "already-exists"):
                    raise
                suffix = token_hex(2)
                stem = (spec.name if spec is not None and name is None else name) or wanted.name
                wanted = msgspec.structs.replace(wanted, name=f"{stem[:58]}-{suffix}")
                key = f"{key[:200]}-{suffix}"

    def _submit(self, spec: JobSpec, key: str) -> Flow[JobDetail]:
        request = Request(
            "POST",
            "/v1/jobs",
            body=msgspec.json.encode(spec),
            headers={"idempotency-key": key},
            repeatable=True,  # the key makes sure of it
        )
        return (yield from self.call(request, JobDetail))

    @operation
    def check(self, spec: JobSpec) -> Flow[Checked]:
        """What `submit` would do, without doing it: every name is looked up. Raises as `submit`."""
        body = msgspec.json.encode(make_spec(spec, {}, {}, self._client.account))
        request = Request("POST", "/v1/jobs", {"dry_run": True}, body=body, repeatable=True)
        return (yield from self.call(request, Checked))

    @operation
    def get(self, ref: str) -> Flow[JobDetail]:
        """All that is known of a job: spec, runs, history. Raises NotFound."""
        return (yield from self.call(self._request("GET", ref), JobDetail))

    @listing
    def list(
        self,
        *,
        me: bool = False,
        account: str | None = None,
        owner: str | None = None,
        state: str | Sequence[str] | None = None,
        name: str | None = None,
        text: str | None = None,
        type: str | None = None,  # noqa: A002 (the field's word)
        group: str | None = None,
        tag: str | None = None,
        since: str | None = None,
        oldest_first: bool = False,
        limit: int | None = None,
    ) -> Items[Job]:
        """Jobs that you may see, the newest first; pages are fetched as you go.

        `me`: only yours. `owner`: a user's name. `state`: names, "alive" or "all". `text`: a part of the name, in any
        case. `type`: "batch", … ; those of "system", the installation's own, are listed by it alone. `group`: of
        resources. `tag`: "key" or "key=value". `since`: an RFC 3339 time; jobs that are alive are listed all the same.
        """
        query: Query = {
            "me": me or None,
            "account": account,
            "owner": owner,
            "state": state if state is None or isinstance(state, str) else ",".join(state),
            "name": name,
            "text": text,
            "type": type,
            "group": group,
            "tag": tag,
            "since": since,
            "order": "oldest" if oldest_first else None,
        }
        yield from pages(self, "/v1/jobs", query, Job, limit)

    @operation
    def kill(self, ref: str) -> Flow[JobDetail]:
        """Ask a job to end (TERM, and KILL after its grace); the job as it is then. One that has ended stays so."""
        return (yield from self.call(self._request("POST", ref, "/kill", repeatable=True), JobDetail))

    @operation
    def retry(self, ref: str) -> Flow[JobDetail]:
        """Run a finished job again, as its next run. Raises Conflict `still-alive`."""
        return (yield from self.call(self._request("POST", ref, "/retry"), JobDetail))

    @operation
    def set(
        self, ref: str, *, name: str | None = None, tags: Tags | None = None, bid: int | None = None
    ) -> Flow[JobDetail]:
        """Change what is given: the name, all the tags, or (while it waits) the bid. Raises Conflict."""
        from dais.wire.read import read_fields

        given = {"name": name, "tags": tags, "bid": bid}
        change = read_fields({key: value for key, value in given.items() if value is not None})
        body = msgspec.json.encode(change)
        return (yield from self.call(self._request("PATCH", ref, body=body, repeatable=True), JobDetail))

    @operation
    def rm(self, ref: str) -> Flow[None]:
        """Forget a job that has ended, with its history and log. Raises Conflict `still-alive`."""
        yield from self.send(self._request("DELETE", ref))

    @operation
    def partial(self, ref: str, file: str | Path, *, run: int | None = None) -> Flow[int]:
        """Store what a run that did not succeed had written, as a zip archive at `file`; its bytes.

        Raises NotFound. An archive with nothing in it says that nothing was kept.
        """
        return (yield from store_answer(self._request("GET", ref, "/partial", {"run": run}), Path(file)))

    @operation
    def usage(self, ref: str) -> Flow[Usage]:
        """What a running job uses now. Raises Conflict when it does not run."""
        return (yield from self.call(self._request("GET", ref, "/usage"), Usage))

    @listing
    def logs(
        self,
        ref: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: str | None = None,
        stream: str | None = None,
        run: int | None = None,
    ) -> Items[LogFrame]:
        """What a job printed, in chunks (see `frame_bytes`); with `follow`, until it has ended.

        `tail`: the last so many lines; `since`: an RFC 3339 time; `stream`: stdout or stderr; `run`: a run's index
        (the latest). Following goes on by itself after the server was away, with nothing lost or said twice.
        """
        query = _log_query(tail, since, stream, run)
        if follow:
            request = self._request("GET", ref, "/logs/stream", query)
            yield from cast(Items[LogFrame], follow_log(self, request, ending=False))
            return
        cursor: str | None = None
        while True:
            asked = {**query, "cursor": cursor, "tail": tail if cursor is None else None}
            page = yield from self.call(self._request("GET", ref, "/logs", asked), LogPage)
            for frame in page.frames:
                yield Emit(frame)
            if page.eof or tail is not None or page.cursor == cursor:
                return
            cursor = page.cursor

    @listing
    def follow(
        self, ref: str, *, tail: int | None = None, since: str | None = None, stream: str | None = None
    ) -> Items[LogFrame | JobDetail]:
        """As `logs(follow=True)`, and last the job as it ended."""
        yield from follow_log(self, self._request("GET", ref, "/logs/stream", _log_query(tail, since, stream)))

    @operation
    def wait(self, ref: str, timeout: float | None = None) -> Flow[JobDetail]:
        """Wait until a job has ended; the job as it ended. Goes on by itself after the server was away.

        Raises TimeoutError when `timeout` seconds have gone by first, NotFound.
        """
        job = yield from self.call(self._request("GET", ref), JobDetail)
        return (yield from wait_for(self, job, timeout)) if job.alive else job

    def _request(
        self,
        method: str,
        ref: str,
        below: str = "",
        query: Query | None = None,
        *,
        body: bytes | None = None,
        repeatable: bool | None = None,
    ) -> Request:
        asked = {**(query or {}), "account": self._client.account}
        return Request(method, f"/v1/jobs/{quoted(ref)}{below}", asked, body=body, repeatable=repeatable)


class Jobs(JobsApi, PortForwarding, Blocking):
    """Jobs, blocking."""

    def open_exec(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        pty: Terminal | None = None,
    ) -> ExecSession:
        """Start a command inside a running job; a session to talk to it. Raises NotFound, Conflict, Invalid."""
        return open_exec(self._client.target, ref, argv, env, workdir, pty, self._client.account)

    def exec(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002  as in subprocess.run
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
    ) -> ExecResult:
        """Run a command inside a running job to its end; what it printed and its exit code."""
        with self.open_exec(ref, argv, env=env, workdir=workdir) as session:
            return collect(session, input)

    def put(self, ref: str, local: str | Path, remote: str, *, note: Callable[[str], None] | None = None) -> None:
        """Copy a file or directory into a running job, as `cp -r` would."""
        copy_to_job(self, ref, Path(local), remote, note)

    def fetch(self, ref: str, remote: str, local: str | Path, *, note: Callable[[str], None] | None = None) -> None:
        """Copy a file or directory out of a running job; nothing is written outside `local`."""
        copy_from_job(self, ref, remote, Path(local), note)


class AsyncJobs(JobsApi, AsyncPortForwarding, Asynchronous):
    """Jobs, on asyncio."""

    async def open_exec(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
        pty: Terminal | None = None,
    ) -> AsyncExecSession:
        """As `Jobs.open_exec`."""
        return await open_exec_async(self._client.target, ref, argv, env, workdir, pty, self._client.account)

    async def exec(
        self,
        ref: str,
        argv: Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002  as in subprocess.run
        env: Mapping[str, str] | None = None,
        workdir: str | None = None,
    ) -> ExecResult:
        """As `Jobs.exec`."""
        async with await self.open_exec(ref, argv, env=env, workdir=workdir) as session:
            return await collect_async(session, input)

    async def put(self, ref: str, local: str | Path, remote: str, *, note: Callable[[str], None] | None = None) -> None:
        """As `Jobs.put`; the work is done in a thread."""
        import asyncio

        def copy() -> None:
            with self._client.blocking() as client:
                client.jobs.put(ref, local, remote, note=note)

        await asyncio.to_thread(copy)

    async def fetch(
        self, ref: str, remote: str, local: str | Path, *, note: Callable[[str], None] | None = None
    ) -> None:
        """As `Jobs.fetch`; the work is done in a thread."""
        import asyncio

        def copy() -> None:
            with self._client.blocking() as client:
                client.jobs.fetch(ref, remote, local, note=note)

        await asyncio.to_thread(copy)


def frame_bytes(frame: LogFrame) -> bytes:
    """The bytes that a job printed, exactly."""
    if frame.encoding == "base64":
        import base64

        return base64.b64decode(frame.data)
    return frame.data.encode()


def _log_query(
    tail: int | None, since: str | None = None, stream: str | None = None, run: int | None = None
) -> dict[str, str | int | None]:
    return {"tail": tail, "since": since, "stream": stream, "run": run}
