"""A line of a job's output as HTML: its colours kept as classes, everything else that could act taken away."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import escape

_sequence = re.compile(
    r"\x1b(?:\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"  # control sequences; only `m` means something here
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands: titles, links
    r"|[PX^_][^\x1b]*\x1b\\"  # device control and other strings
    r"|[ -/]*[0-~])"
)
_byte_sequence = re.compile(_sequence.pattern.encode())
_unfinished = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)?\Z")

_controls = {code: 0x2400 + code for code in range(32)} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_controls |= {0x7F: 0x2421}
_visible: dict[int, int | None] = {**_controls, 0x07: None, 0x08: None, 0x09: 0x09}
# What reorders the text around it is shown as what it is: a mark that stands for nothing.
_visible |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)

_visible_text = {**_visible, 0x0A: 0x0A}

_flags = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "struck"}
_no_flags = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("struck",)}
# The sixteen colours of terminals, to find the nearest for a finer one: the page's own palette shows them.
_palette = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
]


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks from here on. Colours are 0 to 15; None is the page's own."""

    foreground: int | None = None
    background: int | None = None
    flags: frozenset[str] = frozenset()

    @property
    def classes(self) -> str:
        names = [f"a-{flag}" for flag in sorted(self.flags)]
        if self.foreground is not None:
            names.append(f"a-f{self.foreground}")
        if self.background is not None:
            names.append(f"a-b{self.background}")
        return " ".join(names)


PLAIN = Style()


def visible(value: Any) -> Any:
    """Text of users with its control characters as pictures; newlines stay. Anything but plain text is as it was."""
    return value.translate(_visible_text) if type(value) is str else value


def split_unfinished(text: str) -> tuple[str, str]:
    """The text, and the beginning of a sequence that it ends with."""
    found = _unfinished.search(text)
    return (text[: found.start()], text[found.start() :]) if found else (text, "")


def line_html(text: str, style: Style) -> tuple[str, Style]:
    """One line without its end as HTML, and the style after it. What a carriage return overwrote is left out."""
    pieces: list[str] = []
    returned = False
    text, _ = split_unfinished(text)
    start = 0
    for found in _sequence.finditer(text):
        returned = _add(pieces, text[start : found.start()], style, returned)
        start = found.end()
        if found["final"] == "m":
            style = _styled(style, found["parameters"])
    _add(pieces, text[start:], style, returned)
    return "".join(pieces), style


def style_after(text: str, style: Style) -> Style:
    """The style after a line."""
    if "\x1b" not in text:
        return style
    text, _ = split_unfinished(text)
    for found in _sequence.finditer(text):
        if found["final"] == "m":
            style = _styled(style, found["parameters"])
    return style


def plain_text(text: str) -> str:
    """A line as it is read: without sequences, and without what a carriage return overwrote."""
    if "\x1b" in text:
        text = _sequence.sub("", split_unfinished(text)[0])
    return text.rstrip("\r").rpartition("\r")[2] if "\r" in text else text


def without_sequences(data: bytes) -> bytes:
    """Bytes of output, as they are read."""
    return _byte_sequence.sub(b"", data)


def _add(pieces: list[str], text: str, style: Style, returned: bool) -> bool:
    """Add text of one style; whether the next text overwrites the line, for a carriage return came last."""
    for index, part in enumerate(text.split("\r")):
        returned = returned or index > 0
        if not part:
            continue
        if returned:
            pieces.clear()
            returned = False
        shown = str(escape(part.translate(_visible)))
        classes = style.classes
        pieces.append(f'<span class="{classes}">{shown}</span>' if classes else shown)
    return returned


def _styled(style: Style, parameters: str) -> Style:
    """The style after `ESC [ parameters m`; what is not known changes nothing."""
    codes = [int(part) if part.isdigit() and len(part) < 4 else 0 for part in re.split("[;:]", parameters)]
    index = 0
    while index < len(codes):
        code = codes[index]
        if code in (38, 48):
            colour, taken = _fine_colour(codes[index + 1 :])
            style = replace(style, foreground=colour) if code == 38 else replace(style, background=colour)
            index += taken
        else:
            style = _simple(style, code)
        index += 1
    return style


def _simple(style: Style, code: int) -> Style:
    if code == 0:
        return PLAIN
    if code in _flags:
        return replace(style, flags=style.flags | {_flags[code]})
    if code in _no_flags:
        return replace(style, flags=style.flags - set(_no_flags[code]))
    for first, bright in ((30, 0), (90, 8)):
        if first <= code < first + 8:
            return replace(style, foreground=code - first + bright)
        if first + 10 <= code < first + 18:
            return replace(style, background=code - first - 10 + bright)
    if code == 39:
        return replace(style, foreground=None)
    return replace(style, background=None) if code == 49 else style


def _fine_colour(codes: list[int]) -> tuple[int | None, int]:
    """The nearest of the sixteen to `5;n` or `2;r;g;b`, and how many codes that took."""
    match codes:
        case [5, n, *_] if n < 256:
            return (n if n < 16 else _nearest(*_of_256(n))), 2
        case [2, red, green, blue, *_]:
            return _nearest(red, green, blue), 4
    return None, len(codes)


def _of_256(n: int) -> tuple[int, int, int]:
    if n >= 232:
        grey = 8 + 10 * (n - 232)
        return grey, grey, grey
    n -= 16
    red, green, blue = (55 + 40 * part if part else 0 for part in (n // 36, n // 6 % 6, n % 6))
    return red, green, blue


def _nearest(red: int, green: int, blue: int) -> int:
    return min(range(16), key=lambda i: sum((a - b) ** 2 for a, b in zip(_palette[i], (red, green, blue), strict=True)))
