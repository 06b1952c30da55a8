"""An engine in memory: containers are scripted by their argv, time moves when told, failures are named classes."""

from dais.engines.fake.behaviours import Behaviour, DiesAfter, Lost, NeverStarts, SlowStop, StartsAfter, Unreachable
from dais.engines.fake.engine import FakeEngine
from dais.engines.fake.machine import FakeMachine

__all__ = [
    "Behaviour",
    "DiesAfter",
    "FakeEngine",
    "FakeMachine",
    "Lost",
    "NeverStarts",
    "SlowStop",
    "StartsAfter",
    "Unreachable",
]
