"""The last of what a terminal printed, for who comes back to it: pure."""

from __future__ import annotations

import re
from collections import deque

LINE = 4096
"""How far the beginning of what is kept is looked through for a line's beginning."""
MOST_MODES = 64
CARRY = 32
"""Bytes of what was dropped that are looked at again with what is dropped next: a sequence may lie across both."""

_mode = re.compile(rb"\x1b\[\?([0-9;]{1,24})([hl])")


class Replay:
    """Output by its offset (bytes since the terminal began); of old output the last `limit` bytes are kept.

    What is dropped may have set modes of the terminal (the other screen, mouse, bracketed paste). These are remembered,
    so that a screen that begins afresh is in the same modes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._modes: dict[bytes, bytes] = {}
        self._carry = b""
        self.start = 0
        """The offset of the first byte that is kept."""
        self.end = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self.end += len(data)
        while self.end - self.start > self._limit:
            over = self.end - self.start - self._limit
            first = self._pieces.popleft()
            if len(first) > over:
                self._pieces.appendleft(first[over:])
                first = first[:over]
            self.start += len(first)
            self._note(first)

    def since(self, offset: int, most: int) -> bytes:
        """At most `most` bytes from an offset that is kept."""
        found = bytearray()
        at = self.start
        for piece in self._pieces:
            if at + len(piece) > offset:
                found += piece[max(0, offset - at) : max(0, offset - at) + most - len(found)]
                if len(found) >= most:
                    break
            at += len(piece)
        return bytes(found)

    def has(self, offset: int) -> bool:
        """Whether all output from this offset on is kept."""
        return self.start <= offset <= self.end

    def afresh(self) -> tuple[bytes, int]:
        """What puts an empty screen into the modes that were set before, and the offset from which to go on.

        That is where a line begins, if one does soon: what is kept may begin within a character or a sequence.
        """
        if self.start == 0:
            return b"", 0
        head = self.since(self.start, LINE)
        line = head.find(b"\n")
        modes = b"".join(b"\x1b[?" + mode + set_ for mode, set_ in self._modes.items())
        return modes, self.start + line + 1

    def _note(self, dropped: bytes) -> None:
        text = self._carry + dropped
        for found in _mode.finditer(text):
            for mode in found[1].split(b";"):
                self._modes.pop(mode, None)
                if len(self._modes) < MOST_MODES:
                    self._modes[mode] = found[2]
        self._carry = text[-CARRY:]
