"""Ids: UUID version 7 (RFC 9562), so that they sort by the time of their making."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid

_shape = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new UUIDv7 as text. Ids made by one process are strictly increasing.

    The 12 bits after the milliseconds hold the sub-millisecond part, as RFC 9562 section 6.2 method 3 allows.
    """
    global _last
    with _lock:
        stamp = time.time_ns() * 4096 // 1_000_000  # 48 bits of milliseconds, 12 bits of fraction
        stamp = max(stamp, _last + 1)
        _last = stamp
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64
    value |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def go_on_after(last: str) -> None:
    """Let every id made from now on be greater than this one, also when the clock has been set back since."""
    global _last
    value = uuid.UUID(last).int
    with _lock:
        _last = max(_last, (value >> 80) << 12 | value >> 64 & 0xFFF)


def is_id(text: str) -> bool:
    """Whether the text has the shape of an id (any UUID, in canonical lower-case form)."""
    return _shape.fullmatch(text) is not None
