"""Metadata on any entity, and lineage: who made what from what."""

from dais.provenance.lineage.checking import unknown_parents
from dais.provenance.lineage.recording import record_derivation
from dais.provenance.lineage.tracing import trace_backward, trace_forward, trace_job

__all__ = [
    "record_derivation",
    "trace_backward",
    "trace_forward",
    "trace_job",
    "unknown_parents",
]
