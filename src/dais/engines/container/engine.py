"""The container engine: the contract, by a Docker or Podman daemon of this machine. Containers outlive the server."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiodocker import Docker

from dais.engines.container.attempts import Attempt, Attempts
from dais.engines.container.calls import PLACES, podman_profile
from dais.engines.container.daemon import Daemon, Said
from dais.engines.container.dialling import dial
from dais.engines.container.document import Host
from dais.engines.container.execution import start_exec
from dais.engines.container.images import ContainerImages
from dais.engines.container.kit import PYTHON, make_kit, remove_kits
from dais.engines.container.lives import Lives
from dais.engines.container.machine import Machine, missing
from dais.engines.container.memory import Memory
from dais.engines.container.options import ContainerOptions, Kind, find_socket, usual_sockets
from dais.engines.container.reading import log_end, read_log
from dais.engines.container.store import Stop, Store
from dais.engines.container.usage import usage_of
from dais.engines.contract import (
    Batch,
    ByteStream,
    ExecStream,
    Handle,
    HostTools,
    LaunchSpec,
    LogChunk,
    NodeInfo,
    Phase,
    Status,
    Terminal,
    Usage,
)
from dais.engines.mailbox import Mailbox


class ContainerEngine(ContainerImages):
    """Talks to the daemon at a socket. One object per directory at a time.

    `runner` is where the runner kit is, or is made; below the directory unless told.
    """

    def __init__(
        self, kind: Kind, directory: Path, options: ContainerOptions | None = None, *, runner: Path | None = None
    ) -> None:
        self.name: str = kind  # its images have a client once it is started
        self._options = options or ContainerOptions()
        self._kind = kind
        self._runner = runner or directory / "runner"
        self._node = platform.node() or "localhost"
        self._mailbox = Mailbox()
        self._store = Store(directory)
        self._missing: tuple[str, ...] = ()
        self._closed = False

    @property
    def client(self) -> Docker:
        """The aiodocker client of a started engine."""
        return self._daemon.client

    @property
    def connected(self) -> bool:
        """Whether the daemon answered last."""
        return not self._closed and hasattr(self, "_lives") and self._lives.follower.connected

    async def start(self) -> None:
        """Find the daemon and what runs there. Raises OSError with what to do when it cannot be reached."""
        socket = find_socket(self._kind, self._options)
        if socket is None:
            places = ", ".join(usual_sockets(self._kind))
            raise FileNotFoundError(f"there is no socket of {self._kind} at {places}; name it with socket=PATH")
        self._daemon = Daemon(socket)
        try:
            info = await self._daemon.get("info")
        except Said as error:
            raise OSError(f"the container daemon at {socket} says: {error}") from error
        # Only now there is a client. Steps of builds run what their users say: they get the network that jobs get.
        super().__init__(self._daemon.client, build_network=self._options.internet_network or "none")
        installation = await asyncio.to_thread(self._store.installation)
        self._attempts = Attempts(self._store, Memory(installation), self._mailbox, self._node)
        await asyncio.to_thread(self._attempts.memory.root)
        await self._attempts.load()
        kit = await asyncio.to_thread(make_kit, self._runner)
        self._missing = missing(info)
        calls = await self._calls()
        host = Host(self._kind, _rootless(info), os.geteuid(), os.getegid(), installation, calls)
        self._lives = Lives(self._daemon, self._attempts, self._options, host, str(kit), self._missing)
        self._machine = Machine(self._node, self._daemon, self._options, host)
        await self._lives.start()
        keep = {kit.name, *(Path(attempt.kept.kit).name for attempt in self._attempts.all() if not attempt.over)}
        await asyncio.to_thread(remove_kits, kit.parent, keep)

    async def retire(self) -> None:
        """Nothing was started for the server but containers."""

    async def close(self) -> None:
        self._closed = True
        if hasattr(self, "_lives"):
            await self._lives.close()
            await asyncio.to_thread(self._attempts.memory.close)
        if hasattr(self, "_daemon"):
            await self._daemon.close()
        self._mailbox.interrupt()

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        self._check()
        for spec in specs:
            if self._attempts.get(spec.attempt_id) is None:
                await self._lives.accept(spec)
        return [self._handle(spec.attempt_id, spec.gpus) for spec in specs]

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        if any(self._lives.runs(handle["attempt_id"]) for handle in handles):
            await self._lives.look()
        else:
            self._check()
        return [self._attempts.status(handle["attempt_id"]) for handle in handles]

    def watch(self) -> AsyncIterator[Batch]:
        return self._mailbox.batches()

    async def acknowledge(self, batch: Batch) -> None:
        self._mailbox.acknowledge(batch)
        ended = (Phase.ENDED, Phase.LOST)
        await self._attempts.acknowledged([s.attempt_id for s in batch.statuses if s.phase in ended])

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        attempt = self._attempts.get(handle["attempt_id"])
        if attempt is not None and not attempt.over:
            await self._lives.stop(attempt, Stop(cause="stopped", reason=reason, grace=grace, at=time.time()))

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        attempt = self._attempts.get(handle["attempt_id"])
        status = self._attempts.status(handle["attempt_id"])
        directory = self._store.log(handle["attempt_id"])
        allowed = attempt.kept.limits.log if attempt is not None else 0
        return await read_log(directory, cursor, limit, allowed, status)

    async def log_end(self, handle: Handle) -> str:
        return await log_end(self._store.log(handle["attempt_id"]))

    async def forget(self, handles: Sequence[Handle]) -> None:
        self._check()
        for handle in handles:
            attempt = self._attempts.get(handle["attempt_id"])
            if attempt is not None and attempt.over:
                await self._lives.forget(attempt)

    async def ended(self) -> list[Handle]:
        return [self._handle(attempt.id, attempt.kept.gpus) for attempt in self._attempts.all() if attempt.over]

    async def nodes(self) -> list[NodeInfo]:
        return [await self._machine.node(self._missing)]

    async def host_tools(self) -> HostTools:
        return HostTools(
            isolation="container",
            internet=bool(self._options.internet_network),
            labelled=True,
            missing=self._missing,
            runner=PYTHON,
        )

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        kept = self._running(handle).kept
        return await start_exec(self._daemon, self._attempts.memory, kept, argv, env=env, workdir=workdir, pty=pty)

    async def dial(self, handle: Handle, port: int) -> ByteStream:
        self._running(handle)
        return await dial(self._store.log(handle["attempt_id"]), port)

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]:
        async def one(handle: Handle) -> Usage | None:
            attempt = self._attempts.get(handle["attempt_id"])
            if attempt is None or attempt.status.phase is not Phase.RUNNING:
                return None
            used = await usage_of(self._daemon, attempt.kept.container)
            gpu = await self._machine.used(attempt.kept.gpus) if used is not None and attempt.kept.gpus else None
            if used is None or gpu is None:
                return used
            return msgspec.structs.replace(used, gpu_memory=gpu[0], gpu_utilization=gpu[1])

        return list(await asyncio.gather(*(one(handle) for handle in handles)))

    async def _calls(self) -> str:
        """The file with the system calls that containers may make; empty: as the daemon has them."""
        if self._kind != "podman":
            return ""
        made = await asyncio.to_thread(podman_profile, self._store.directory)
        if made is None:
            words = (
                f"jobs may make namespaces of their own: Podman's list of system calls is not at {', '.join(PLACES)}"
            )
            self._missing = (*self._missing, words)
        return str(made or "")

    def _handle(self, attempt_id: str, gpus: Sequence[str]) -> Handle:
        """What a restarted server needs: the id, the container's name, and the GPUs to tell what they use."""
        name = self._lives.starter.name(attempt_id)
        return {"attempt_id": attempt_id, "container": name, **({"gpus": list(gpus)} if gpus else {})}

    def _running(self, handle: Handle) -> Attempt:
        """Raises LookupError for what does not run."""
        attempt = self._attempts.get(handle["attempt_id"])
        if attempt is None or attempt.status.phase is not Phase.RUNNING:
            raise LookupError(f"attempt {handle['attempt_id']} does not run")
        return attempt

    def _check(self) -> None:
        if not self.connected:
            raise ConnectionError(f"the container daemon at {self._daemon.socket} cannot be reached")


def _rootless(info: dict[str, Any]) -> bool:
    return any("rootless" in str(option) for option in info.get("SecurityOptions") or ())
