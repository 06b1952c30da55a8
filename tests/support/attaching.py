"""A kind of engine that can be attached in tests: machines in memory, by name, that come and go as a test says."""

from __future__ import annotations

import msgspec

from dais.compute import EngineKind, Kinds
from dais.engines.contract import CheckFinding, CheckReport, Engine, HostTools, NodeInfo
from dais.engines.fake import FakeEngine, FakeMachine
from dais.kit.clock import ManualClock


class FakeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the machines; with a `lookahead` it has a queue of its own."""

    machine: str = "far"
    lookahead: int | None = None


class QueueingEngine(FakeEngine):
    """One that places by itself."""

    def __init__(self, machine: FakeMachine, lookahead: int) -> None:
        super().__init__(machine)
        self.lookahead = lookahead


class Machines:
    """The machines that there are, and the kind of engine that is made for them."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.known: dict[str, FakeMachine] = {}

    def add(self, name: str, *nodes: NodeInfo, container: bool = False) -> FakeMachine:
        """A machine, by default with one node of its name that has two cores."""
        machine = FakeMachine(clock=self._clock, nodes=nodes or [NodeInfo(name=name, cpu=2.0, memory=4 << 30)])
        if container:
            machine.host = HostTools(isolation="container")
        self.known[name] = machine
        return machine

    @property
    def kinds(self) -> Kinds:
        return {"fake": lambda: EngineKind(FakeOptions, self._make, self._check)}

    def _make(self, options: FakeOptions, group: str) -> Engine:
        machine = self.known[options.machine]
        if options.lookahead is None:
            return FakeEngine(machine)
        return QueueingEngine(machine, options.lookahead)

    async def _check(self, options: FakeOptions) -> CheckReport:
        there = options.machine in self.known
        found = CheckFinding(name="version", ok=False, detail="it is old", remedy="make it new", needed=False)
        if not there:
            missing = CheckFinding(
                name="machine", ok=False, detail=f"there is no machine {options.machine!r}", remedy="buy one"
            )
            return CheckReport(findings=(missing, found))
        fine = CheckFinding(name="machine", ok=True, detail=f"{options.machine} is there")
        return CheckReport(findings=(fine, found), options={"machine": options.machine}, default_image="host")
