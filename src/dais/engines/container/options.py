"""What a group of containers may be told when it is attached."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Annotated, Literal

import msgspec

Kind = Literal["docker", "podman"]


class ContainerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `dais attach docker` and `dais attach podman`."""

    socket: Annotated[str, msgspec.Meta(description="Path of the daemon's Unix socket; empty: where it usually is")] = (
        ""
    )
    internet_network: Annotated[
        str,
        msgspec.Meta(
            description="Name of a container network from which the internet alone can be reached; jobs with "
            "--network internet get it. Empty: there is none, and such jobs are refused"
        ),
    ] = ""
    read_only: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the root file system of containers is read-only; an image with the label "
            "dais.root=writable has a writable one all the same"
        ),
    ] = True
    runtime: Annotated[
        str, msgspec.Meta(description="Name of the daemon's OCI runtime; empty: its default one (runc, gVisor's runsc)")
    ] = ""
    reserve_memory: Annotated[
        int, msgspec.Meta(ge=0, description="Bytes of the machine's memory that are not offered to jobs")
    ] = 512 << 20
    reserve_cpu: Annotated[float, msgspec.Meta(ge=0, description="Cores that are not offered to jobs")] = 0.0
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64, description="Containers that are being started at a time")] = 4
    nvml: Annotated[
        str, msgspec.Meta(description="Path of NVIDIA's NVML library; empty: where the system's linker finds it")
    ] = ""
    gpu_devices: Annotated[str, msgspec.Meta(description="Directory with the GPUs' device nodes")] = "/dev"


def usual_sockets(kind: Kind) -> list[str]:
    """Where the daemon's socket may be, best first. `DOCKER_HOST` counts for Docker, `CONTAINER_HOST` for Podman."""
    named = os.environ.get("DOCKER_HOST" if kind == "docker" else "CONTAINER_HOST", "")
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    places = {
        "docker": ["/var/run/docker.sock", f"{own}/docker.sock"],
        "podman": [f"{own}/podman/podman.sock", "/run/podman/podman.sock"],
    }[kind]
    if os.geteuid() == 0:
        places.sort(key=lambda place: place.startswith("/run/user/"))
    return [named.removeprefix("unix://")] * named.startswith("unix://") + places


def find_socket(kind: Kind, options: ContainerOptions) -> str | None:
    """The socket that was named, or the first usual one that is there."""
    if options.socket:
        return options.socket.removeprefix("unix://")
    return next((place for place in usual_sockets(kind) if _is_socket(place)), None)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError:
        return False
