"""A group of containers in a world: its engine is a real one beside the fake ones."""

from __future__ import annotations

from dais.compute import EngineKind, Kinds
from dais.compute.groups.queries import group_row, node_rows
from dais.engines.container import ContainerEngine, ContainerOptions
from dais.kit.clock import ManualClock
from dais.kit.database import UnitOfWork
from tests.support.attaching import Machines


class DockerMachines(Machines):
    """One engine of Docker's beside the fake ones."""

    def __init__(self, clock: ManualClock, engine: ContainerEngine) -> None:
        super().__init__(clock)
        self._engine = engine

    @property
    def kinds(self) -> Kinds:
        return {**super().kinds, "docker": lambda: EngineKind(ContainerOptions, self._made, self._check)}

    def _made(self, options: ContainerOptions, group: str) -> ContainerEngine:
        return self._engine


def is_open(uow: UnitOfWork, group: str) -> bool:
    """Whether a group's engine answers and has told its machine."""
    row = group_row(uow, group)
    return row is not None and row.problem is None and bool(node_rows(uow, group))
