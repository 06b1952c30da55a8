"""Following the graph: what led to a version of a file set or a file, and what came of it.

The graph is walked level by level, with a few queries for each. What the asker may not see stays in it as a node
without a name, so that what is beyond keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterable

from dais.data import get_file, get_file_set
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.provenance.lineage.edges import Step, backward, forward
from dais.provenance.lineage.nodes import Nodes, derivations_of_job
from dais.wire.lineage import DEFAULT_DEPTH, DEFAULT_NODES, MAX_DEPTH, MAX_NODES, Direction, Trace, TraceEdge

Key = tuple[str, str]
"""What a node is of, and its id: of a version of a set or file (also for an upload), or for a job of a derivation."""


def trace_forward(
    uow: UnitOfWork,
    actor: Actor,
    ref: str,
    *,
    account: str | None = None,
    depth: int = DEFAULT_DEPTH,
    limit: int = DEFAULT_NODES,
) -> Trace:
    """What came of a version of a file set (`texts:1`) or of a file (`/a.txt:3`).

    At most `depth` steps and `limit` nodes. Raises NotFound, Forbidden (for where it begins), Invalid.
    """
    return _trace(uow, actor, _begin(uow, actor, ref, account), "forward", depth, limit)


def trace_backward(
    uow: UnitOfWork,
    actor: Actor,
    ref: str,
    *,
    account: str | None = None,
    depth: int = DEFAULT_DEPTH,
    limit: int = DEFAULT_NODES,
) -> Trace:
    """What a version of a file set or of a file came of; as `trace_forward`."""
    return _trace(uow, actor, _begin(uow, actor, ref, account), "backward", depth, limit)


def trace_job(
    uow: UnitOfWork,
    actor: Actor,
    job_id: str,
    direction: Direction,
    *,
    depth: int = DEFAULT_DEPTH,
    limit: int = DEFAULT_NODES,
) -> Trace:
    """What a job's runs were given, or what came of them; no nodes where they made nothing.

    The caller has asked whether `actor` may see the job. Raises Invalid.
    """
    begin = [("job", row.id) for row in derivations_of_job(uow, job_id)]
    return _trace(uow, actor, begin, direction, depth, limit)


def _begin(uow: UnitOfWork, actor: Actor, ref: str, account: str | None) -> list[Key]:
    """Where the trace begins, which the asker must be allowed to see."""
    where = resolve_account(uow, actor, account)
    if ref.startswith("/"):
        return [("file", get_file(uow, actor, ref, account=where.id).id)]
    return [("fileset", get_file_set(uow, actor, ref.removeprefix("@"), account=where.id).id)]


def _trace(uow: UnitOfWork, actor: Actor, begin: list[Key], direction: Direction, depth: int, limit: int) -> Trace:
    _check("depth", depth, MAX_DEPTH)
    _check("limit", limit, MAX_NODES)
    follow = forward if direction == "forward" else backward
    found: dict[Key, int] = dict.fromkeys(begin, 0)
    edges: dict[tuple[Key, Key], Step] = {}
    level, truncated = list(found), False
    for distance in range(1, depth + 2):  # one step further than shown: whether there is more
        steps, cut = follow(uow, level, limit)
        truncated |= cut
        level = []
        for step in steps:
            new = step.target if direction == "forward" else step.source
            if new not in found:
                if len(found) >= limit or distance > depth:
                    truncated = True
                    continue
                found[new] = distance
                level.append(new)
            edges[step.source, step.target] = step
        if not level:
            break
    named = Nodes(uow, actor).of(found)
    return Trace(
        direction=direction,
        nodes=list(named.values()),
        edges=_edges(edges.values(), {key: node.id for key, node in named.items()}),
        truncated=truncated,
    )


def _edges(steps: Iterable[Step], ids: dict[Key, str]) -> list[TraceEdge]:
    return [
        TraceEdge(source=ids[step.source], target=ids[step.target], kind=step.kind)
        for step in steps
        if step.source in ids and step.target in ids
    ]


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise Invalid(f"{name} {value} is not between 1 and {most:,}", code=f"bad-{name}", value=value)
