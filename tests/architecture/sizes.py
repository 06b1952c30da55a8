"""How long a file may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

LIMIT = 400

EXCEPTIONS: dict[str, int] = {}
"""Files that are longer, with their present number of lines, which may only shrink."""

KINDS = {".py", ".sh", ".js", ".css", ".html"}
LEFT_OUT = {"vendor", "__pycache__"}


def source_files(root: Path) -> list[Path]:
    """Every file that the limit is for: what is written by hand, in the project's languages."""
    return [
        path
        for folder in ("src", "tests", "scripts", "bench", "examples")
        for path in sorted((root / folder).rglob("*"))
        if path.suffix in KINDS and path.is_file() and not LEFT_OUT & set(path.relative_to(root).parts)
    ]


def too_long(root: Path, files: Iterable[Path], exceptions: Mapping[str, int]) -> list[str]:
    """Files over the limit, and listed exceptions that have become wrong."""
    found = []
    lines = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in files}
    for name, count in lines.items():
        if count > exceptions.get(name, LIMIT):
            found.append(f"{name} has {count} lines; split it by what it does ({exceptions.get(name, LIMIT)} at most)")
    for name, listed in exceptions.items():
        count = lines.get(name, 0)
        if count <= LIMIT:
            found.append(f"{name} has {count} lines: it needs no exception any more")
        elif count < listed:
            found.append(f"{name} has shrunk to {count} lines: write that number into the list of exceptions")
    return found
