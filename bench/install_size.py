"""What an installation takes on disk: a fresh virtual environment, without pip and setuptools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main

ROOT = Path(__file__).parent.parent
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")


def run(bench: Bench) -> None:
    aims = {"": (25, 20), "server": (150, 100), "server,postgres,s3": None}
    for extra, aim in aims.items():
        bench.report(
            Row(
                figure=f"install size: `dais-platform{f'[{extra}]' if extra else ''}`",
                ours=[installed(extra)],
                unit="MB",
                aim=Aim(number="", must=aim[0], should=aim[1], at_most=True) if aim else None,
            )
        )


def installed(extra: str) -> float:
    """Megabytes (10⁶ bytes) below site-packages, byte code included."""
    with TemporaryDirectory(prefix="dais-bench-") as name:
        venv = Path(name) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=300)
        pins = ["-c", str(_constraints(Path(name)))]
        wanted = f"{ROOT}[{extra}]" if extra else str(ROOT)
        command = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
        subprocess.run([*command, wanted], check=True, timeout=600, capture_output=True)
        (packages,) = venv.glob("lib/python*/site-packages")
        files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
        ours = (path for path in files if not path.relative_to(packages).parts[0].startswith(NOT_OURS))
        return sum(path.stat().st_blocks * 512 for path in ours) / 1e6


def _constraints(directory: Path) -> Path:
    """The pinned versions without their hashes: the project itself has none."""
    lines = (ROOT / "requirements" / "server.txt").read_text().splitlines()
    path = directory / "constraints.txt"
    path.write_text("".join(f"{line.split()[0]}\n" for line in lines if "==" in line and not line.startswith(" ")))
    return path


if __name__ == "__main__":
    main(run)
