"""Metadata on any entity, and lineage: who made what from what."""

from dais.provenance.lineage.recording import record_derivation

__all__ = [
    "record_derivation",
]
