"""The machine that fake containers run on. It outlives the engine objects that are opened on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dais.engines.contract import HostTools, LaunchSpec, NodeInfo, Phase, Status
from dais.engines.fake.behaviours import NODE_LOST, Behaviour
from dais.engines.fake.clock import SECOND, MovableClock, StandingClock
from dais.engines.fake.container import Container
from dais.engines.mailbox import Mailbox

Condition = Callable[[LaunchSpec], bool]


class FakeMachine:
    """Containers in memory, on a clock that moves only by `advance`.

    What is due happens at once and in order of time, inside `launch`, `stop` and `advance`, so tests are exact: after
    `advance(10)` everything of these ten seconds has happened and waits in `mailbox`.
    """

    def __init__(self, *, clock: MovableClock | None = None, nodes: Sequence[NodeInfo] | None = None) -> None:
        self.clock = clock or StandingClock()
        self.nodes = list(nodes or [NodeInfo(name="fake-1", cpu=8.0, memory=32 << 30, isolation={"mode": "sandbox"})])
        self.host = HostTools(interpreter="/usr/bin/python3", version="3.11.2")
        self.mailbox = Mailbox()
        self.launched: list[LaunchSpec] = []
        """Every spec that made a container, in order."""
        self._containers: dict[str, Container] = {}
        self._behaviours: list[tuple[Condition, Behaviour]] = []
        self._number = 0
        self._reachable = True
        self._held: list[Status] = []

    def behave(self, behaviour: Behaviour, *, when: Condition = lambda spec: True) -> None:
        """Containers launched from now on, whose spec fulfils `when`, behave so; the newest rule that fits wins."""
        self._behaviours.insert(0, (when, behaviour))

    def launch(self, specs: Sequence[LaunchSpec]) -> None:
        self.check_reachable()
        for spec in specs:
            if spec.attempt_id in self._containers:
                continue
            behaviour = next((b for when, b in self._behaviours if when(spec)), Behaviour())
            node = self.nodes[len(self.launched) % len(self.nodes)].name
            self._containers[spec.attempt_id] = Container(spec, behaviour, node, self.clock.now())
            self.launched.append(spec)
        self.settle()

    def container(self, attempt_id: str) -> Container | None:
        return self._containers.get(attempt_id)

    def stop(self, attempt_id: str, grace: float, reason: str) -> None:
        self.check_reachable()
        container = self._containers.get(attempt_id)
        if container is not None:
            container.stop(self.clock.now(), grace, reason)
        self.settle()

    def forget(self, attempt_ids: Sequence[str]) -> None:
        self.check_reachable()
        for attempt_id in attempt_ids:
            container = self._containers.get(attempt_id)
            if container is not None and container.over:
                del self._containers[attempt_id]

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping at every instant at which something is due."""
        target = self.clock.now() + int(seconds * SECOND)
        while (due := self._next_due()) is not None and due <= target:
            self.clock.advance(max(0, due - self.clock.now()) / SECOND)
            self.settle()
        if self.clock.now() < target:
            self.clock.advance((target - self.clock.now()) / SECOND)

    def settle(self) -> None:
        """Let everything happen that is due by the clock (for tests that move a shared clock themselves)."""
        for container in list(self._containers.values()):
            for status in container.proceed(self.clock.now()):
                self._tell(status)

    def crash(self) -> None:
        """The machine dies and another takes its place: what had not ended is lost."""
        for container in self._containers.values():
            if not container.over:
                container.end(NODE_LOST, self.clock.now())
        self.settle()

    def status(self, attempt_id: str) -> Status | None:
        container = self._containers.get(attempt_id)
        return container.status if container is not None else None

    def running(self) -> list[str]:
        """The attempts that run now, in the order of their launch."""
        return [name for name, container in self._containers.items() if container.status.phase is Phase.RUNNING]

    def ended(self) -> list[str]:
        """The attempts that are over, and not forgotten."""
        return [name for name, container in self._containers.items() if container.over]

    def set_reachable(self, reachable: bool) -> None:
        self._reachable = reachable
        if reachable:
            held, self._held = self._held, []
            for status in held:
                self._tell(status)

    def check_reachable(self) -> None:
        if not self._reachable:
            raise ConnectionError("the fake machine cannot be reached")

    def _tell(self, status: Status) -> None:
        if not self._reachable:
            self._held.append(status)
            return
        self._number += 1
        self.mailbox.post(status, self._number)

    def _next_due(self) -> int | None:
        instants = [due for c in self._containers.values() if (due := c.due()) is not None]
        return min(instants, default=None)
