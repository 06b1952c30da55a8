"""`.dockerignore`: which paths of a context are not sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath


class Ignored:
    """Whether a path is left out. The last pattern that fits it, or a directory above it, decides; `!` takes back.

    `*` stops at a slash, `**` does not; patterns begin at the root. What is in `always` is always sent.
    """

    def __init__(self, lines: Iterable[str], always: Iterable[str] = ()) -> None:
        self._always = frozenset(always) | {str(up) for path in always for up in PurePosixPath(path).parents}
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in lines:
            text = line.strip().lstrip("\ufeff")
            if not text or text.startswith("#"):
                continue
            back = text.startswith("!")
            pattern = str(PurePosixPath(text.removeprefix("!").strip())).strip("/")
            if pattern not in ("", "."):
                self._rules.append((not back, re.compile(_regex(pattern))))
        self.has_exceptions = bool(self._always) or any(not leaves_out for leaves_out, _ in self._rules)

    def __call__(self, path: str) -> bool:
        if path in self._always:
            return False
        out = False
        for leaves_out, pattern in self._rules:
            if out != leaves_out and pattern.fullmatch(path):
                out = leaves_out
        return out


def _regex(pattern: str) -> str:
    """Go's filepath.Match with `**`, as an expression for the path itself and all below it."""
    made, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
                made += "(?:.*/)?"
            else:
                made += ".*"
            continue
        at += 1
        if char == "*":
            made += "[^/]*"
        elif char == "?":
            made += "[^/]"
        elif char == "[" and (end := pattern.find("]", at + 1)) > 0:
            made += f"[{pattern[at:end]}]".replace("\\", "\\\\")
            at = end + 1
        elif char == "\\" and at < len(pattern):
            made += re.escape(pattern[at])
            at += 1
        else:
            made += re.escape(char)
    return f"{made}(?:/.*)?"
