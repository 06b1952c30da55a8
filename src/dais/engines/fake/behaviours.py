"""How fake containers misbehave. Each way has a name; `FakeMachine.behave` says which containers have it."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dais.engines.fake.machine import FakeMachine


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a container ends: a reason of `Status`, with what was seen."""

    reason: str
    exit_code: int | None = None
    signal: int | None = None
    detail: str | None = None


NODE_LOST = Ending(reason="node-lost", detail="the node is gone")


class Behaviour:
    """What a container does beside its script. This class itself does nothing beside it."""

    start_after: float | None = 0.0
    """Seconds from launch to start; None: it never starts."""

    heeds_term = True
    """Whether TERM ends it; else only KILL does, once the grace has passed."""

    def ends(self) -> tuple[float, Ending] | None:
        """Seconds after its start, and how it ends then whatever its script says."""
        return None


class NeverStarts(Behaviour):
    """Accepted, and then waits for ever (no room, a stuck puller); `stop` ends it."""

    start_after = None


@dataclass(frozen=True)
class StartsAfter(Behaviour):
    """Starts some seconds after its launch."""

    start_after: float = 1.0


@dataclass(frozen=True)
class DiesAfter(Behaviour):
    """A signal ends it some seconds after its start."""

    seconds: float = 0.0
    signal: int = 9

    def ends(self) -> tuple[float, Ending] | None:
        return self.seconds, Ending(reason="signal", signal=self.signal)


class SlowStop(Behaviour):
    """Ignores TERM: `stop` takes the whole grace."""

    heeds_term = False


@dataclass(frozen=True)
class Lost(Behaviour):
    """Its node is lost some seconds after its start; nobody learns how it ended."""

    seconds: float = 0.0

    def ends(self) -> tuple[float, Ending] | None:
        return self.seconds, NODE_LOST


class Unreachable:
    """While this context lasts, every call to the machine raises ConnectionError, and watchers hear nothing.

    The containers go on, and what happened meanwhile is told afterwards.
    """

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def __enter__(self) -> None:
        self._machine.set_reachable(False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._machine.set_reachable(True)
