"""Fetch the JavaScript that the pages use from its npm packages: pinned versions, checked, with their licences.

    python scripts/vendor.py           take the files out of the packages
    python scripts/vendor.py --check   say whether the files are those that the list names

There is no build step: a file is the package's own, with a line at its end where a module needs one. It needs `npm`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent.parent / "src/dais/web/static"
SUMS = STATIC / "vendored.sha256"

_comment = re.compile(rb"\A/\*[!*].*?\*/\s*", re.DOTALL)
_source_map = re.compile(rb"\n//# sourceMappingURL=\S+\s*\Z")


@dataclass(frozen=True)
class Package:
    """One package: `integrity` as npm tells it, `files` by their path in it: their name here, and what is added.

    Comments at the beginning of a file are left out: what they say of rights stands in the package's licence. So are
    references to source maps, which are not here.
    """

    name: str
    version: str
    integrity: str
    files: dict[str, tuple[str, str]]


PACKAGES = (
    Package(
        "hash-wasm",
        "4.13.0",
        "sha512-GrWl7wsV46fKIXQZB5ebskLZLAmKL6d9RS0fspCxDeQyjoNu1AfTJTMLPOJyfzaQm0ldFiwFN21/w+sE/kgEFQ==",
        {"dist/blake3.umd.min.js": ("blake3.js", ""), "LICENSE": ("blake3.LICENSE", "")},
    ),
    Package(
        "@xterm/addon-fit",
        "0.11.0",
        "sha512-jYcgT6xtVYhnhgxh3QgYDnnNMYTcf8ElbxxFzX0IZo+vabQqSPAjC3c1wJrKB5E19VwQei89QCiZZP86DCPF7g==",
        {"lib/addon-fit.mjs": ("xterm-fit.js", ""), "LICENSE": ("xterm-fit.LICENSE", "")},
    ),
    Package(
        "@xterm/xterm",
        "6.0.0",
        "sha512-TQwDdQGtwwDt+2cgKDLn0IRaSxYu1tSUjgKarSDkUM0ZNiSRXFpjxEsvc/Zgc5kq5omJ+V0a8/kIM2WD3sMOYg==",
        {
            "lib/xterm.mjs": ("xterm.js", ""),
            "css/xterm.css": ("xterm.css", ""),
            "LICENSE": ("xterm.LICENSE", ""),
        },
    ),
    Package(
        "uplot",
        "1.6.32",
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "dist/uPlot.iife.min.js": ("uplot.js", "\nexport default uPlot;\n"),
            "dist/uPlot.min.css": ("uplot.css", ""),
            "LICENSE": ("uplot.LICENSE", ""),
        },
    ),
)


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        return _check()
    lines = []
    for package in PACKAGES:
        for name, content in _files(package).items():
            (STATIC / name).write_bytes(content)
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    SUMS.write_text("".join(lines))
    return 0


def _files(package: Package) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["npm", "pack", "--silent", f"{package.name}@{package.version}"],
            cwd=directory,
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )
        archive = next(Path(directory).glob("*.tgz"))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != package.integrity:
            raise SystemExit(f"{package.name} {package.version} is sha512-{digest}, not {package.integrity}")
        found = {}
        with tarfile.open(archive) as files:
            for path, (name, addition) in package.files.items():
                member = files.extractfile(f"package/{path}")
                if member is None:
                    raise SystemExit(f"{package.name} {package.version} has no file {path}")
                found[name] = _source_map.sub(b"\n", _comment.sub(b"", member.read())) + addition.encode()
        return found


def _check() -> int:
    wrong = [
        name
        for digest, name in (line.split() for line in SUMS.read_text().splitlines())
        if hashlib.sha256((STATIC / name).read_bytes()).hexdigest() != digest
    ]
    for name in wrong:
        print(f"{name} is not what scripts/vendor.py fetched", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
