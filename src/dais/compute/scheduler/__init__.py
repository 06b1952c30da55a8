"""The scheduler: a pure function from a snapshot to a plan."""

from dais.compute.scheduler.plan import BEHIND, plan
from dais.compute.scheduler.types import NodeState, Placement, Plan, Snapshot, Waiting

__all__ = ["BEHIND", "NodeState", "Placement", "Plan", "Snapshot", "Waiting", "plan"]
