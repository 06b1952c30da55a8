"""What is known of every attempt on this machine: built from what was sent, from hello and from records. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dais.engines.contract import NEVER_ACCEPTED, TOLD_BEFORE, Phase, Status
from dais.engines.supervised.frames import Message, Record

_over = (Phase.ENDED, Phase.LOST)


class Attempts:
    """The statuses by attempt. An attempt is `accepted` once the supervisor has shown that it knows it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._known: dict[str, Status] = {}
        self._accepted: set[str] = set()
        self._named: set[str] = set()

    def sent(self, attempt_ids: Iterable[str]) -> None:
        """A launch is on its way."""
        for attempt_id in attempt_ids:
            self._known.setdefault(attempt_id, self._status(attempt_id, Phase.QUEUED))

    def failed(self, attempt_id: str, detail: str, now: int) -> Status:
        """A launch that cannot even be sent."""
        status = self._status(attempt_id, Phase.ENDED, reason="launch-failed", detail=detail, ended_at=now)
        self._known[attempt_id] = status
        self._accepted.add(attempt_id)
        return status

    def greeted(self, hello: Message) -> None:
        """A supervisor, perhaps another one, tells which attempts it knows. Its records follow."""
        states = {**dict.fromkeys(hello.queued, "queued"), **hello.attempts}
        self._named = set(states)
        self._accepted |= self._named
        for attempt_id, state in states.items():
            known = self._known.get(attempt_id)
            if known is None or known.phase not in _over:
                self._known[attempt_id] = self._named_as(attempt_id, state, known)

    def apply(self, record: Record) -> Status:
        """A start or an end. A start that is repeated after its end changes nothing."""
        self._accepted.add(record.attempt_id)
        self._named.add(record.attempt_id)
        known = self._known.get(record.attempt_id) or self._status(record.attempt_id, Phase.QUEUED)
        if record.kind == "started":
            fields = {"started_at": record.at, "isolation": record.isolation, "missing": record.missing}
            if known.phase not in _over:
                fields["phase"] = Phase.RUNNING
            status = msgspec.structs.replace(known, **fields)
        else:
            status = self._ended(known, record)
        self._known[record.attempt_id] = status
        return status

    def reconcile(self, now: int) -> list[Status]:
        """The supervisor has said everything that it knows: what it did not name is gone. Returns what changed.

        What had been accepted has perished with its supervisor; of what had only been sent nobody has ever heard.
        """
        gone = [s for name, s in self._known.items() if s.phase not in _over and name not in self._named]
        changed: list[Status] = []
        for status in gone:
            name = status.attempt_id
            if name in self._accepted:
                detail = "the node supervisor that ran it is gone"
                self._known[name] = msgspec.structs.replace(
                    status, phase=Phase.LOST, reason="node-lost", detail=detail, ended_at=now
                )
                changed.append(self._known[name])
            else:
                del self._known[name]
                changed.append(self.get(name))
        return changed

    def get(self, attempt_id: str) -> Status:
        """The status; one that is unknown here was never accepted."""
        return self._known.get(attempt_id) or Status(attempt_id=attempt_id, phase=Phase.LOST, detail=NEVER_ACCEPTED)

    def is_over(self, attempt_id: str) -> bool:
        """Whether it is known to have ended or to be lost; what is unknown is not."""
        known = self._known.get(attempt_id)
        return known is not None and known.phase in _over

    def ended(self) -> list[str]:
        """Those that are over, and not forgotten."""
        return [name for name, status in self._known.items() if status.phase in _over]

    def forget(self, attempt_ids: Iterable[str]) -> list[str]:
        """Drop those that are over. Returns them, with those that are not known here."""
        dropped = [name for name in attempt_ids if self.get(name).phase in _over]
        for attempt_id in dropped:
            self._known.pop(attempt_id, None)
            self._accepted.discard(attempt_id)
            self._named.discard(attempt_id)
        return dropped

    def _status(self, attempt_id: str, phase: Phase, **fields: object) -> Status:
        return Status(attempt_id=attempt_id, phase=phase, node=self._node, **fields)  # type: ignore[arg-type]

    def _named_as(self, attempt_id: str, state: str, known: Status | None) -> Status:
        """An attempt as hello names it. Of one that has ended the record follows, unless it was acknowledged."""
        status = known or self._status(attempt_id, Phase.QUEUED)
        match state:
            case "running":
                return msgspec.structs.replace(status, phase=Phase.RUNNING)
            case "ended":
                return msgspec.structs.replace(status, phase=Phase.ENDED, detail=TOLD_BEFORE)
            case "lost":
                return msgspec.structs.replace(status, phase=Phase.LOST, reason="node-lost", detail=TOLD_BEFORE)
            case _:
                return status

    def _ended(self, known: Status, record: Record) -> Status:
        lost = record.reason == "lost"
        return msgspec.structs.replace(
            known,
            phase=Phase.LOST if lost else Phase.ENDED,
            reason="node-lost" if lost else record.reason,
            stop_reason=record.stop_reason,
            exit_code=record.exit_code,
            signal=record.signal,
            detail=record.detail or None,
            ended_at=record.at,
            memory_peak=record.memory_peak,
            cpu_seconds=record.cpu_seconds,
            log_bytes=record.log_bytes,
            log_truncated=record.log_truncated,
        )
