"""A bar on the terminal while something long goes on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dais.wire.units import short_size

if TYPE_CHECKING:
    from dais.sdk.progress import OnProgress, Progress

Show = Callable[[int, int, str], None]
"""How much is done, of how much, and what is said beside the bar."""

REDRAWN_SECONDS = 0.1
_one_line_up_and_cleared = "\x1b[1A\x1b[2K\r"


@contextmanager
def bar(title: str, wanted: bool = True) -> Iterator[Show | None]:
    """A bar on stderr while the block runs, where that is a terminal; None elsewhere. Nothing of it stays."""
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    drawing = threading.Lock()  # transfers tell from several threads
    drawn = 0.0
    with click.progressbar(
        length=1, label=title, file=sys.stderr, item_show_func=lambda text: text, show_pos=False
    ) as made:

        def show(done: int, total: int, text: str) -> None:
            nonlocal drawn
            with drawing:
                now = time.monotonic()
                if now - drawn < REDRAWN_SECONDS and done < total:
                    return
                drawn = now
                made.length = max(total, 1)
                made.finished = False  # the total may have grown since
                made.update(done - made.pos, text)

        yield show
    sys.stderr.write(_one_line_up_and_cleared)
    sys.stderr.flush()


@contextmanager
def transfer_bar(title: str, wanted: bool = True) -> Iterator[OnProgress | None]:
    """The same for files that are sent or received."""
    begun = time.monotonic()
    with bar(title, wanted) as show:
        if show is None:
            yield None
            return

        def tell(now: Progress) -> None:
            done = min(now.bytes, now.total_bytes)
            rate = short_size(int(done / max(0.001, time.monotonic() - begun)))
            files = f"{now.files:,}/{now.total_files:,} files"
            show(done, now.total_bytes, f"{files}  {short_size(done)} of {short_size(now.total_bytes)}  {rate}/s")

        yield tell
