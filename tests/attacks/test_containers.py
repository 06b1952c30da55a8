"""The attacks once more, from inside containers of Docker and Podman; and from a weak one, where they get through."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dais.engines.container.kit import RUNNER, make_kit
from dais.engines.contract import Bind, Engine, Exec, Handle
from tests.attacks.fortress import INSIDE
from tests.support.containers import IMAGE, USER, ContainerDaemon, ContainerHarness, Daemons
from tests.support.engines import drain, printed, watching

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PYTHON = [f"{RUNNER}/ld.so", "--library-path", f"{RUNNER}/lib/shared", f"{RUNNER}/bin/python3", "-I", "-S", "-c"]
ATTACKS = [
    "see_processes",
    "signal_processes",
    "trace_processes",
    "memory_of_processes",
    "read_files",
    "write_read_only",
    "devices",
    "mounts",
    "loopback",
    "private_addresses",
    "abstract_socket",
    "unix_sockets",
    "shared_memory",
    "no_new_privileges",
    "capabilities",
    "nested_namespaces",
    "keyrings",
    "descriptors",
    "environment",
    "administration",
    "core_dumps",
    "host_name",
    "control_groups",
]
THROUGH = ["see_processes", "loopback", "capabilities", "no_new_privileges", "devices", "mounts", "host_name"]
"""What a container that is not hardened lets through."""


@pytest.mark.parametrize("kind", ["docker", "podman"])
async def test_attacks_from_a_container_are_stopped(kind: str, daemons: Daemons, tmp_path: Path) -> None:
    daemon = daemons.get(kind)
    harness = ContainerHarness(daemon, tmp_path)
    engine = await harness.open()
    try:
        async with watching(engine) as watcher:
            victim = harness.spec(("print", "ready"), ("sleep-forever",), env={"SECRET": "of-another", "PATH": "/bin"})
            attacker = harness.spec(("print", "ready"), ("sleep-forever",), binds=(_work(tmp_path),))
            handles = await engine.launch([victim, attacker])
            for spec, handle in zip([victim, attacker], handles, strict=True):
                await watcher.running(spec.attempt_id)
                await printed(engine, handle, b"ready")
            known = _known(daemon, harness, victim.attempt_id, handles[0], tmp_path)
            assert {name: await _attack(engine, handles[1], name, known) for name in ATTACKS} == dict.fromkeys(
                ATTACKS, "HELD"
            )
    finally:
        await engine.close()
        await harness.close()


async def test_the_same_attacks_get_through_where_nothing_is_hardened(daemons: Daemons, tmp_path: Path) -> None:
    daemon = daemons.get("docker")
    kit = make_kit(daemon.directory / "runner")
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = {**_nothing(), "port": server.getsockname()[1], "mark": ["dock", "erd"], "host": socket.gethostname()}
        for name in THROUGH:
            said = _weak(daemon, str(kit), [*PYTHON, INSIDE, name, json.dumps(known)])
            assert "ESCAPED" in said, (name, said)


def _work(directory: Path) -> Bind:
    work = directory / "work"
    work.mkdir()
    os.chown(work, USER, USER)
    return Bind(source=str(work), target="/home/work", read_only=False)


async def _attack(engine: Engine, handle: Handle, name: str, known: Mapping[str, Any]) -> str:
    """What the attack says: HELD, or what it reached."""
    assert isinstance(engine, Exec)
    argv = [*PYTHON, INSIDE, name, json.dumps(known)]
    stream = await engine.exec(handle, argv, env={}, workdir=None, pty=None)
    try:
        out, error, _ = await drain(stream)
    finally:
        await stream.close()
    return (out.decode() or error.decode()).strip()


def _known(
    daemon: ContainerDaemon, harness: ContainerHarness, victim: str, handle: Handle, directory: Path
) -> dict[str, Any]:
    """What a real attacker would have to find out."""
    pid = daemon.inspect(handle["container"])["State"]["Pid"]
    memory = f"/dev/shm/dais-{harness.installation}/{victim}/launch"
    return {
        **_nothing(),
        "mark": ["contai", "nerd-shim"] if daemon.kind == "docker" else ["con", "mon"],  # so as not to see itself
        "secret": "of-another",
        "victims": [pid],
        "supervisor": os.getpid(),
        "public": "/etc/debian_version",
        "private": [
            memory,
            str(harness.directory / "installation"),
            f"{harness.directory}/attempts/{victim}/log/report",
        ],
        "control": str(daemon.socket),
        "sockets": ["/var/run/docker.sock", f"{harness.directory}/attempts/{victim}/log/dial"],
        "host": socket.gethostname(),
    }


def _nothing() -> dict[str, Any]:
    lists: dict[str, Any] = {name: [] for name in ("mark", "victims", "private", "sockets", "above")}
    words = dict.fromkeys(("secret", "public", "control", "abstract", "host", "programs"), "nothing-of-that-name")
    return {**lists, **words, "supervisor": 1 << 22, "port": 1, "ipc_key": 1, "server_variable": "PYTEST_CURRENT_TEST"}


def _weak(daemon: ContainerDaemon, kit: str, command: list[str]) -> str:
    """What a command says in a container that has everything."""
    document = {
        "Image": IMAGE,
        "Entrypoint": command,
        "HostConfig": {
            "PidMode": "host",
            "NetworkMode": "host",
            "CapAdd": ["SYS_ADMIN", "MKNOD", "SYS_CHROOT"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "Devices": [{"PathOnHost": "/dev/kmsg", "PathInContainer": "/dev/kmsg", "CgroupPermissions": "r"}],
            "Binds": [f"{kit}:{RUNNER}:ro"],
        },
    }
    made = daemon.json("POST", "/containers/create", document)["Id"]
    try:
        daemon.json("POST", f"/containers/{made}/start")
        daemon.json("POST", f"/containers/{made}/wait")
        return daemon.call("GET", f"/containers/{made}/logs?stdout=true&stderr=true")[1].decode(errors="replace")
    finally:
        daemon.call("DELETE", f"/containers/{made}?force=true")
