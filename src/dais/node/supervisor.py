"""The supervisor: one thread, one epoll loop, its attempts and their records.

A turn handles what happened, starts what waits, writes the journal, and tells the server in one frame.
"""

from __future__ import annotations

import os
import sys

from dais.node import processes
from dais.node.attempt import DRAINING, ENDED, QUEUED, Attempt
from dais.node.journal import Journal
from dais.node.lean import deque
from dais.node.leases import NoUid
from dais.node.loop import Loop, report
from dais.node.records import Idle, Records, now
from dais.node.slots import Slots
from dais.node.spec import LaunchSpec, SpecError, valid_id
from dais.node.wireframes import dumps, pack_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from collections.abc import Callable
    from typing import Any

    from dais.node.connection import Connection
    from dais.node.egress import Egress
    from dais.node.execs import ExecSession
    from dais.node.journal import Past
    from dais.node.launch import Machine
    from dais.node.records import Record

MOST_ATTEMPTS = 4096
MOST_UNACKNOWLEDGED = 65_536
MOST_REMEMBERED = 50_000
SPAWNS_PER_TURN = 16
SEND_RECORDS = 512
IDLE_SECONDS = 600.0


class Supervisor:
    """Everything that runs here. `machine` tells what can be isolated, `past` what a predecessor left."""

    def __init__(
        self, node_dir: str, machine: Machine, journal: Journal, past: Past, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.node_dir = node_dir
        self.machine = machine
        self.loop = Loop()
        self.journal = journal
        self.records = Records(self.loop, journal, past)
        self.attempts: dict[str, Attempt] = {}
        self.ended: dict[str, str] = {}
        self.queue: deque[Attempt] = deque()
        self.slots = Slots()
        self.execs: set[ExecSession] = set()
        self.control: Connection | None = None
        self.finished = False
        self.end_requested = False
        self._closing = False
        self._owners: dict[int, Attempt] = {}
        self._uids: dict[int, int] = {}
        self._draining: set[Attempt] = set()
        self._exec_owners: dict[int, ExecSession] = {}
        self.on_other_child: dict[int, Any] = {}
        self._strays: list[int] | None = None
        self._idle = Idle(idle_seconds, self._needed)
        self._idle_check = min(5.0, idle_seconds / 4)

    # Attempts.

    def launch(self, documents: list[object]) -> None:
        """Accept a batch: into the journal first, then the queue. Ids that are known are not launched again."""
        accepted: list[Attempt] = []
        refused: list[tuple[str, str]] = []
        known: set[str] = set()
        for attempt_id, document in _identified(documents):
            if attempt_id in self.attempts or attempt_id in self.ended:
                known.add(attempt_id)
                continue
            try:
                spec = LaunchSpec(document)
                self._check_room()
                self.machine.fence.check(spec)
                self._lease(spec)
            except SpecError as error:
                refused.append((attempt_id, str(error)))
                continue
            attempt = Attempt(self, spec)
            self.attempts[attempt_id] = attempt
            accepted.append(attempt)
        try:
            self.journal.append(accepted_line(attempt) for attempt in accepted)
        except OSError as error:
            for attempt in accepted:
                attempt.fail("launch-failed", f"the node's journal cannot be written: {error.strerror}")
        else:
            self.queue.extend(accepted)
        self.records.again(known)
        for attempt_id, detail in refused:
            self.end_unknown(attempt_id, "launch-failed", detail)

    def end_unknown(self, attempt_id: str, reason: str, detail: str) -> None:
        """An attempt that this supervisor never began is over: refused, or lost by a predecessor."""
        record = {"attempt_id": attempt_id, "kind": "ended", "at": now(), "reason": reason, "exit_code": None}
        unknown = {"signal": None, "detail": detail, "memory_peak": None, "cpu_seconds": None, "log_bytes": 0}
        self.emit({**record, **unknown, "log_truncated": False, "stop_reason": None})

    def remember(self, past: Past) -> None:
        """Know the attempts of predecessors: those with records to be sent, and those whose output is still here."""
        for record in past.records.values():
            if record["kind"] == "ended":
                self.ended[record["attempt_id"]] = record["reason"]
        try:
            names = os.listdir(f"{self.node_dir}/attempts")
        except FileNotFoundError:
            return
        for name in names:
            if name not in past.unfinished:
                self.ended.setdefault(name, "unknown")

    def _check_room(self) -> None:
        if self._closing:
            raise SpecError("the node's supervisor is shutting down")
        if len(self.attempts) >= MOST_ATTEMPTS:
            raise SpecError(f"this node runs {MOST_ATTEMPTS} containers at once already")
        if len(self.records.kept) >= MOST_UNACKNOWLEDGED:
            raise SpecError(f"{MOST_UNACKNOWLEDGED} records wait to be acknowledged")

    def _lease(self, spec: LaunchSpec) -> None:
        """Give a spec that asks for one a uid of its own, until its attempt has ended. Raises SpecError."""
        if not spec.lease:
            return
        if self.machine.leases is None:
            raise SpecError("lease: this supervisor has no uids to lease")
        try:
            spec.uid = spec.gid = self.machine.leases.take()
        except NoUid as error:
            raise SpecError(str(error)) from None

    def stop(self, attempt_id: str, grace: float | None, reason: str) -> None:
        attempt = self.attempts.get(attempt_id)
        if attempt is not None:
            attempt.stop(grace, reason)

    def forget(self, attempt_ids: list[object]) -> None:
        """Remove what is kept of ended attempts."""
        for attempt_id in attempt_ids:
            if isinstance(attempt_id, str) and self.ended.pop(attempt_id, None) is not None:
                remove_tree(f"{self.node_dir}/attempts/{attempt_id}")

    def shut_down(self, *, kill: bool) -> None:
        """End once nothing runs; with `kill`, end what runs first."""
        if kill:
            self._closing = True
            for attempt in list(self.attempts.values()):
                attempt.stop(0, "supervisor-shutdown")
        if kill or not self.attempts:
            self._closing = self.finished = True

    # What attempts ask of their keeper.

    def emit(self, record: dict[str, Any]) -> None:
        """Number a record, and keep the books by it."""
        self.records.add(record)
        if record["kind"] != "ended":
            return
        attempt_id = record["attempt_id"]
        self.slots.give_back(attempt_id)
        self.ended[attempt_id] = record["reason"]
        if len(self.ended) > MOST_REMEMBERED:
            del self.ended[next(iter(self.ended))]
        attempt = self.attempts.pop(attempt_id, None)
        if attempt is None:
            return
        if attempt.spec.lease and attempt.spec.uid is not None and self.machine.leases is not None:
            self.machine.leases.give_back(attempt.spec.uid)
        if attempt.launched is None:
            return
        self._draining.discard(attempt)
        for pid in (attempt.launched.pid, attempt.init):
            self._owners.pop(pid, None)
        if not attempt.launched.sandboxed:
            self.count_user(attempt.launched.uid, -1)

    def adopt(self, pid: int, attempt: Attempt) -> None:
        """A process of an attempt that will be reaped here: its main one, later bwrap's init."""
        self._owners[pid] = attempt
        self._strays = None
        launched = attempt.launched
        if launched is not None and not launched.sandboxed:
            self.count_user(launched.uid, 1)

    def count_user(self, uid: int | None, change: int) -> None:
        """Something that runs outside a sandbox as this user has begun (1) or ended (-1)."""
        if uid is not None:
            self._uids[uid] = self._uids.get(uid, 0) + change
            if not self._uids[uid]:
                del self._uids[uid]

    def uid_in_use(self, uid: int) -> bool:
        """Whether a process of this user can see the supervisor; what is in a sandbox cannot."""
        return uid in self._uids

    def helpers(self, attempt: Attempt) -> set[int]:
        """The pids of the helpers that carry execs into this container."""
        return {session.helper for session in self.execs if session.attempt is attempt and session.helper}

    def end_execs(self, attempt: Attempt) -> None:
        for session in list(self.execs):
            if session.attempt is attempt:
                session.container_ended()

    def strays(self, attempt: Attempt) -> list[int]:
        """Children of ours that are nobody's main process and belong to this attempt: orphans that came back to us."""
        return [pid for pid in self._orphans() if self._belongs(pid, attempt)]

    def _orphans(self) -> list[int]:
        if self._strays is None:
            known = self._owners.keys() | self._exec_owners.keys() | self.on_other_child.keys()
            self._strays = [pid for pid in processes.children(os.getpid()) if pid not in known]
        return self._strays

    def unattributed(self) -> bool:
        """Whether there are orphans that bear no mark, now."""
        return any(processes.mark_of(pid) is None for pid in self._orphans())

    def _belongs(self, pid: int, attempt: Attempt) -> bool:
        mark = processes.mark_of(pid)
        if mark is not None:
            return mark == attempt.id
        launched = attempt.launched
        if launched is None or launched.sandboxed:
            return False
        session = processes.session_of(pid)
        if session in self._owners:
            return self._owners[session] is attempt
        # No mark and a session of its own: it is this attempt's unless another one could have made it.
        return session == launched.pid or not any(
            other is not attempt and other.launched is not None and not other.launched.sandboxed
            for other in self.attempts.values()
        )

    # Children.

    def way_out(self, spec: LaunchSpec, then: Callable[[str | None], None]) -> Egress:
        """Begin to make a container's way to the internet."""
        from dais.node.egress import Egress  # few go there, and all would wait for it

        return Egress(self, spec, then)

    def own_exec(self, pid: int, session: ExecSession) -> None:
        self._exec_owners[pid] = session
        self._strays = None

    def reap(self) -> None:
        """Collect every child that has ended, ours and adopted."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._strays = None
            try:
                self._reaped(pid, status, usage)
            except Exception:
                report()
        for attempt in list(self._draining):
            attempt.hint()

    def _reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> None:
        attempt = self._owners.get(pid)
        session = self._exec_owners.pop(pid, None)
        other = self.on_other_child.pop(pid, None)
        if attempt is not None:
            attempt.on_reaped(pid, status, usage)
            if attempt.state == DRAINING:
                self._draining.add(attempt)
        elif session is not None:
            session.on_helper_exit(status)
        elif other is not None:
            other()

    # The loop.

    def run(self) -> None:
        """Serve until told to end, or until nobody has needed us for long."""
        self._check_idle()
        while not (self.finished and not self.attempts and not self.queue):
            self.loop.turn(wait=not self.queue or self.slots.full)
            if self.end_requested and not self._closing:
                self.shut_down(kill=True)
            if self.loop.child_exited:
                self.loop.child_exited = False
                self.reap()
            self._start_some()
            self._strays = None
            if not self.queue:
                self.machine.put_away()
            self.tell()
        self.tell()

    def _start_some(self) -> None:
        for _ in range(min(SPAWNS_PER_TURN, len(self.queue))):
            attempt = self.queue[0]
            if attempt.state == QUEUED and not self.slots.take(attempt.spec):
                return
            self.queue.popleft()
            if attempt.state != QUEUED:
                continue
            try:
                attempt.start()
            except Exception as error:
                report()
                if attempt.state != ENDED:
                    attempt.fail("launch-failed", f"the supervisor failed: {error!r}")

    def tell(self) -> None:
        """Write this turn's records to the journal, then send them."""
        fresh = self.records.flush()
        self.send_records(fresh)
        if self.journal.worth_compacting():
            self.journal.compact(self._journal_lines())

    def send_records(self, records: list[Record]) -> None:
        if self.control is not None:
            for start in range(0, len(records), SEND_RECORDS):
                bodies = b",".join([record.body for record in records[start : start + SEND_RECORDS]])
                self.control.send_bytes(pack_body(b'{"op":"records","records":[' + bodies + b"]}"))

    def _journal_lines(self) -> list[bytes]:
        lines = [accepted_line(attempt) for attempt in self.attempts.values()]
        return [groups_line(self.machine), *self.records.lines(), *lines]

    def _needed(self) -> bool:
        return self.control is not None or bool(self.attempts) or bool(self.execs) or bool(self.records.kept)

    def _check_idle(self) -> None:
        if self._idle.over():
            self.finished = True
        elif not os.path.isdir(self.node_dir):
            # Removed: nobody will ever connect again.
            self.shut_down(kill=True)
        self.loop.later(self._idle_check, self._check_idle)


def _identified(documents: list[object]) -> list[tuple[str, dict[str, Any]]]:
    """Each spec with its id. Raises SpecError before anything is begun."""
    identified = []
    for document in documents:
        if not isinstance(document, dict):
            raise SpecError("specs: expected a list of objects")
        identified.append((valid_id(document.get("attempt_id")), document))
    return identified


def accepted_line(attempt: Attempt) -> bytes:
    """What a successor must know of an attempt: its id, and the uid that was leased to it."""
    line: dict[str, Any] = {"j": "accepted", "attempt_id": attempt.id}
    if attempt.spec.lease:
        line["uid"] = attempt.spec.uid
    return dumps(line)


def groups_line(machine: Machine) -> bytes:
    """What a successor must know to remove our control groups."""
    groups = machine.cgroups
    version, bases = (None, {}) if groups is None else (groups.version, groups.bases)
    return dumps({"j": "cgroups", "version": version, "bases": bases})


def remove_tree(path: str) -> None:
    """Remove an attempt's directory; what cannot be removed is left and reported."""
    try:
        if not os.path.lexists(path):  # it has printed nothing
            return
        for directory, folders, files in os.walk(path, topdown=False):
            for name in files:
                os.unlink(f"{directory}/{name}")
            for name in folders:
                os.rmdir(f"{directory}/{name}")
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        print(f"{path} cannot be removed: {error}", file=sys.stderr)  # noqa: T201


def main() -> None:
    """The program; see `program`."""
    from dais.node.program import main as run

    run()
