"""Dais as pip installs it: its wheels, unpacked beside no more distributions than they ask for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENT, PLATFORM = ROOT / "pyproject.toml", ROOT / "server" / "pyproject.toml"


def build_wheels(directory: Path) -> tuple[Path, Path]:
    """The wheels of the client and of the platform."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    places = [str(file.parent) for file in (CLIENT, PLATFORM)]
    subprocess.run([*command, "--wheel-dir", str(directory), *places], check=True, timeout=120)
    (client,) = directory.glob("dais_platform-*.whl")
    (platform,) = directory.glob("dais_platform_server-*.whl")
    return client, platform


def asked_for(*projects: Path) -> list[str]:
    """What the distributions of these pyproject.toml ask for; not what their extras do."""
    return [line for file in projects for line in tomllib.loads(file.read_text())["project"]["dependencies"]]


def environment_of(directory: Path, wheels: Iterable[Path], requirements: Iterable[str]) -> str:
    """A virtual environment with the wheels and with what they need, linked from this one; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True, timeout=120)
    (packages,) = directory.glob("lib/python*/site-packages")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as file:
            file.extractall(packages)
    for distribution in _closure(requirements):
        files = distribution.files or []
        for name in {file.parts[0] for file in files if file.parts[0] != ".."}:
            link = packages / name
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(name))))
    return str(directory / "bin" / "python")


def _closure(requirements: Iterable[str]) -> list[metadata.Distribution]:
    """The distributions that are asked for, and those that they ask for in turn."""
    found: dict[str, metadata.Distribution] = {}
    left = list(requirements)
    while left:
        line = left.pop()
        match = re.match(r"[A-Za-z0-9._-]+", line)
        assert match is not None, line
        name = re.sub(r"[._-]+", "-", match[0]).lower()
        if name in found or "extra ==" in line:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            assert ";" in line, f"{name} is not installed"  # it is for another machine or Python
            continue
        left += found[name].requires or []
    return list(found.values())
