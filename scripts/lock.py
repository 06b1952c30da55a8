"""Pin the requirements: requirements/server.txt (what runs, with every extra), dev.txt (that, and the tools), bench.txt
(and the peers).

The files carry versions and hashes, and neither the address of an index nor a path: where packages come from is
the installing machine's business. Existing pins are kept unless `--upgrade` is given.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Pinned by `make lock`; do not edit. Install with: pip install --require-hashes --no-deps -r {name}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    platform = tomllib.loads((ROOT / "server" / "pyproject.toml").read_text())
    extras = {**project["project"]["optional-dependencies"], "server": platform["project"]["dependencies"]}
    server = [
        *project["project"]["dependencies"],
        *(line for extra in extras.values() for line in extra),
        *project["build-system"]["requires"],
        "editables",  # hatchling asks for it when the project is installed as editable
    ]
    pin("server.txt", server, upgrade=upgrade)
    groups = project["dependency-groups"]
    pin("dev.txt", [*server, *groups["dev"]], upgrade=upgrade, same_as="server.txt")
    pin("bench.txt", [*server, *groups["dev"], *groups["bench"]], upgrade=upgrade, same_as="dev.txt")


def pin(name: str, wanted: list[str], *, upgrade: bool, same_as: str | None = None) -> None:
    """Write requirements/`name` with all that `wanted` needs; versions agree with the file `same_as`."""
    output = ROOT / "requirements" / name
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "wanted.in"
        source.write_text("\n".join(wanted) + "\n")
        options = ["--quiet", "--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-annotate"]
        options += ["--no-header", "--no-emit-options", "--output-file", str(output), str(source)]
        options += ["--upgrade"] if upgrade else []
        options += ["--constraint", str(ROOT / "requirements" / same_as)] if same_as else []
        subprocess.run([sys.executable, "-m", "piptools", "compile", *options], check=True, cwd=ROOT)
    pins = output.read_text()
    output.write_text(HEADER.format(name=f"requirements/{name}") + pins.removeprefix(HEADER))
    print(f"requirements/{name}: {pins.count('==')} packages")


if __name__ == "__main__":
    main()
