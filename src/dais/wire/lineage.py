"""Lineage as it is answered: a graph of file sets, files, uploads and runs of jobs."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dais.wire.answers import Answer

MAX_DEPTH = 100
MAX_NODES = 2_000
DEFAULT_DEPTH = 20
DEFAULT_NODES = 500

Direction = Literal["forward", "backward"]
NodeKind = Literal["fileset", "file", "upload", "job"]


class TraceNode(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the graph; `depth` is its distance from where the trace begins.

    `name` is `texts:1` of a file set, `/a.txt:3` of a file, the user's name of an upload, `#12` of a job or what its
    facts call it. `hidden`: it is there, and the asker may not see it. `removed`: it is known by its name alone.
    `facts` of a job: command, source, code, image, environment, resources, as far as they were written down.
    """

    id: str
    kind: NodeKind
    depth: int
    name: str = ""
    version: int | None = None
    account: str = ""
    hidden: bool = False
    removed: bool = False
    by: str = ""
    at: str = ""
    files: int | None = None
    size: int | None = None
    job_id: str = ""
    run: int | None = None
    facts: dict[str, Any] = msgspec.field(default_factory=dict)


class TraceEdge(Answer, frozen=True, kw_only=True):
    """`source` went into `target`: as input, code or output of a job, as a set or file of a set, as an upload."""

    source: str
    target: str
    kind: Literal["input", "output", "part", "upload", "code"]


class Trace(Answer, frozen=True, kw_only=True):
    """What leads to something, or what came of it. The first node is where it begins.

    `truncated`: there is more, beyond the depth or the number of nodes that were asked for.
    """

    direction: Direction
    nodes: list[TraceNode]
    edges: list[TraceEdge]
    truncated: bool = False
