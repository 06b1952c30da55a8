"""An answer that becomes a file: it appears whole, or not at all."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from secrets import token_hex

from dais.sdk.flow import Flow, Request, open_stream, read, work


def store_answer(request: Request, file: Path) -> Flow[int]:
    """Store the body of an answer at a path; its bytes. What is there is replaced. Raises OSError."""
    stream = yield from open_stream(request)
    aside = file.with_name(f".{file.name}.{token_hex(4)}")
    size = 0
    target = yield from work(lambda: aside.open("xb"))
    try:
        while piece := (yield from read(stream)):
            yield from work(partial(target.write, piece))
            size += len(piece)
        yield from work(target.flush)
        yield from work(lambda: os.fsync(target.fileno()))
        target.close()
        yield from work(lambda: aside.replace(file))
    finally:
        target.close()
        aside.unlink(missing_ok=True)
    return size
