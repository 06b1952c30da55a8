"""Ids: UUID version 7 (RFC 9562), so that they sort by the time of their making."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid

_shape = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READY = 4096
"""Random bytes that are fetched at once: to ask for those of one id takes longer than to make the rest of it."""

_lock = threading.Lock()
_last = 0
_random = b""
_used = 0
_variants = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_id() -> str:
    """A new UUIDv7 as text. Ids made by one process are strictly increasing.

    The 12 bits after the milliseconds hold the sub-millisecond part, as RFC 9562 section 6.2 method 3 allows.
    """
    global _last, _random, _used
    with _lock:
        stamp = time.time_ns() * 4096 // 1_000_000  # 48 bits of milliseconds, 12 bits of fraction
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
        if _used == len(_random):
            _random, _used = os.urandom(_READY), 0
        end = _used + 8
        tail = _random[_used:end].hex()
        _used = end
    head = f"{stamp:015x}"
    return f"{head[:8]}-{head[8:12]}-7{head[12:]}-{_variants[tail[0]]}{tail[1:4]}-{tail[4:]}"


def _forget_random() -> None:
    """A child process must not give out the same bits as its parent."""
    global _random, _used
    _random, _used = b"", 0


os.register_at_fork(after_in_child=_forget_random)


def go_on_after(last: str) -> None:
    """Let every id made from now on be greater than this one, also when the clock has been set back since."""
    global _last
    value = uuid.UUID(last).int
    with _lock:
        _last = max(_last, (value >> 80) << 12 | value >> 64 & 0xFFF)


def is_id(text: str) -> bool:
    """Whether the text has the shape of an id (any UUID, in canonical lower-case form)."""
    return _shape.fullmatch(text) is not None
