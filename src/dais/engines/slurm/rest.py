"""Asking Slurm through slurmrestd: no commands, no munge, no shell on this machine.

slurmrestd sends a signal to every process of a job, those of its sandbox included, so none is sent: supervisors look by
themselves for what is asked of them. What it cannot be asked (how a job ended that Slurm has forgotten, whether a job
would be taken) stays unknown.
"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from dais.engines.slurm.asking import How
from dais.engines.slurm.commands import AT_ONCE, SECONDS, Failed, Owner, Unreachable, is_away, owner_of
from dais.engines.slurm.nodes import Partition, SlurmNode, away_words
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job, gpu_count
from dais.engines.slurm.requests import attempt_of

_refusals = (range(2000, 5000), range(6000, 10_000))
"""Error numbers with which Slurm or slurmrestd refuses; all others are of the way to its controller."""
_gone = (2017,)
"""No job has that number (any more)."""
_most_bytes = 64 << 20
_NO_LIMIT = 1 << 31
"""Minutes from which on a number stands for none, by Slurm's INFINITE and its like."""
_keys = {
    "chdir": "current_working_directory",
    "constraint": "constraints",
    "mem": "memory_per_node",
    "ntasks": "tasks",
    "output": "standard_output",
    "time": "time_limit",
}
"""What slurmrestd calls otherwise than sbatch; all else has the same name, with `_` for `-`."""
_environment = {"PATH": os.defpath}
# A connection that was kept may be closed just as a job is handed over on it: then nobody knows what became of that.
_limits = httpx2.Limits(max_keepalive_connections=0)


class ByRest:
    """See `Slurm`. The jobs are those of slurmrestd's own user, or of whom the token says."""

    signals = False

    def __init__(self, options: SlurmOptions, *, seconds: float = SECONDS) -> None:
        self.calls: Counter[str] = Counter()
        self.owner: Owner | None = owner_of(options)
        self._user = options.user or pwd.getpwuid(os.geteuid()).pw_name
        self._token = Path(options.rest_token) if options.rest_token else None
        self._where = options.rest
        scheme, _, place = options.rest.partition("://")
        transport = httpx2.AsyncHTTPTransport(uds=place if scheme == "unix" else None, limits=_limits)
        base = "http://localhost" if scheme == "unix" else options.rest.rstrip("/")
        self._client = httpx2.AsyncClient(
            transport=transport, base_url=f"{base}/slurm/{options.rest_version}", timeout=seconds, trust_env=False
        )
        self._places = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """No connection is kept."""

    async def version(self) -> str:
        document = await self._ask("ping", "GET", "/ping")
        if any(one.get("ping") != "UP" for one in document.get("pings", ())[:1]):
            raise Unreachable(f"slurmrestd at {self._where} answers, and Slurm's controller does not answer it")
        return f"slurm {document['meta']['Slurm']['release']}, by slurmrestd at {self._where}"

    async def submit(self, words: Sequence[str], script: str, unix: str = "") -> str:
        job = job_of(words) | {"environment": _environment}
        document = await self._ask("submit", "POST", "/job/submit", json={"script": script, "job": job})
        return str(document["job_id"])

    async def try_out(self, words: Sequence[str], script: str) -> bool:
        return False

    async def jobs(self, users: Sequence[str] = ()) -> list[Job]:
        found = (await self._ask("jobs", "GET", "/jobs"))["jobs"]
        # Everybody's are told: whose job has the name of an attempt, and is another user's, has nothing to do with it.
        return [job for one in found if one["user_name"] == self._user and (job := as_job(one)) is not None]

    async def state(self, job: str) -> tuple[str, str] | None:
        try:
            found = (await self._ask("job", "GET", f"/job/{job}"))["jobs"]
        except _Gone:
            return None
        return (str(found[0]["job_state"]), str(found[0].get("state_reason") or "")) if found else None

    async def ends(self, jobs: Mapping[str, str]) -> dict[str, str]:
        return {}

    async def nodes(self) -> list[SlurmNode]:
        return [as_node(one) for one in (await self._ask("nodes", "GET", "/nodes"))["nodes"]]

    async def partitions(self) -> list[Partition]:
        return [as_partition(one) for one in (await self._ask("partitions", "GET", "/partitions"))["partitions"]]

    async def cancel(self, jobs: Sequence[str], how: How, unix: str = "") -> None:
        if how == "running":
            return  # its supervisor looks, and knows how much time it has
        outcomes = await asyncio.gather(
            *(self._ask("cancel", "DELETE", f"/job/{job}") for job in jobs), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Failed):
                raise outcome

    async def wake(self, job: str, unix: str = "") -> None:
        """Its supervisor looks by itself."""

    async def _ask(self, name: str, method: str, path: str, json: object = None) -> dict[str, Any]:
        """One question. Raises Unreachable, Failed."""
        self.calls[name] += 1
        async with self._places:
            try:
                headers = await asyncio.to_thread(self._headers)
                answer = await self._client.request(method, path, json=json, headers=headers)
                body = answer.content
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                said = str(error) or type(error).__name__
                raise Unreachable(f"slurmrestd at {self._where} does not answer: {said}") from error
        if answer.status_code in (401, 403):
            raise Failed(f"slurmrestd at {self._where} does not let us in; is the token in `rest_token` still good?")
        if len(body) > _most_bytes:
            raise Failed(f"slurmrestd at {self._where} answered with more than {_most_bytes >> 20} MiB")
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            said = body[:200].decode("utf-8", "replace").strip() or f"status {answer.status_code}"
            raise Failed(f"{self._where} is no slurmrestd, or has no such version: {said}") from None
        # What is taken may be told with an error: that there is no node for it now, say.
        if (errors := document.get("errors")) and not answer.is_success:
            raise _told(errors, self._token)
        return document

    def _headers(self) -> dict[str, str]:
        """The token is read each time: whoever renews it only writes the file anew. Raises OSError."""
        if self._token is None:
            return {}
        token = self._token.read_text().strip().removeprefix("SLURM_JWT=")
        return {"X-SLURM-USER-NAME": self._user, "X-SLURM-USER-TOKEN": token}


