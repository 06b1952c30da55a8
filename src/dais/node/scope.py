"""Below systemd the supervisor gets a scope of its own: alone in it, it may make control groups, and it outlives the
service that started it, which can be restarted with a control group that is empty.
"""

from __future__ import annotations

import os

BOOTED = "/run/systemd/system"
"""There where systemd manages the machine."""

_PASSED = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def scope_command(own: str | None = None, *, booted: str = BOOTED, path: str | None = None) -> list[str]:
    """What to put before the supervisor's command line; nothing where this process is in no service of systemd's.

    `own` is the control group of this process (None: looked up), `path` where programs are looked for.
    """
    own = _own_group() if own is None else own
    parts = own.split("/")
    program = _find("systemd-run", os.environ.get("PATH", os.defpath) if path is None else path)
    if not parts[-1].endswith(".service") or not os.path.isdir(booted) or program is None:
        return []
    whose = ["--user"] if any(part.startswith("user@") for part in parts[:-1]) else []
    return [program, *whose, "--scope", "--quiet", "--collect", "--no-ask-password", "-p", "Delegate=yes", "--"]


def scope_environment() -> dict[str, str]:
    """What `systemd-run` needs to find its manager."""
    return {name: os.environ[name] for name in _PASSED if name in os.environ}


def _own_group() -> str:
    """The control group that systemd put this process in; "" where there is none."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return ""
    found = {name: group for _, name, group in lines}
    return found.get("name=systemd", found.get("", ""))


def _find(name: str, path: str) -> str | None:
    for directory in path.split(":"):
        if directory and os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return None
