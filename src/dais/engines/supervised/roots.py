"""Registering root directories with the node supervisor."""

from __future__ import annotations

import asyncio
from typing import Any

from dais.engines.contract import LaunchRefused, RootFacts
from dais.engines.supervised.connector import Connector
from dais.engines.supervised.frames import pack, read_message

_seconds = 30.0


async def add_root(connector: Connector, path: str) -> RootFacts:
    """Raises LaunchRefused in the supervisor's words, OSError when it does not answer."""
    return await _ask(connector, {"op": "root", "path": path})


async def remove_root(connector: Connector, path: str) -> None:
    """Raises LaunchRefused, OSError."""
    await _ask(connector, {"op": "root", "path": path, "remove": True})


async def _ask(connector: Connector, document: dict[str, Any]) -> RootFacts:
    reader, writer = await connector.open()
    try:
        async with asyncio.timeout(_seconds):
            writer.write(pack(document))
            await writer.drain()
            answer = await read_message(reader)
    except TimeoutError:
        raise ConnectionError(connector.explain(f"no answer within {_seconds:g} s")) from None
    finally:
        writer.close()
    if answer is None:
        raise LaunchRefused("the node supervisor is older than this server; restart it when nothing runs")
    if answer.op != "root":
        raise LaunchRefused(answer.message)
    return RootFacts(system=answer.system, python=answer.python)
