"""What this machine can isolate and do, what follows from it, and the command that mends it."""

from dais.app.doctor.report import examine
from dais.app.doctor.types import Finding, Report

__all__ = ["Finding", "Report", "examine"]
