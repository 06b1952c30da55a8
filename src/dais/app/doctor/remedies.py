"""Commands that mend, in the words of this machine's distribution."""

from __future__ import annotations

import os
from pathlib import Path

_installers = {
    "debian": "apt install",
    "ubuntu": "apt install",
    "fedora": "dnf install",
    "rhel": "dnf install",
    "arch": "pacman -S",
    "suse": "zypper install",
    "alpine": "apk add",
}
_packages = {
    "libseccomp2": {"dnf install": "libseccomp", "pacman -S": "libseccomp", "apk add": "libseccomp"},
    "python3": {"pacman -S": "python"},
    "passt": {},
}
"""Packages by Debian's name, where others call them otherwise."""


def as_root(command: str) -> str:
    """A command as this user has to type it."""
    return command if os.geteuid() == 0 else f"sudo {command}"


def install(package: str, os_release: Path = Path("/etc/os-release")) -> str:
    """How a package is installed here."""
    installer = next((_installers[name] for name in _distributions(os_release) if name in _installers), None)
    if installer is None:
        return f"install the package {package} with your distribution's package manager"
    return as_root(f"{installer} {_packages.get(package, {}).get(installer, package)}")


def _distributions(os_release: Path) -> list[str]:
    """This distribution's name, and those that it is like."""
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return []
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    names = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', "")
    return names.split()
