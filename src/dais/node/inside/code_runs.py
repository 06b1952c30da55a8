"""What runs print, in order and bounded, until somebody fetches it."""

from __future__ import annotations

import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STREAM_LIMIT = 524_288
"""Characters of each stream that one answer holds; what comes beyond them before it is fetched is left out."""
MEDIA_LIMIT = 8 << 20
"""Characters of media, html and log items in one answer."""
ITEMS_LIMIT = 10_000
KEPT_LIMIT = 64 << 20
"""Characters that all runs together keep unfetched."""

CONTINUED, WAITING, FINISHED, TIMEOUT = "continued", "waiting-input", "finished", "exec-timeout"

_BEST = (
    "image/svg+xml", "image/png", "image/jpeg", "image/gif", "text/html", "text/latex", "text/markdown",
    "application/json",
)  # fmt: skip


class Kept:
    """How much is kept by all runs."""

    size = 0


class Segment:
    """The output of one step, and how it ended."""

    def __init__(self) -> None:
        self.items: list[list[Any]] = []
        self.used = {"stdout": 0, "stderr": 0, "other": 0}
        self.left_out: dict[str, int] = {}
        self.end: dict[str, Any] | None = None
        self._kept = 0

    def text(self, stream: str, text: str) -> None:
        """Characters of stdout or stderr. Contiguous ones become one item."""
        room = self._room(stream, STREAM_LIMIT, len(text))
        if len(text) > room:
            self.left_out[stream] = self.left_out.get(stream, 0) + len(text) - room
            text = text[:room]
        if not text:
            return
        self._keep(stream, len(text))
        if self.items and self.items[-1][0] == stream:
            self.items[-1][1].append(text)
        else:
            self.items.append([stream, [text]])

    def item(self, kind: str, data: Any, size: int) -> None:
        """An item of media, html or log."""
        if self._room("other", MEDIA_LIMIT, size) < size:
            self.left_out[kind] = self.left_out.get(kind, 0) + size
            return
        self._keep("other", size)
        self.items.append([kind, data])

    def log(self, level: str, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.item("log", [level, now, "dais", text], len(text))

    def take(self) -> tuple[list[list[Any]], dict[str, int]]:
        """What is there, and how many characters were left out since the last time."""
        items = [
            ["".join(x) if isinstance(x, list) and k in ("stdout", "stderr") else x for x in (k, d)]
            for k, d in self.items
        ]
        left_out, self.left_out = self.left_out, {}
        self.items = []
        self.used = dict.fromkeys(self.used, 0)
        Kept.size -= self._kept
        self._kept = 0
        return items, left_out

    def _room(self, name: str, limit: int, wanted: int) -> int:
        if len(self.items) >= ITEMS_LIMIT or Kept.size + wanted > KEPT_LIMIT:
            return 0
        return max(0, limit - self.used[name])

    def _keep(self, name: str, size: int) -> None:
        self.used[name] += size
        self._kept += size
        Kept.size += size


class Run:
    """One run: its code or steps, its output by steps, and who waits for it."""

    def __init__(self, run_id: str, mode: str, kernel: str, code: str, steps: dict[str, str], timeout: float) -> None:
        self.id = run_id
        self.mode = mode
        self.kernel = kernel
        self.code = code
        self.steps = steps
        self.timeout = timeout
        self.segments = deque([Segment()])
        self.over = False
        self.waiting: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None
        self.seq = 0
        self.last: dict[str, Any] | None = None
        self.timer: int | None = None
        self.timed_out = False
        self.last_code = 0
        self.ended_at = 0.0

    @property
    def now(self) -> Segment:
        """Where output goes."""
        return self.segments[-1]

    def finish_step(self, status: str, exit_code: int) -> None:
        """A step of several has ended; the next begins."""
        self.now.end = {"status": status, "exit_code": exit_code}
        self.last_code = exit_code
        self.segments.append(Segment())

    def finish(self, exit_code: int) -> None:
        """The whole run has ended."""
        if not self.over:
            self.now.end = {"status": TIMEOUT if self.timed_out else FINISHED, "exit_code": exit_code}
            self.over = True
            self.waiting = None
            self.ended_at = time.monotonic()

    @property
    def has_news(self) -> bool:
        return bool(self.segments[0].items or self.segments[0].left_out)

    @property
    def is_due(self) -> bool:
        """Whether whoever waits should be answered at once: a step has ended, or it waits for input."""
        return self.segments[0].end is not None or self.waiting is not None

    def take(self) -> dict[str, Any]:
        """The next answer: what was printed since the last one, and what to do next."""
        segment = self.segments[0]
        console, left_out = segment.take()
        end = segment.end or {}
        if end and len(self.segments) > 1:
            self.segments.popleft()
        status = end.get("status") or (WAITING if self.waiting is not None else CONTINUED)
        self.seq += 1
        self.last = {
            "run_id": self.id,
            "seq": self.seq,
            "status": status,
            "exit_code": end.get("exit_code"),
            "console": console,
            "left_out": left_out,
            "options": self.waiting if status == WAITING else None,
            "error": self.error if status in (FINISHED, TIMEOUT) else None,
        }
        return self.last

    def again(self, seq: int | None) -> dict[str, Any] | None:
        """The last answer once more, for whoever has got only those up to `seq`."""
        return self.last if seq is not None and self.last is not None and seq == self.seq - 1 else None

    def show(self, bundle: Any) -> None:
        """Something to be looked at, in the richest form that it has. A plain result is printed, as a shell would."""
        data = bundle if isinstance(bundle, dict) else {}
        mime = next((name for name in _BEST if name in data), None)
        if mime is None:
            self.now.text("stdout", f"{_text(data.get('text/plain', ''))}\n")
            return
        content = data[mime] if isinstance(data[mime], dict) else _text(data[mime])
        size = len(content) if isinstance(content, str) else len(repr(content))
        if mime == "text/html":
            self.now.item("html", content, size)
        elif mime.startswith("image/") and mime != "image/svg+xml":
            self.now.item("media", [mime, f"data:{mime};base64,{''.join(str(content).split())}"], size)
        else:
            self.now.item("media", [mime, content], size)


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
