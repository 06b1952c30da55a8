"""How an attempt ended: from what its process 1 wrote, what the daemon says, and why it was to end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dais.engines.container.store import Stop
from dais.engines.contract import Phase, Status

_killed = 137
_outside = (None, 0, _killed, 143, 255)
"""Codes that process 1 does not end with by itself without a report: it was killed, or its daemon went down with it."""
_reasons = frozenset({"", "stopped", "time-limit", "command-not-found", "launch-failed"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the daemon says of a container. Instants are µs."""

    running: bool
    exit_code: int | None = None
    out_of_memory: bool = False
    error: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    words: str = ""


def facts_of(document: Mapping[str, Any]) -> Facts:
    """From `GET /containers/ID/json`."""
    state = document.get("State") or {}
    status = str(state.get("Status", "")).lower()
    return Facts(
        running=bool(state.get("Running")) or status in ("running", "paused", "stopping", "restarting"),
        exit_code=state.get("ExitCode"),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        started_at=_micros(state.get("StartedAt")),
        ended_at=_micros(state.get("FinishedAt")),
    )


def outcome(
    before: Status,
    report: Mapping[str, Any] | None,
    facts: Facts | None,
    stop: Stop | None,
    memory: int | None,
    now: int,
) -> Status:
    """The last status. `facts` None: the daemon has no such container any more."""
    report = _sound(report)
    started = before.started_at or (facts.started_at if facts else None)
    ended = report.get("at") or (facts.ended_at if facts else None) or now
    phase, reason, detail = Phase.ENDED, *_reason(report, facts, stop, memory)
    if reason == "node-lost":
        phase = Phase.LOST
    code, signal = report.get("exit_code"), report.get("signal")
    if not report and facts is not None and phase is Phase.ENDED:
        code, signal = (None, 9) if facts.exit_code == _killed else (facts.exit_code, None)
    return Status(
        attempt_id=before.attempt_id,
        phase=phase,
        reason=reason,
        stop_reason=stop.reason if stop is not None and reason == "stopped" else None,
        exit_code=code if reason != "launch-failed" else None,
        signal=signal,
        detail=detail,
        node=before.node,
        started_at=started,
        ended_at=max(ended, started or 0),
        isolation=before.isolation,
        missing=before.missing,
        memory_peak=report.get("memory_peak"),
        cpu_seconds=report.get("cpu_seconds"),
        log_bytes=report.get("log_bytes") or before.log_bytes,
        log_truncated=bool(report.get("log_truncated")),
    )


def _reason(
    report: Mapping[str, Any], facts: Facts | None, stop: Stop | None, memory: int | None
) -> tuple[str, str | None]:
    said = report.get("reason", "")
    if said in ("command-not-found", "launch-failed"):
        return said, str(report.get("detail", ""))[:2000]
    if stop is not None:
        return stop.cause, None
    if said == "time-limit":
        return said, None
    if report:
        return _own_end(report, memory)
    if facts is None:
        return "node-lost", "the container is gone, and nobody knows how it ended"
    if facts.out_of_memory:
        return "out-of-memory", _memory_words(memory)
    if facts.exit_code in _outside:
        return "node-lost", "the container was ended from outside, or its machine went down"
    why = facts.error or facts.words or f"it ended with {facts.exit_code}"
    return "launch-failed", f"the container's first process failed: {why}"[:2000]


def _own_end(report: Mapping[str, Any], memory: int | None) -> tuple[str, str | None]:
    signal, code = report.get("signal"), report.get("exit_code")
    if report.get("oom") and (signal == 9 or code == _killed):
        return "out-of-memory", _memory_words(memory)
    return ("signal" if signal is not None else "exit-code"), None


def _memory_words(limit: int | None) -> str:
    return "the machine ran out of memory" if limit is None else f"more than the {limit} bytes that were allowed"


def _sound(report: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A report whose values are what they should be; else none: a job can write in its file."""
    if not isinstance(report, Mapping) or report.get("reason") not in _reasons:
        return {}
    numbers = ("exit_code", "signal", "at", "log_bytes", "memory_peak")
    sound = {name: value for name, value in report.items() if name not in numbers or _counts(value)}
    if sound.get("exit_code") is None and sound.get("signal") is None and not report["reason"]:
        return {}
    spent = sound.get("cpu_seconds")
    return {**sound, "cpu_seconds": float(spent) if isinstance(spent, int | float) and spent >= 0 else None}


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _micros(text: object) -> int | None:
    """An instant as the daemon writes it; None for its zero."""
    if not isinstance(text, str) or text.startswith("0001"):
        return None
    head, _, rest = text.replace("Z", "+00:00").partition(".")
    digits = rest[: next((n for n, c in enumerate(rest) if not c.isdigit()), len(rest))]
    zone = rest[len(digits) :] if rest else ""
    try:
        at = datetime.fromisoformat(head + (zone or ("" if "+" in head[10:] else "+00:00")))
    except ValueError:
        return None
    return int(at.astimezone(UTC).timestamp()) * 1_000_000 + int((digits + "000000")[:6])
