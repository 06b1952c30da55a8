"""Registering root directories with the node supervisor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from dais.engines.contract import LaunchRefused, RootFacts
from dais.engines.local.frames import pack, read_message
from dais.engines.local.link import dial

_seconds = 30.0


async def add_root(node_dir: Path, path: str) -> RootFacts:
    """Raises LaunchRefused in the supervisor's words, OSError when it does not answer."""
    return await _ask(node_dir, {"op": "root", "path": path})


async def remove_root(node_dir: Path, path: str) -> None:
    """Raises LaunchRefused, OSError."""
    await _ask(node_dir, {"op": "root", "path": path, "remove": True})


async def _ask(node_dir: Path, document: dict[str, Any]) -> RootFacts:
    reader, writer = await dial(node_dir)
    try:
        async with asyncio.timeout(_seconds):
            writer.write(pack(document))
            await writer.drain()
            answer = await read_message(reader)
    except TimeoutError:
        raise ConnectionError(f"the node supervisor of {node_dir} does not answer within {_seconds:g} s") from None
    finally:
        writer.close()
    if answer is None:
        raise LaunchRefused("the node supervisor is older than this server; restart it when nothing runs")
    if answer.op != "root":
        raise LaunchRefused(answer.message)
    return RootFacts(system=answer.system, python=answer.python)
