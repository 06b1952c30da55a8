"""The machines: resource groups, their nodes, and what is free on them."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from starlette.requests import Request
from starlette.responses import Response

from dais.compute import list_nodes
from dais.web.frame import Frame
from dais.web.guard import visitor
from dais.wire import answers


async def show_cluster(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    nodes: list[answers.Node] = await frame.services.db.read(list_nodes, who.actor)
    groups = [(name, list(members)) for name, members in groupby(nodes, attrgetter("group"))]
    return frame.page(request, "cluster.html", who, groups=groups)
