"""What is found when it is asked, before a group is attached, whether containers could be started here."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from dais.engines.container.daemon import Daemon, Said, missing_right
from dais.engines.container.memory import memory_file_systems
from dais.engines.container.options import ContainerOptions, Kind, find_socket, usual_sockets
from dais.engines.contract import CheckFinding, CheckReport

_seconds = 10.0
_oldest = (1, 41)


async def check_docker(options: ContainerOptions, *, data_dir: Path) -> CheckReport:
    """Whether a Docker daemon could be attached with these options. Raises nothing."""
    return await _check("docker", options)


async def check_podman(options: ContainerOptions, *, data_dir: Path) -> CheckReport:
    """Whether a Podman service could be attached with these options. Raises nothing."""
    return await _check("podman", options)


async def _check(kind: Kind, options: ContainerOptions) -> CheckReport:
    socket = find_socket(kind, options)
    if socket is None:
        start = {"docker": "systemctl enable --now docker", "podman": "systemctl enable --now podman.socket"}[kind]
        looked = ", ".join(usual_sockets(kind))
        found = CheckFinding(
            name="socket",
            ok=False,
            detail=f"there is no socket of {kind} at {looked}",
            remedy=f"install {kind} and start it ({start}), or name its socket: --socket PATH",
        )
        return CheckReport(findings=(found,))
    daemon = Daemon(socket)
    try:
        async with asyncio.timeout(_seconds):
            version, info = await daemon.get("version"), await daemon.get("info")
            networks = await _network(daemon, options)
    except (OSError, Said) as error:
        return CheckReport(findings=(_unreachable(socket, error),), options={"socket": socket})
    finally:
        await daemon.close()
    findings = (
        CheckFinding(name="socket", ok=True, detail=socket),
        _version(kind, version),
        _user(info, kind),
        *_limits(info),
        _seccomp(info),
        _memory(),
        *networks,
    )
    return CheckReport(findings=findings, options={"socket": socket})


def _unreachable(socket: str, error: Exception) -> CheckFinding:
    right = missing_right(socket)
    return CheckFinding(
        name="socket",
        ok=False,
        detail=str(error),
        # A server that gave up root has no further groups: to join the socket's would not let it in.
        remedy=f"setfacl -m {right} (docs/engines.md says how to let it stay so)"
        if right
        else "start the daemon, and look at its log",
    )


def _version(kind: Kind, version: dict[str, Any]) -> CheckFinding:
    spoken = str(version.get("ApiVersion", "0"))
    numbers = tuple(int(part) for part in spoken.split(".") if part.isdigit())
    podman = any("Podman" in str(part.get("Name")) for part in version.get("Components") or ())
    words = f"{'Podman' if podman else 'Docker'} {version.get('Version')}, API {spoken}"
    if podman != (kind == "podman"):
        other = "podman" if podman else "docker"
        return CheckFinding(name="version", ok=False, detail=words, remedy=f"use `dais attach {other}` for this socket")
    ok = numbers >= _oldest
    return CheckFinding(
        name="version", ok=ok, detail=words, remedy="" if ok else "upgrade: API 1.41 or later is needed"
    )


def _user(info: dict[str, Any], kind: Kind) -> CheckFinding:
    rootless = any("rootless" in str(option) for option in info.get("SecurityOptions") or ())
    if os.geteuid() == 0 and not rootless:
        return CheckFinding(
            name="user",
            ok=True,
            detail="the daemon is root, and so is this process; jobs never are",
        )
    words = (
        f"the daemon is {'an ordinary user' if rootless else 'root'}; jobs run as user {os.geteuid()}, as this server"
    )
    return CheckFinding(name="user", ok=True, detail=words)


def _limits(info: dict[str, Any]) -> list[CheckFinding]:
    wanted = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "the number of processes"}
    missing = [words for name, words in wanted.items() if not info.get(name)]
    groups = f"control groups v{info.get('CgroupVersion', '1')} by {info.get('CgroupDriver', '?')}"
    if not missing:
        return [CheckFinding(name="limits", ok=True, detail=groups)]
    return [
        CheckFinding(
            name="limits",
            ok=False,
            needed=False,
            detail=f"{groups}: {', '.join(missing)} cannot be limited",
            remedy="delegate the controllers to the daemon (rootless: Delegate=cpu cpuset memory pids in its unit)",
        )
    ]


def _seccomp(info: dict[str, Any]) -> CheckFinding:
    ok = any("seccomp" in str(option) for option in info.get("SecurityOptions") or ())
    return CheckFinding(
        name="seccomp",
        ok=ok,
        needed=False,
        detail="the daemon's list of forbidden system calls" if ok else "containers may make every system call",
        remedy="" if ok else "use a daemon that was built with seccomp",
    )


def _memory() -> CheckFinding:
    place = next((place for place in memory_file_systems() if os.access(place, os.W_OK)), None)
    return CheckFinding(
        name="secrets",
        ok=place is not None,
        detail=f"kept in memory at {place}" if place else "there is no tmpfs that this user can write",
        remedy="" if place else "mount a tmpfs at /dev/shm",
    )


async def _network(daemon: Daemon, options: ContainerOptions) -> list[CheckFinding]:
    name = options.internet_network
    if not name:
        words = "jobs have no network to the internet: no internet_network is named (see docs/containers.md)"
        remedy = "attach it with --option internet_network=NAME"
        return [CheckFinding(name="internet", ok=False, needed=False, detail=words, remedy=remedy)]
    try:
        await daemon.get(f"networks/{name}")
    except Said as error:
        remedy = f"make it as docs/containers.md says, or attach without internet_network={name}"
        return [CheckFinding(name="internet", ok=False, detail=str(error), remedy=remedy)]
    return [CheckFinding(name="internet", ok=True, detail=f"the container network {name}")]
