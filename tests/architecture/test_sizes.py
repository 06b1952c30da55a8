"""No file grows past what can be read at one sitting."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.sizes import EXCEPTIONS, LIMIT, source_files, too_long
from tests.architecture.sources import ROOT


def test_no_file_is_too_long() -> None:
    files = source_files(ROOT)
    assert len(files) > 20
    assert too_long(ROOT, files, EXCEPTIONS) == []


def test_the_rule_finds_what_is_wrong(tmp_path: Path) -> None:
    def write(name: str, lines: int) -> None:
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n" * lines)

    write("limit.py", LIMIT)
    write("long.py", LIMIT + 1)
    write("listed.py", 500)
    write("grown.py", 501)
    write("shrunk.py", 450)
    write("mended.py", 10)
    write("vendor/library.js", 5000)
    listed = {f"src/{name}.py": 500 for name in ("listed", "grown", "shrunk", "mended", "gone")}
    found = too_long(tmp_path, source_files(tmp_path), listed)
    assert [line.partition(" ")[0].removeprefix("src/") for line in found] == [
        "grown.py",
        "long.py",
        "shrunk.py",
        "mended.py",
        "gone.py",
    ]
