"""The engine of machines that Slurm manages: one allocation for each attempt, with the node supervisor inside."""

from __future__ import annotations

from dais.engines.slurm.check import check
from dais.engines.slurm.engine import SlurmEngine
from dais.engines.slurm.options import SlurmOptions

__all__ = ["SlurmEngine", "SlurmOptions", "check"]
