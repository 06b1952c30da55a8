"""A TCP connection to a port of a running container, on a connection of its own to the supervisor."""

from __future__ import annotations

import msgspec

from dais.engines.contract import ByteStream
from dais.engines.supervised.connector import Connector
from dais.engines.supervised.frames import pack
from dais.node.wireframes import FrameError

DIAL = 3
"""The protocol that knows `dial`."""


class _Answer(msgspec.Struct):
    op: str
    code: str = ""
    message: str = ""


async def start_dial(connector: Connector, attempt_id: str, port: int) -> ByteStream:
    """Raises LookupError, ConnectionRefusedError, or OSError when the supervisor does not answer or cannot do it."""
    request = pack({"op": "dial", "protocol": DIAL, "attempt_id": attempt_id, "port": port})
    body, stream = await connector.dial(request)
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        raise FrameError(f"the node supervisor sent what is not understood: {error}") from error
    if stream is not None and answer.op == "dialled":
        return stream
    if stream is not None:
        await stream.close()
    if answer.code in ("not-running", "unknown-attempt"):
        raise LookupError(answer.message or f"attempt {attempt_id} does not run")
    if answer.code == "refused":
        raise ConnectionRefusedError(answer.message)
    if answer.code in ("bad-frame", "protocol"):
        raise OSError(
            "the node supervisor was started by an older Dais and cannot connect to ports of its jobs; once nothing "
            "runs, stop Dais and start it again: a new one takes its place"
        )
    raise OSError(answer.message or answer.code or "the node supervisor refused without a reason")
