"""Asking the program that starts apps inside a job."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from dais.engines.contract import STDOUT
from dais.kit.errors import Unavailable

if TYPE_CHECKING:
    from dais.compute.jobs.types import Work
    from dais.compute.runtime import Compute

MAX_ANSWER = 8 << 20
MAX_SAID = 4 << 10


async def ask(compute: Compute, work: Work, request: dict[str, Any], kind: type[Any], seconds: float) -> Any:
    """What the program answers, as `kind`; it is the job's word. Raises Conflict, Unavailable `app-failed`, …"""
    from dais.compute.inside import run_program  # it needs what holds this

    asking = await asyncio.to_thread(source)
    try:
        async with asyncio.timeout(seconds):
            stream = await run_program(compute, work, asking)
            try:
                await stream.send(msgspec.json.encode(request))
                await stream.send_eof()
                answer, said, code = await _collect(stream)
            finally:
                await stream.close()
    except TimeoutError as error:
        raise Unavailable(
            f"job {work.job_id} did not answer within {seconds:g} s", code="app-failed", output=""
        ) from error
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        text = said.decode("utf-8", "replace").strip()
        last = text.splitlines()[-1] if text else f"the answer is not understood ({error})"
        raise Unavailable(
            f"job {work.job_id} cannot be asked for its apps: the program ended with {code}: {last}",
            code="app-failed",
            output=text,
        ) from error


async def _collect(stream: Any) -> tuple[bytes, bytes, int]:
    answer, said = bytearray(), bytearray()
    while True:
        item = await stream.receive()
        if isinstance(item, int):
            return bytes(answer), bytes(said[-MAX_SAID:]), item
        kind, data = item
        (answer if kind == STDOUT else said).extend(data)
        if len(answer) > MAX_ANSWER:
            raise Unavailable("the job's answer about its apps is too long", code="app-failed", output="")
        del said[:-MAX_SAID]


@cache
def source() -> str:
    """The program with the module that it brings along, as one text. Blocks for a moment, once."""
    from dais.compute.inside import program

    keeper, apps = program("keeper"), program("apps")
    name = "dais.node.inside.keeper"
    return (
        "import sys, types\n"
        f"keeper = sys.modules[{name!r}] = types.ModuleType({name!r})\n"
        f"exec(compile({keeper!r}, 'keeper', 'exec'), keeper.__dict__)\n"
        f"exec(compile({apps!r}, 'apps', 'exec'), globals())\n"
    )
