"""From a launch to what the daemon is asked to create. Pure: no secret is in it, for the daemon keeps it on a disk."""

from __future__ import annotations

import functools
import math
import os.path
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dais.engines.container.kit import RUNNER, command
from dais.engines.container.options import ContainerOptions, Kind
from dais.engines.contract import LaunchRefused, LaunchSpec

CONTROL, RUN = "/opt/dais/launch", "/opt/dais/run"
"""Where a container has its instructions (from memory, read-only), and where it keeps output and end."""
WRITABLE = "dais.root"
"""An image's label: with the value `writable` its containers have a root file system that can be written."""
PROCESSES = 32_768
_overhead = 8
"""Processes beside the job's own: process 1 and connections."""


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of this machine that are mounted: the kit, the instructions, what the container keeps."""

    kit: str
    control: str
    run: str


@dataclass(frozen=True, slots=True)
class Host:
    """What is true of the daemon: which it is, whether its root is an ordinary user, who the server is.

    `seccomp` is a file with the system calls that are allowed; empty: as the daemon itself has them.
    """

    kind: Kind
    rootless: bool = False
    uid: int = 0
    gid: int = 0
    installation: str = ""
    seccomp: str = ""


def user_of(spec: LaunchSpec, host: Host) -> tuple[int, int]:
    """Whose process the job is, as seen in the container. Raises LaunchRefused for root."""
    uid = host.uid if spec.uid is None else spec.uid
    gid = host.gid if spec.gid is None else spec.gid
    if uid == 0:
        raise LaunchRefused(
            "jobs in containers do not run as root: start Dais as an ordinary user, or as root where it gives up its "
            "privileges by itself (see `dais doctor`)"
        )
    if host.uid != 0 and uid != host.uid:
        raise LaunchRefused(f"this server is user {host.uid} and can start containers as that user only, not as {uid}")
    # Docker without root maps its own user to the container's root, and nobody else to anybody who owns files here.
    return (0, 0) if host.rootless and host.kind == "docker" else (uid, gid)


def refuse(spec: LaunchSpec, options: ContainerOptions) -> None:
    """Raises LaunchRefused for what no container here can be given."""
    if not spec.image:
        raise LaunchRefused("a job of this group needs an image: name one with --image")
    if spec.network == "host":
        raise LaunchRefused("containers of this group never have the machine's own network; use none or internet")
    if spec.network == "internet" and not options.internet_network:
        raise LaunchRefused(
            "this group has no network to the internet: an administrator can make a container network that reaches "
            "nothing else, and attach the group with internet_network=NAME (see docs/containers.md)"
        )
    if spec.ro_host or spec.devices:
        raise LaunchRefused("host paths and device nodes are not given to containers of this group")
    if spec.lease:
        raise LaunchRefused("containers of this group cannot have a leased user")


def create_document(
    spec: LaunchSpec, image: Mapping[str, Any], places: Places, options: ContainerOptions, host: Host
) -> dict[str, Any]:
    """The body of `POST /containers/create`."""
    uid, gid = user_of(spec, host)
    config = image.get("Config") or {}
    environment = [entry.partition("=")[0] for entry in config.get("Env") or ()]
    labels = {**spec.labels, "dais.attempt": spec.attempt_id, "dais.installation": host.installation}
    return {
        "Image": image["Id"],
        "Entrypoint": command("init"),
        "Cmd": [],
        # The image's variables reach the program; those that would bend our own interpreter's loader end here.
        "Env": [f"{name}=" for name in environment if name.startswith("LD_")],
        "User": f"{uid}:{gid}",
        "WorkingDir": "/",
        "Hostname": _hostname(spec.hostname),
        "Labels": labels,
        "AttachStdin": False,
        "OpenStdin": False,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "HostConfig": _host_config(spec, config.get("Labels") or {}, places, options, host),
    }


def _host_config(
    spec: LaunchSpec, labels: Mapping[str, str], places: Places, options: ContainerOptions, host: Host
) -> dict[str, Any]:
    limits = spec.limits
    read_only = options.read_only and labels.get(WRITABLE) != "writable"
    mode = "rw,nosuid,nodev,exec,mode=1777" + (f",size={limits.memory}" if limits.memory else "")
    document: dict[str, Any] = {
        "NetworkMode": options.internet_network if spec.network == "internet" else "none",
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "CgroupnsMode": "private",
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": _security(host),
        "ReadonlyRootfs": read_only,
        "Tmpfs": {"/tmp": mode, "/run": mode} if read_only else {},  # noqa: S108 - the container's own
        "PidsLimit": min(limits.pids + _overhead, PROCESSES) if limits.pids else PROCESSES,
        "ShmSize": limits.shm,
        "Ulimits": [
            _ulimit("nofile", resource.RLIMIT_NOFILE, limits.open_files),
            _ulimit("nproc", resource.RLIMIT_NPROC, _process_ids()),
            _ulimit("core", resource.RLIMIT_CORE, 0),
        ],
        "Mounts": _mounts(spec, places),
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "LogConfig": {"Type": "json-file" if host.kind == "docker" else "k8s-file", "Config": {"max-size": "1m"}},
    }
    if limits.memory:
        document["Memory"] = document["MemorySwap"] = limits.memory
    if limits.cpu:
        document["NanoCpus"] = math.ceil(limits.cpu * 1e9)
    if options.runtime:
        document["Runtime"] = options.runtime
    if host.rootless and host.kind == "podman":
        document["UsernsMode"] = "keep-id"
    if spec.gpus:
        document["DeviceRequests"] = [_gpus(spec.gpus, host.kind)]
    return document


def _security(host: Host) -> list[str]:
    plain = ["no-new-privileges" if host.kind == "podman" else "no-new-privileges=true"]
    return [*plain, f"seccomp={host.seccomp}"] if host.seccomp else plain


@functools.cache
def _process_ids() -> int:
    """As many processes as the machine can have: this limit is the user's, in all containers together, and each
    container has one of its own beside."""
    return int(Path("/proc/sys/kernel/pid_max").read_text())


def _ulimit(name: str, number: int, wanted: int) -> dict[str, Any]:
    """As wanted, but not above what this process may have: a daemon that may not raise limits starts nothing then."""
    most = resource.getrlimit(number)[1]
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    return {"Name": name, "Soft": limit, "Hard": limit}


def _mounts(spec: LaunchSpec, places: Places) -> list[dict[str, Any]]:
    """Ours, then the job's: a directory before what is mounted in it. The daemon makes no directory that is missing."""
    for target in [bind.target for bind in spec.binds] + [file.target for file in spec.files]:
        if not target.startswith("/") or os.path.normpath(target) in ("/", CONTROL, RUN, RUNNER):
            raise LaunchRefused(f"nothing can be mounted at {target}")
    own = [(bind.source, bind.target, bind.read_only) for bind in spec.binds]
    own += [(f"{places.control}/file-{n}", file.target, True) for n, file in enumerate(spec.files)]
    mounts = [
        (places.kit, RUNNER, True),
        (places.control, CONTROL, True),
        (places.run, RUN, False),
        *sorted(own, key=lambda mount: os.path.normpath(mount[1]).count("/")),
    ]
    return [
        {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
        for source, target, read_only in mounts
    ]


def _gpus(uuids: tuple[str, ...], kind: Kind) -> dict[str, Any]:
    """Exactly these GPUs: by NVIDIA's runtime for Docker, by the container device interface for Podman."""
    if kind == "docker":
        return {"Driver": "nvidia", "DeviceIDs": list(uuids), "Capabilities": [["gpu", "compute", "utility"]]}
    return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={uuid}" for uuid in uuids]}


def _hostname(name: str) -> str:
    """At most 63 of the characters that a host name may have."""
    plain = "".join(c if (c.isalnum() and c.isascii()) or c == "-" else "-" for c in name).strip("-")
    return plain[:63] or "dais"