class _Gone(Failed):
    """Slurm knows no such job."""


def _told(errors: Sequence[Mapping[str, Any]], token: Path | None) -> Exception:
    """What its errors mean."""
    numbers = [int(one.get("error_number") or one.get("error_code") or 0) for one in errors]
    said = "; ".join(dict.fromkeys(str(one.get("description") or one.get("error") or "") for one in errors))[:1000]
    if any(number in _gone for number in numbers):
        return _Gone(said)
    refused = any(number in refusals for number in numbers for refusals in _refusals)
    if not refused or is_away(said):
        hint = f" (or does not know the token in {token})" if token else ""
        return Unreachable(f"Slurm does not answer slurmrestd{hint}: {said}")
    return Failed(said)


def job_of(words: Sequence[str]) -> dict[str, Any]:
    """Options of sbatch as slurmrestd calls them. One without a value is set."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if name != "export":  # an environment is given
            found[_keys.get(name, name.replace("-", "_"))] = value if equals else True
    return found


def as_job(found: Mapping[str, Any]) -> Job | None:
    """A job; None for one that is no attempt's."""
    attempt_id = attempt_of(str(found["name"]))
    if attempt_id is None:
        return None
    reason = str(found.get("state_reason") or "")
    return Job(
        job=str(found["job_id"]),
        attempt_id=attempt_id,
        state=str(found["job_state"]),
        reason="" if reason == "None" else reason,
        cpus=int(found.get("cpus") or 0),
        memory=int(found.get("memory_per_node") or 0) << 20,
        gpus=gpu_count(str(found.get("tres_per_node") or "")),
        node=str(found.get("nodes") or ""),
    )


def as_partition(found: Mapping[str, Any]) -> Partition:
    minutes = int(found.get("max_time_limit", -1))
    flags = map(str.lower, found.get("flags") or ())
    return Partition(str(found["name"]), "default" in flags, minutes * 60 if 0 <= minutes < _NO_LIMIT else None)


def as_node(found: Mapping[str, Any]) -> SlurmNode:
    states = [str(found.get("state") or "unknown").upper(), *map(str.upper, found.get("state_flags") or ())]
    used = (found.get("alloc_cpus"), found.get("alloc_memory"))
    return SlurmNode(
        name=str(found["name"]),
        cpu=int(found.get("cpus") or 0),
        memory=int(found.get("real_memory") or 0) << 20,
        gpus=gpu_count(str(found.get("gres") or "")),
        allocated=(int(used[0] or 0), int(used[1] or 0) << 20, gpu_count(str(found.get("gres_used") or ""))),
        away=away_words(states, str(found.get("reason") or "")),
        partitions=tuple(found.get("partitions") or ()),
    )
