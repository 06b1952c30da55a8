"""What a page shows of a file: its first bytes as text, a table, or an image. Nothing of it is ever run or interpreted.

HTML, notebooks, SVG and Markdown are text here. An image is shown when its first bytes say that it is one of a few
kinds.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from itertools import islice

import msgspec

MAX_TEXT = 1 << 20
"""Bytes of a file that a page shows."""
MAX_LINES = 20_000
MAX_LINE = 2_000
"""Characters of a line that a page shows."""
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 200, 50, 200
MAX_IMAGE = 32 << 20
"""Bytes of an image that a page shows."""

IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

_mark = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` is `text`, `table`, `image`, `binary` or `empty`. `note` says what is not shown of it."""

    kind: str
    lines: list[str] = []
    rows: list[list[str]] = []
    note: str = ""


def image_type(head: bytes) -> str | None:
    """The media type of an image by its first bytes; None for what is none that pages show."""
    for magic, kind in IMAGES:
        if head.startswith(magic):
            return kind
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # two letters alone begin many a text
        return "image/bmp"
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def preview_of(name: str, head: bytes, size: int) -> Preview:
    """What to show of a file: `head` are its first bytes, at most MAX_TEXT; `size` counts all."""
    if not size:
        return Preview(kind="empty")
    if image_type(head) is not None:
        if size <= MAX_IMAGE:
            return Preview(kind="image")
        return Preview(kind="binary", note="The image is too large to be shown here.")
    text = _decoded(head, cut=size > len(head))
    if text is None:
        return Preview(kind="binary")
    end = name.lower().rpartition(".")[2]
    if end in ("csv", "tsv"):
        table = _table(text, "\t" if end == "tsv" else ",", size > len(head))
        if table is not None:
            return table
    if end in ("json", "ipynb", "geojson") and size <= len(head):
        return _shown(_pretty(text) or text, "")
    return _shown(text, "the first MiB" if size > len(head) else "")


def _decoded(head: bytes, *, cut: bool) -> str | None:
    """The bytes as UTF-8 (or UTF-16 with its mark), None when they are no text. With `cut` the last one may be half."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")()
    elif b"\0" in head[:8192]:
        return None
    else:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        return decoder.decode(head, final=not cut)
    except UnicodeDecodeError:
        pass
    text = head.decode("utf-8", "replace")
    return text if text.count("\ufffd") * 50 < len(text) else None


def _shown(text: str, cut: str) -> Preview:
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    notes = [f"{cut} is shown"] if cut else []
    if len(lines) > MAX_LINES:
        lines = lines[:MAX_LINES]
        notes = [f"the first {MAX_LINES:,} lines are shown"]
    long = any(len(line) > MAX_LINE for line in lines)
    if long:
        lines = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in lines]
        notes.append(f"longer lines are cut after {MAX_LINE:,} characters")
    return Preview(kind="text", lines=[line.removesuffix("\r") for line in lines], note=_sentence(notes))


def _table(text: str, delimiter: str, cut: bool) -> Preview | None:
    """The first rows of a table; None when it is none."""
    try:
        rows = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), MAX_ROWS + 2))
    except csv.Error:
        return None
    if cut and len(rows) <= MAX_ROWS + 1:
        rows = rows[:-1]  # the last one may be half
    rows = [row for row in rows if row]
    if len(rows) < 2 or len(rows[0]) < 2:
        return None
    notes = []
    if cut or len(rows) > MAX_ROWS + 1:
        rows = rows[: MAX_ROWS + 1]
        notes.append(f"the first {len(rows) - 1:,} rows are shown")
    width = max(len(row) for row in rows)
    if width > MAX_COLUMNS:
        notes.append(f"the first {MAX_COLUMNS} of {width:,} columns are shown")
    kept = [[cell if len(cell) <= MAX_CELL else f"{cell[:MAX_CELL]}…" for cell in row[:MAX_COLUMNS]] for row in rows]
    full = min(width, MAX_COLUMNS)
    return Preview(kind="table", rows=[row + [""] * (full - len(row)) for row in kept], note=_sentence(notes))


def _pretty(text: str) -> str | None:
    """JSON with a line for each value, every number and string as it is written there; None when it is none."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    made: list[str] = []
    room = 2 * MAX_TEXT
    for piece in _indented(text):
        made.append(piece)
        room -= len(piece)
        if room < 0:  # very deep: most of it would be indentation
            return None
    return "".join(made)


def _indented(text: str) -> Iterator[str]:
    depth, fresh = 0, False
    for found in _mark.finditer(text):
        mark = found[0]
        if mark in "]}":
            depth -= 1
            yield mark if fresh else f"\n{'  ' * depth}{mark}"
            fresh = False
            continue
        if fresh:
            yield f"\n{'  ' * depth}"
            fresh = False
        if mark in "[{":
            depth += 1
            fresh = True
            yield mark
        elif mark == ",":
            yield f",\n{'  ' * depth}"
        else:
            yield ": " if mark == ":" else mark


def _sentence(notes: list[str]) -> str:
    text = "; ".join(notes)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
