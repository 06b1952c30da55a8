"""A server and supervisors on another machine, which is a network namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dais.app.authority import CertificateAuthority
from dais.engines.contract import ExecStream, LaunchSpec, Terminal
from dais.engines.supervised.execution import start_exec
from dais.engines.supervised.frames import Message, Record, pack
from dais.engines.supervised.link import Link
from dais.engines.supervised.remote import Remote, RemoteConnector, RemoteOptions
from dais.kit.vault import Vault
from dais.node.processes import children
from tests.support.apart import Apart
from tests.support.engines import PATIENCE, shell
from tests.support.supervisor import TEST_UID

WATCH = 4.0
"""Seconds after which a cut is noticed."""


@dataclass
class Site:
    """A server in this namespace, and the nodes that it knows."""

    apart: Apart
    directory: Path
    authority: CertificateAuthority
    remote: Remote
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def node(self, name: str, *options: str) -> AsyncIterator[RemoteNode]:
        """A supervisor of this name, and the link to it."""
        addresses = self.directory / f"{name}.addresses"
        connector = RemoteConnector(self.remote, name, addresses)
        invitation = self.remote.invite(name, 3600, addresses)
        self.running.append(self.apart.supervisor(self.directory / name, invitation, *options))
        node = RemoteNode(name, connector, addresses, self.running[-1], invitation)
        try:
            yield node
        finally:
            await node.link.close()
            connector.close()

    def close(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(PATIENCE)


class RemoteNode:
    """What a test does with a remote supervisor."""

    def __init__(
        self,
        name: str,
        connector: RemoteConnector,
        addresses: Path,
        process: subprocess.Popen[bytes],
        invitation: bytes,
    ) -> None:
        self.name = name
        self.invitation = invitation
        self.connector = connector
        self.addresses = addresses
        self.process = process
        self.records: list[Record] = []
        self.readies = 0
        self.lost = 0
        self.changed = asyncio.Event()
        self.link = Link(
            connector, timeout=PATIENCE, on_message=self._hear, on_ready=self._on_ready, on_lost=self._on_lost
        )

    def _hear(self, message: Message) -> None:
        self.records += message.records
        self.changed.set()

    def _on_ready(self) -> None:
        self.readies += 1
        self.changed.set()

    def _on_lost(self) -> None:
        self.lost += 1
        self.changed.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def record(self, attempt_id: str, kind: str) -> Record:
        def found() -> list[Record]:
            return [r for r in self.records if (r.attempt_id, r.kind) == (attempt_id, kind)]

        await self.until(found)
        return found()[0]

    async def launch(self, attempt_id: str, *steps: tuple[str, ...], isolation: str = "process") -> None:
        spec = LaunchSpec(
            attempt_id=attempt_id,
            argv=shell(*steps),
            env={"PATH": "/usr/bin:/bin"},
            uid=TEST_UID,
            gid=TEST_UID,
            isolation=isolation,
        )
        await self.link.send(pack({"op": "launch", "specs": [spec]}))
        await self.record(attempt_id, "started")

    async def exec(self, attempt_id: str, *argv: str, pty: Terminal | None = None) -> ExecStream:
        return await start_exec(self.connector, attempt_id, argv, env={}, workdir="/", pty=pty)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that containers' users may enter."""
    directory = Path(tempfile.mkdtemp(prefix="dais-remote-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def site(apart: Apart, place: Path) -> AsyncIterator[Site]:
    """A server that listens on the cable."""
    authority = CertificateAuthority(place, Vault(place / "key"))
    remote = Remote(authority, RemoteOptions(listen=(apart.server, 0), watch=WATCH))
    await remote.open()
    made = Site(apart, place, authority, remote)
    try:
        yield made
    finally:
        apart.allow("both")
        made.close()
        await remote.close()


def bridge_of(pid: int) -> int:
    """The bridge among a supervisor's children."""
    found = [child for child in children(pid) if b"dais.node.remote" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert len(found) == 1
    return found[0]
