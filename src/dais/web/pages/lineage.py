"""Lineage as a picture: what led to a version of a file set or a job, and what came of it."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from dais.compute import get_job
from dais.data import get_file_set
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.provenance import trace_backward, trace_forward, trace_job
from dais.web import view
from dais.web.frame import Frame
from dais.web.graph import HEIGHT, WIDTH, draw
from dais.web.guard import visitor
from dais.web.pages.folders import account_of
from dais.web.pages.log import ref_of
from dais.wire.lineage import Trace, TraceNode

MOST = 150
"""Parts that are drawn in each direction."""

WORDS = {"fileset": "file set", "file": "file", "upload": "upload", "job": "job"}
SHORT = 28
"""Characters of a name that a part has room for."""


async def show_set(request: Request, frame: Frame) -> Response:
    """Around a version of a file set."""
    who = await visitor(request, frame.services)
    name, account = str(request.path_params["name"]), account_of(request)

    def read(uow: UnitOfWork, actor: Actor) -> tuple[str, str, list[Trace]]:
        where = resolve_account(uow, actor, account or None)
        found = get_file_set(uow, actor, name, account=where.id)
        both = [
            verb(uow, actor, found.full_name, account=where.id, limit=MOST) for verb in (trace_backward, trace_forward)
        ]
        return where.full_name, found.full_name, both

    full_name, title, traces = await frame.services.db.read(read, who.actor)
    back = f"{view.place(full_name)}/filesets/{title}"
    line = shlex.join(["dais", "trace", "backward", "--account", full_name, title])
    return _page(request, frame, who, account=full_name, title=title, back=back, traces=traces, line=line)


async def show_job(request: Request, frame: Frame) -> Response:
    """Around a job."""
    who = await visitor(request, frame.services)
    ref, account = ref_of(request)

    def read(uow: UnitOfWork, actor: Actor) -> tuple[Any, list[Trace]]:
        job = get_job(uow, actor, ref, account=account)
        return job, [trace_job(uow, actor, job.id, "backward", limit=MOST), _forward(uow, actor, job.id)]

    job, traces = await frame.services.db.read(read, who.actor)
    line = shlex.join(["dais", "trace", "forward", f"job:{job.number}"])
    return _page(
        request,
        frame,
        who,
        account=job.account,
        title=view.name_of(job),
        back=view.address(job),
        traces=traces,
        line=line,
    )


def _forward(uow: UnitOfWork, actor: Actor, job_id: str) -> Trace:
    return trace_job(uow, actor, job_id, "forward", limit=MOST)


def _page(request: Request, frame: Frame, who: Any, *, traces: list[Trace], **words: Any) -> Response:
    nodes = _together(traces)
    edges = {(one, other): edge for trace in traces for one, other, edge in _edges(trace)}
    drawing = draw(list(nodes), edges)
    codes = {one for (one, _), kind in edges.items() if kind == "code"}
    parts = [(place, _part(nodes[place.id], is_code=place.id in codes)) for place in drawing.parts]
    return frame.page(
        request,
        "lineage.html",
        who,
        drawing=drawing,
        parts=parts,
        truncated=any(trace.truncated for trace in traces),
        box=(WIDTH, HEIGHT),
        **words,
    )


def _together(traces: list[Trace]) -> dict[str, TraceNode]:
    """The parts of both directions; hidden ones are numbered for each of them."""
    return {_id(trace, node.id): node for trace in traces for node in trace.nodes}


def _edges(trace: Trace) -> list[tuple[str, str, str]]:
    return [(_id(trace, edge.source), _id(trace, edge.target), edge.kind) for edge in trace.edges]


def _id(trace: Trace, one: str) -> str:
    return f"{trace.direction}-{one}" if one.startswith("hidden-") else one


def _part(node: TraceNode, *, is_code: bool) -> dict[str, Any]:
    """What is written in a part, and where it leads. `is_code`: a job ran it."""
    word = "code" if is_code else WORDS[node.kind]
    if node.hidden:
        return {"kind": "hidden", "word": word, "name": "hidden", "short": "hidden", "more": word, "href": "", "at": ""}
    name, more, href = node.name, word, ""
    if node.kind == "fileset" and not node.removed:
        href = f"{view.place(node.account)}/filesets/{node.name}/lineage"
        more = f"{node.files:,} {'file' if node.files == 1 else 'files'}"
    elif node.kind == "file":
        href = f"{view.place(node.account)}/files?{urlencode({'path': node.name.rpartition(':')[0]})}"
    elif node.kind == "job":
        href = f"{view.place(node.account)}/jobs/{view.short(node.job_id)}"
        more = view.command([str(word) for word in node.facts.get("command") or ()]) or word
        name = f"job {node.name}"
    elif node.kind == "upload":
        name, more = f"by {node.by}", "upload"
    if node.removed:
        more = "removed"
    return {
        "kind": "removed" if node.removed else node.kind,
        "word": word,
        "name": name,
        "short": _cut(name),
        "more": _cut(more, SHORT + 4),
        "href": href,
        "at": node.at,
        "first": node.depth == 0,
    }


def _cut(text: str, most: int = SHORT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
