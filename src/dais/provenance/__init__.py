"""Metadata on any entity, and lineage: who made what from what."""

from dais.provenance.lineage.checking import unknown_parents
from dais.provenance.lineage.recording import record_derivation
from dais.provenance.lineage.tracing import trace_backward, trace_forward, trace_job
from dais.provenance.meta.finding import count_found, find
from dais.provenance.meta.kinds import COMMON, FILE, FILESET, FOLDER, USER
from dais.provenance.meta.reading import forget_meta, get_meta, sweep_meta
from dais.provenance.meta.types import Described, Entity, FactType, Gone, Kind
from dais.provenance.meta.values import check_key, check_word, stored
from dais.provenance.meta.writing import delete_meta, set_values, update_meta

__all__ = [
    "COMMON",
    "FILE",
    "FILESET",
    "FOLDER",
    "USER",
    "Described",
    "Entity",
    "FactType",
    "Gone",
    "Kind",
    "check_key",
    "check_word",
    "count_found",
    "delete_meta",
    "find",
    "forget_meta",
    "get_meta",
    "record_derivation",
    "trace_backward",
    "trace_forward",
    "trace_job",
    "unknown_parents",
    "set_values",
    "stored",
    "sweep_meta",
    "update_meta",
]
