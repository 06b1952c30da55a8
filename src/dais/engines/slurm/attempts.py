"""What is known of every attempt: from its directory, its node's records, and Slurm. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from dais.engines.contract import NEVER_ACCEPTED, TOLD_BEFORE, LaunchSpec, Phase, Status
from dais.engines.slurm.queue import Job
from dais.engines.slurm.store import Found
from dais.node.allocation import ENDED_FROM_OUTSIDE

OVER = (Phase.ENDED, Phase.LOST)
_end_signals = (9, 15)
_fields = ("stop_reason", "exit_code", "signal", "memory_peak", "cpu_seconds", "log_bytes", "log_truncated")


@dataclass(slots=True)
class Known:
    """One attempt. `spec` is kept until it starts, to hand it over once more; `unsure`: it may have been, or not.

    `handed_at` is when its handover last ended, one way or the other: an older look at the queue tells nothing of it.
    `record` is an end that the node has told, and that Slurm may know better. `gone_at` is when Slurm was first seen
    to have ended it, or to have forgotten it, and `sign` the last sign of life of its node since (with when it came).
    `unix` is the mapped user whose job it is; empty: the group's own.
    """

    attempt_id: str
    status: Status
    job: str | None = None
    spec: LaunchSpec | None = None
    unsure: bool = False
    stop_reason: str | None = None
    stop_by: float | None = None
    handed_at: float = 0.0
    record: dict[str, Any] | None = None
    seen: Job | None = None
    gone_at: float | None = None
    sign: tuple[int, float] | None = None
    unix: str = ""

    @property
    def over(self) -> bool:
        return self.status.phase in OVER

    def set(self, **fields: Any) -> Status:
        self.status = msgspec.structs.replace(self.status, **fields)
        return self.status


class Attempts:
    """The attempts by id."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def __iter__(self) -> Iterable[Known]:
        return iter(list(self._known.values()))

    def find(self, attempt_id: str) -> Known | None:
        return self._known.get(attempt_id)

    def get(self, attempt_id: str) -> Status:
        known = self._known.get(attempt_id)
        if known is None:
            return Status(attempt_id=attempt_id, phase=Phase.LOST, detail=NEVER_ACCEPTED)
        return known.status

    def add(self, spec: LaunchSpec) -> Known:
        """A launch that is on its way."""
        known = Known(spec.attempt_id, Status(attempt_id=spec.attempt_id, phase=Phase.QUEUED), spec=spec)
        self._known[spec.attempt_id] = known
        return known

    def drop(self, attempt_id: str) -> None:
        self._known.pop(attempt_id, None)

    def live(self) -> list[Known]:
        """Those that are not over."""
        return [known for known in self._known.values() if not known.over]

    def ended(self) -> list[str]:
        return [name for name, known in self._known.items() if known.over]

    def load(self, found: Found) -> Status | None:
        """What a server before this one has left. Returns what was not acknowledged."""
        known = Known(found.attempt_id, Status(attempt_id=found.attempt_id, phase=Phase.QUEUED), job=found.job)
        known.unsure = found.job is None and not found.records
        known.stop_reason, known.unix = found.stop_reason, found.unix
        self._known[found.attempt_id] = known
        told = self.tell(known, found.records)
        if found.end is not None:
            known.status = told = found.end
        if found.told:
            if not known.over and known.record is not None:  # it was told as the node said, or as Slurm did
                self.conclude(known)
            known.set(detail=TOLD_BEFORE)
            return None
        return told

    def tell(self, known: Known, records: Iterable[dict[str, Any]]) -> Status | None:
        """What the node wrote. Returns the status if that is news; an end that Slurm may know better only waits."""
        before = known.status
        for record in records:
            if known.over:
                break
            if record["kind"] == "started":
                fields = {name: tuple(record.get(name) or ()) for name in ("isolation", "missing")}
                known.spec = None
                known.set(phase=Phase.RUNNING, started_at=record["at"], detail=None, **fields)
            elif record["kind"] == "ended":
                if known.unix and record.get("stop_reason") not in (known.stop_reason, ENDED_FROM_OUTSIDE):
                    record = {**record, "stop_reason": None}  # the user may have written it, and nobody asked for it
                known.record = record
                if not doubtful(record):
                    self.conclude(known)
        return known.status if known.status is not before and known.status != before else None

    def conclude(self, known: Known, **instead: Any) -> Status:
        """The end as the node told it, but for what is known better."""
        record = known.record
        assert record is not None
        fields: dict[str, Any] = {"phase": Phase.ENDED, **{name: record.get(name) for name in _fields}}
        fields |= {"reason": record["reason"], "detail": record.get("detail") or None, "ended_at": record["at"]}
        return known.set(**(fields | instead))


def doubtful(record: dict[str, Any]) -> bool:
    """Whether Slurm may be behind an end that the node has seen: then its word is waited for."""
    by_signal = record["reason"] == "signal" and record.get("signal") in _end_signals
    return by_signal or record.get("stop_reason") == ENDED_FROM_OUTSIDE


def verdict(known: Known, state: str, now: int) -> dict[str, Any]:
    """How an attempt ended whose job Slurm has seen ending as `state`, as fields of its status.

    Where the node has told an end too, that is what counts unless Slurm itself was behind it.
    """
    ours = known.stop_reason
    match state:
        case "TIMEOUT" | "DEADLINE":
            found: dict[str, Any] = {"reason": "time-limit", "detail": "the time limit of Slurm's partition or job"}
        case "OUT_OF_MEMORY":
            found = {"reason": "out-of-memory", "detail": "more than Slurm's job was allowed"}
        case "PREEMPTED":
            found = {"reason": "stopped", "stop_reason": ours or "preempted", "detail": "preempted by Slurm"}
        case "CANCELLED" | "REVOKED":
            detail = None if ours else "cancelled in Slurm, not through Dais"
            found = {"reason": "stopped", "stop_reason": ours, "detail": detail}
        case _:
            found = {}
    record = known.record
    if record is not None:
        outside, failed = record.get("stop_reason") == ENDED_FROM_OUTSIDE, state in ("NODE_FAIL", "BOOT_FAIL")
        # A node that comes back ends what Slurm has given up meanwhile, and may signal all of it at once.
        if (outside and not state) or (failed and (outside or (doubtful(record) and ours is None))):
            lost = {"stop_reason": None, "exit_code": None, "signal": None, "detail": lost_words(known, state)}
            return {"phase": Phase.LOST, "reason": "node-lost", **lost}
        if outside:
            found = {"stop_reason": None, "detail": "something ended Slurm's job from outside"} | found
        return found
    common = {"ended_at": now, "exit_code": None, "signal": None}
    if not found and ours is not None:
        found = {"reason": "stopped", "stop_reason": ours}
    if found:
        return {"phase": Phase.ENDED, **common, **found}
    return {"phase": Phase.LOST, "reason": "node-lost", "detail": lost_words(known, state), **common}


def lost_words(known: Known, state: str) -> str:
    where = f" on {known.status.node}" if known.status.node else ""
    if state in ("NODE_FAIL", "BOOT_FAIL"):
        return f"Slurm says that the node failed{where} ({state})"
    if not state:
        return "Slurm no longer knows the job, and nothing tells how it ended"
    return f"the node supervisor{where} died; Slurm says {state} of its job"
