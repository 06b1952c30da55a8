"""Running code in jobs: cells whose state is kept, programs that are built and executed, and what they show."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from dais.sdk.errors import Invalid, Unavailable, Unreachable
from dais.sdk.flow import (
    Asynchronous,
    Blocking,
    Emit,
    Flow,
    Items,
    Pause,
    Query,
    Request,
    Resource,
    listing,
    operation,
    quoted,
)
from dais.sdk.following import Connection
from dais.wire.answers import JobDetail
from dais.wire.code import (
    FILE_LIMIT,
    FILES_LIMIT,
    GOES_ON,
    CodeFiles,
    CodeRequest,
    CodeResult,
    CodeSession,
    Completions,
    NewCodeSession,
    Steps,
)

OVER = ("finished", "exec-timeout")
WAIT = 10.0
"""Seconds for which a call waits at the server before it is made anew."""
Asked = Callable[[bool], str]
"""Gives a line of input; told whether it is a password."""


class CodeApi(Resource):
    """Code execution: in a job by its reference, or in your session (`open`)."""

    @operation
    def open(self, wanted: NewCodeSession | None = None, *, account: str | None = None) -> Flow[JobDetail]:
        """Your session's job: the one there is, else (or with `wanted.new`) a new one. It runs when this returns.

        Raises Forbidden, Invalid, Conflict.
        """
        body = msgspec.json.encode(wanted or NewCodeSession())
        query = {"account": account or self._client.account}
        job = yield from self.call(Request("POST", "/v1/code-sessions", query, body=body), JobDetail)
        pause, told = 0.01, False
        while job.state != "RUNNING":
            if not job.alive:
                raise Invalid(f"the session's job {job.id} is {job.state}: {job.detail}", code="no-session")
            if pause >= 0.3 and not told:
                told = True
                self.tell(f"the session's job {job.id} is {job.state}: {job.pending_reason or 'it starts'}")
            yield Pause(pause)
            pause = min(0.5, pause * 1.5)
            job = yield from self.call(Request("GET", f"/v1/jobs/{job.id}"), JobDetail)
        return job

    @operation
    def execute(self, ref: str, request: CodeRequest) -> Flow[CodeResult]:
        """One call, as the protocol has it: begin a run, or go on with one. Raises NotFound, Conflict, Unavailable."""
        body = msgspec.json.encode(request)
        # A run is begun once, and an answer that was lost is given again.
        repeatable = request.run_id is not None and request.mode != "input"
        sent = self._request("POST", ref, "", body=body, repeatable=repeatable, timeout=request.wait + 60)
        return (yield from self.call(sent, CodeResult))

    @listing
    def run(
        self,
        ref: str,
        code: str,
        *,
        kernel: str = "python",
        timeout: float = 0.0,
        ask: Asked | None = None,
        run_id: str | None = None,
    ) -> Items[CodeResult]:
        """Run a cell, and give each answer as it comes; the last one's status is `finished` or `exec-timeout`.

        `ask` is called when it wants a line of input; without it the run is interrupted then.
        """
        run_id = run_id or new_run_id()
        first = CodeRequest(code=code, kernel=kernel, timeout=timeout, run_id=run_id, wait=WAIT, follow=True)
        yield from self._follow(ref, first, ask)

    @listing
    def batch(
        self,
        ref: str,
        *,
        build: str | None = None,
        exec: str | None = None,  # noqa: A002  as the step is called
        clean: str | None = None,
        timeout: float = 0.0,
        ask: Asked | None = None,
    ) -> Items[CodeResult]:
        """Clean, build and execute, by shell commands; `*` stands for what is usual. As `run` otherwise."""
        steps = Steps(clean=clean, build=build, exec=exec)
        yield from self._follow(
            ref,
            CodeRequest(mode="batch", options=steps, timeout=timeout, run_id=new_run_id(), wait=WAIT, follow=True),
            ask,
        )

    @listing
    def follow(self, ref: str, run_id: str, *, ask: Asked | None = None) -> Items[CodeResult]:
        """The answers of a run that was begun before, from those that nobody has fetched on. Raises NotFound."""
        yield from self._follow(ref, _onward(run_id), ask)

    @operation
    def session(self, ref: str) -> Flow[CodeSession]:
        """The kernels of a job's session, and its runs."""
        return (yield from self.call(self._request("GET", ref, ""), CodeSession))

    @operation
    def complete(self, ref: str, code: str, cursor: int | None = None, kernel: str = "python") -> Flow[list[str]]:
        """How the word before the cursor may go on."""
        body = msgspec.json.encode({"code": code, "cursor": cursor, "kernel": kernel})
        sent = self._request("POST", ref, "/complete", body=body, repeatable=True)
        return (yield from self.call(sent, Completions)).matches

    @operation
    def interrupt(self, ref: str) -> Flow[bool]:
        """Interrupt what runs now; whether something did."""
        answer = yield from self.call(self._request("POST", ref, "/interrupt"), dict[str, bool])
        return answer["interrupted"]

    @operation
    def restart(self, ref: str, kernel: str = "python") -> Flow[None]:
        """Start a kernel anew: what its cells have defined is gone."""
        yield from self.send(self._request("POST", ref, "/restart", body=msgspec.json.encode({"kernel": kernel})))

    @operation
    def upload(self, ref: str, files: Mapping[str, bytes] | Sequence[str | Path]) -> Flow[None]:
        """Put files of at most 1 MiB into the working directory: contents by their paths there, or local files, which
        keep their path below the current directory. Raises Invalid."""
        found = files if isinstance(files, Mapping) else _read(files)
        for path, data in found.items():
            if len(data) > FILE_LIMIT:
                raise Invalid(
                    f"{path} has {len(data):,} bytes; an upload takes {FILE_LIMIT:,} for each file",
                    code="too-large",
                    hint="copy larger files with `dais job cp`",
                )
        entries = [{"path": path, "data": base64.b64encode(data).decode()} for path, data in found.items()]
        for start in range(0, len(entries), FILES_LIMIT):
            body = msgspec.json.encode({"files": entries[start : start + FILES_LIMIT]})
            yield from self.send(self._request("POST", ref, "/files", body=body, repeatable=True))

    @operation
    def download(self, ref: str, path: str) -> Flow[bytes]:
        """A file of the working directory. Raises NotFound, Invalid."""
        return (yield from self.send(self._request("GET", ref, "/download", {"path": path}))).body

    @operation
    def ls(self, ref: str, path: str = ".") -> Flow[CodeFiles]:
        """A directory of the working directory. Raises NotFound, Invalid."""
        return (yield from self.call(self._request("GET", ref, "/files", {"path": path}), CodeFiles))

    @operation
    def rm(self, ref: str, path: str, *, recursive: bool = False) -> Flow[None]:
        """Remove a file, or a directory. Raises NotFound, Invalid."""
        yield from self.send(self._request("DELETE", ref, "/files", {"path": path, "recursive": recursive}))

    def _follow(self, ref: str, request: CodeRequest, ask: Asked | None) -> Items[CodeResult]:
        """The answers of a run, through restarts of the server: it goes on in the job."""
        connection = Connection(self)
        begun = request.mode == "continue"
        while True:
            body = msgspec.json.encode(request)
            repeatable = request.mode != "input"
            sent = self._request("POST", ref, "", body=body, repeatable=repeatable, timeout=WAIT + 60)
            try:
                answer = yield from self.call(sent, CodeResult)
            except Unavailable as error:
                if error.code == GOES_ON:
                    begun, request = True, _onward(request.run_id, request.seq)
                elif not begun or not repeatable or (error.retry_after is None and not isinstance(error, Unreachable)):
                    raise
                yield from connection.broke(error)
                continue
            connection.works()
            begun = True
            yield Emit(answer)
            if answer.status in OVER:
                return
            request = _onward(answer.run_id, answer.seq)
            if answer.status == "waiting-input":
                if ask is None:
                    yield from self.send(self._request("POST", ref, "/interrupt"))
                else:
                    line = ask(answer.options is not None and answer.options.is_password)
                    request = msgspec.structs.replace(request, mode="input", code=line)

    def _request(
        self,
        method: str,
        ref: str,
        below: str,
        query: Query | None = None,
        *,
        body: bytes | None = None,
        repeatable: bool | None = None,
        timeout: float | None = None,
    ) -> Request:
        asked = {**(query or {}), "account": self._client.account}
        path = f"/v1/jobs/{quoted(ref)}/code{below}"
        return Request(method, path, asked, body=body, repeatable=repeatable, timeout=timeout)


class Code(CodeApi, Blocking):
    """Code execution, blocking."""


class AsyncCode(CodeApi, Asynchronous):
    """Code execution, on asyncio."""


def _onward(run_id: str | None, seq: int | None = None) -> CodeRequest:
    return CodeRequest(mode="continue", run_id=run_id, seq=seq, wait=WAIT, follow=True)


def new_run_id() -> str:
    return secrets.token_hex(8)


def _read(files: Sequence[str | Path]) -> dict[str, bytes]:
    """Local files by their paths below the current directory. Raises Invalid, OSError."""
    found = {}
    for file in files:
        relative = os.path.relpath(file)
        if relative.startswith(".."):
            raise Invalid(f"{file} is not below the current directory", code="bad-path", hint="go to its directory")
        found[relative] = Path(file).read_bytes()
    return found
