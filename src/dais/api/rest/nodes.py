"""Nodes: what machines there are, and what is free on them."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import list_nodes
from dais.wire import answers

routes = Routes()


@routes.get("/v1/nodes", summary="List the machines with their free slots", action="node:list")
async def nodes(ctx: Context) -> answers.Page[answers.Node]:
    found = await ctx.db.read(list_nodes, ctx.actor)
    return answers.Page[answers.Node](items=found)
