"""The service `provenance`: what Dais writes down by itself."""

from __future__ import annotations

from typing import Any

import msgspec

from dais.api.compat.acai.calls import Call, Calls, entity, plain_ref
from dais.provenance import trace_backward, trace_forward
from dais.wire.lineage import Trace

calls = Calls()


@calls.add("POST", "/provenance/register")
async def register(call: Call) -> Any:
    """Nothing is to be told: what jobs read and made is known already."""
    return {"status": "success"}


@calls.add("GET", "/provenance/trace")
async def trace(call: Call) -> Any:
    """What leads to a version of a file set, or with `direction=forward` what came of it."""
    ref = plain_ref(call.text("id"))
    verb = trace_forward if call.text("direction", "backward") == "forward" else trace_backward
    with entity(ref):
        found: Trace = await call.read(verb, ref, account=call.account.id)
    return msgspec.to_builtins(found)
