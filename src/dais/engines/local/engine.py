"""The local engine: the contract, spoken to the node supervisor of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import (
    Batch,
    ByteStream,
    ExecStream,
    Frame,
    Handle,
    HostTools,
    LaunchRefused,
    LaunchSpec,
    LogChunk,
    NodeInfo,
    Phase,
    RootFacts,
    Slots,
    Status,
    Terminal,
    Usage,
)
from dais.engines.local.interpreter import NoInterpreter, find_interpreter
from dais.engines.local.levels import level
from dais.engines.local.machine import cores, memory
from dais.engines.local.settings import LocalSettings
from dais.engines.local.users import data_owner, leasing
from dais.engines.mailbox import Mailbox
from dais.engines.nvidia import Gpus
from dais.engines.supervised.attempts import Attempts
from dais.engines.supervised.connector import LocalConnector
from dais.engines.supervised.dialling import start_dial
from dais.engines.supervised.execution import start_exec
from dais.engines.supervised.frames import Message, Used, pack, pack_body
from dais.engines.supervised.link import Link
from dais.engines.supervised.roots import add_root, remove_root
from dais.engines.supervised.seccomp import filter_problem, filter_program
from dais.engines.supervised.spoken import refuse_unspoken
from dais.node import MAX_FRAME, PROTOCOL, end, log_directory, read, start_supervisor

_FRAME_ROOM = 160
"""Bytes of a launch frame beside its specs, generously."""


class LocalEngine:
    """Talks to the supervisor of `node_dir`, which it starts when there is none. One object per directory at a time.

    `starter` starts one in its stead (blocking; raises OSError), where this process is not the one who can.
    """

    name = "local"

    def __init__(
        self, node_dir: Path, settings: LocalSettings | None = None, starter: Callable[[], None] | None = None
    ) -> None:
        self._node_dir = node_dir
        self._settings = settings or LocalSettings()
        self._node = platform.node() or "localhost"
        self._attempts = Attempts(self._node)
        self._mailbox = Mailbox()
        self._gpus = Gpus(self._settings.nvml, self._settings.gpu_devices)
        self._usage: deque[asyncio.Future[dict[str, Used]]] = deque()
        self._hello: Message | None = None
        self._acknowledged = 0
        self._slots = b"null"  # the supervisor goes by what it was told before, if anything
        self._untold: list[tuple[Status, int]] = []
        timeout = self._settings.start_timeout
        self._connector = LocalConnector(node_dir, timeout=timeout, starter=starter or self._start_supervisor)
        self._link = Link(
            self._connector,
            timeout=timeout,
            on_message=self._hear,
            on_ready=self._catch_up,
            on_lost=self._fail_requests,
        )

    @property
    def supervisor_pid(self) -> int | None:
        """The process id of the supervisor that said hello last."""
        return self._hello.pid if self._hello is not None else None

    @property
    def connected(self) -> bool:
        """Whether the supervisor can be reached now."""
        return self._link.ready

    @property
    def backfills(self) -> bool:
        """Whether the supervisor keeps what does not fit yet until it does."""
        return self._hello is not None and self._hello.backfills

    async def start(self) -> None:
        """Connect; raises SupervisorUnreachable with the supervisor's own words when it cannot be started."""
        self._node_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._link.open()

    async def retire(self) -> None:
        """Let a supervisor that runs nothing end; the next start brings up another."""
        if self._link.ready:
            with contextlib.suppress(OSError):
                await self.shutdown(kill=False)

    async def close(self) -> None:
        await self._link.close()
        self._mailbox.interrupt()

    async def shutdown(self, *, kill: bool) -> None:
        """End the supervisor, with `kill` also everything that it runs; else it ends only when nothing runs."""
        await self._link.send(pack({"op": "shutdown", "kill": kill}))

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        self._link.check()
        frames, sent = self._launch_frames([spec for spec in specs if not self._attempts.is_over(spec.attempt_id)])
        self._attempts.sent(sent)
        if frames:
            await self._link.send(*frames)
        return [_handle(spec) for spec in specs]

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        self._link.check()
        return [self._attempts.get(handle["attempt_id"]) for handle in handles]

    def watch(self) -> AsyncIterator[Batch]:
        return self._mailbox.batches()

    async def acknowledge(self, batch: Batch) -> None:
        """Tells the supervisor; while it is away that waits for the next acknowledgement or the next hello."""
        upto = self._mailbox.acknowledge(batch)
        if upto > self._acknowledged and self._link.ready:
            self._acknowledged = upto
            await self._link.send(pack({"op": "ack", "seq": upto}))

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        document = {"op": "stop", "attempt_id": handle["attempt_id"], "grace": grace, "reason": reason}
        await self._link.send(pack(document))

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        segment, offset = _read_cursor(cursor)
        # Looked at before reading: the end is told after the last output was written.
        status = self._attempts.get(handle["attempt_id"])
        directory = log_directory(str(self._node_dir), status.attempt_id)
        found, segment, offset = await asyncio.to_thread(read, directory, segment, offset, limit)
        frames = [Frame(at, stream, data) for at, stream, data in found]
        over = status.phase in (Phase.ENDED, Phase.LOST)
        return LogChunk(frames, f"{segment}:{offset}", eof=over and not frames, truncated=status.log_truncated)

    async def log_end(self, handle: Handle) -> str:
        segment, offset = await asyncio.to_thread(end, log_directory(str(self._node_dir), handle["attempt_id"]))
        return f"{segment}:{offset}"

    async def forget(self, handles: Sequence[Handle]) -> None:
        self._link.check()
        dropped = self._attempts.forget([handle["attempt_id"] for handle in handles])
        if dropped:
            await self._link.send(pack({"op": "forget", "attempt_ids": dropped}))

    async def ended(self) -> list[Handle]:
        return [{"attempt_id": attempt_id} for attempt_id in self._attempts.ended()]

    async def nodes(self) -> list[NodeInfo]:
        gpus = await asyncio.to_thread(self._gpus.look)
        cpu, room = cores(), memory(self._settings.reserve_memory)
        self._slots = msgspec.json.encode(Slots(cpu_millis=int(cpu * 1000), memory=room))
        return [
            NodeInfo(
                name=self._node,
                cpu=cpu,
                memory=room,
                gpus=tuple(gpu.uuid for gpu in gpus),
                isolation={
                    **self._probed(),
                    **({"gpu": self._gpus.problem} if self._gpus.problem else {}),
                    "mode": self._isolation(),
                    "level": level(self._probed(), self._isolation()),
                    "allow_unisolated": self._settings.allow_unisolated,
                },
            )
        ]

    async def host_tools(self) -> HostTools:
        settings = self._settings
        lease = self._leases()
        # Without a sandbox a job needs whatever directories lead to its files, which another user may not enter.
        drop = os.geteuid() == 0 and self._isolation() == "sandbox"
        user, group = (settings.job_uid, settings.job_gid) if drop else (None, None)
        owner, owner_group = data_owner(settings) if drop and lease else (user, group)
        if drop and lease:  # the last is hardly ever a job's: the end of a job ends everything of its uid
            user = group = settings.first_job_uid + settings.job_uids - 1
        wanted = [settings.interpreter] if settings.interpreter else None
        try:
            python = await asyncio.to_thread(find_interpreter, user, group, wanted)
        except NoInterpreter as error:
            raise LaunchRefused(str(error)) from error
        return HostTools(
            interpreter=python.path,
            version=python.version,
            paths=(python.prefix,) if python.prefix else (),
            isolation=self._isolation(),
            uid=owner,
            gid=owner_group,
            lease=lease,
            internet=self._isolation() == "sandbox" and self._probed().get("internet") is True,
            missing=self._missing(),
        )

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        return await start_exec(self._connector, handle["attempt_id"], argv, env=env, workdir=workdir, pty=pty)

    async def dial(self, handle: Handle, port: int) -> ByteStream:
        return await start_dial(self._connector, handle["attempt_id"], port)

    async def add_root(self, path: str) -> RootFacts:
        return await add_root(self._connector, path)

    async def remove_root(self, path: str) -> None:
        await remove_root(self._connector, path)

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]:
        """What they use now; None for what does not run. Raises OSError when the supervisor goes away meanwhile."""
        names = [handle["attempt_id"] for handle in handles]
        answer: asyncio.Future[dict[str, Used]] = asyncio.get_running_loop().create_future()
        self._link.check()
        self._usage.append(answer)
        await self._link.send(pack({"op": "usage", "attempt_ids": names}))
        used = await answer
        return [await self._as_usage(used.get(handle["attempt_id"]), handle) for handle in handles]

    def _launch_frames(self, specs: Sequence[LaunchSpec]) -> tuple[list[bytes], list[str]]:
        """Frames with as many specs as fit in each, and the attempts in them."""
        frames: list[bytes] = []
        sent: list[str] = []
        bodies: list[bytes] = []
        size = _FRAME_ROOM
        for spec in specs:
            body = self._encode(spec)
            if body is None:
                continue
            if size + len(body) + 1 > MAX_FRAME:
                frames.append(_launch_frame(self._slots, bodies))
                bodies, size = [], _FRAME_ROOM
            bodies.append(body)
            size += len(body) + 1
            sent.append(spec.attempt_id)
        if bodies:
            frames.append(_launch_frame(self._slots, bodies))
        return frames, sent

    def _encode(self, spec: LaunchSpec) -> bytes | None:
        """A spec as JSON; one that no frame can carry fails at once, and is None."""
        try:
            refuse_unspoken(spec, self._hello.protocol if self._hello is not None else PROTOCOL)
            if spec.gpus:
                spec = msgspec.structs.replace(spec, devices=self._gpus.binds(spec.gpus))
            body = msgspec.json.encode(spec)
        except LaunchRefused as error:
            problem = str(error)
        except (UnicodeEncodeError, msgspec.MsgspecError) as error:
            problem = f"the launch cannot be written down: {error}"
        else:
            if len(body) + _FRAME_ROOM + 1 <= MAX_FRAME:
                return body
            problem = f"the launch takes {len(body)} bytes, and at most {MAX_FRAME} are possible"
        self._mailbox.post(self._attempts.failed(spec.attempt_id, problem, _now()))
        return None

    def _hear(self, message: Message) -> None:
        """Anything that the supervisor says."""
        match message.op:
            case "hello":
                if self._hello is None or self._hello.incarnation != message.incarnation:
                    self._mailbox.renumber()
                    self._acknowledged = 0
                self._hello = message
                self._attempts.greeted(message)
            case "records":
                told = [(self._attempts.apply(record), record.seq) for record in message.records]
                if self._link.ready:
                    self._post(told)
                else:
                    self._untold += told
            case "usage":
                if self._usage:
                    answer = self._usage.popleft()
                    if not answer.done():
                        answer.set_result(message.usage)

    def _catch_up(self) -> None:
        """Tell what came before the link was ready only now, so that whoever hears of it can act at once."""
        untold, self._untold = self._untold, []
        self._post(untold)
        self._post((status, 0) for status in self._attempts.reconcile(_now()))

    def _post(self, told: Iterable[tuple[Status, int]]) -> None:
        for status, number in told:
            self._mailbox.post(status, number)

    def _fail_requests(self) -> None:
        while self._usage:
            answer = self._usage.popleft()
            if not answer.done():
                answer.set_exception(ConnectionError("the node supervisor went away"))

    async def _as_usage(self, used: Used | None, handle: Handle) -> Usage | None:
        if used is None:
            return None
        gpu = await asyncio.to_thread(self._gpus.used, handle["gpus"]) if "gpus" in handle else None
        return Usage(
            memory=used.memory,
            memory_peak=used.memory_peak,
            cpu_seconds=used.cpu_seconds,
            pids=used.pids,
            gpu_memory=gpu[0] if gpu else None,
            gpu_utilization=gpu[1] if gpu else None,
        )

    def _probed(self) -> dict[str, Any]:
        probed = dict(self._hello.isolation) if self._hello is not None else {}
        if probed.get("seccomp") is not True and (problem := filter_problem()) is not None:
            probed["seccomp"] = problem
        return probed

    def _start_supervisor(self) -> None:
        start_supervisor(
            str(self._node_dir),
            allow_root=os.geteuid() == 0,
            lease=leasing(self._settings),
            filter_program=filter_program(),
        )

    def _leases(self) -> bool:
        """Whether each job has a user of its own."""
        return self._isolation() == "sandbox" and self._probed().get("uid_lease") is True

    def _isolation(self) -> str:
        """What the settings ask for; `auto` is what the supervisor has seen to work."""
        if self._settings.isolation != "auto":
            return self._settings.isolation
        return "sandbox" if self._probed().get("bwrap") is True else "process"

    def _missing(self) -> tuple[str, ...]:
        """What is not isolated here, with the reason that the supervisor's probe gave."""
        probed, missing = self._probed(), []
        if self._isolation() == "process":
            sandbox = probed.get("bwrap")
            why = "set so by DAIS_LOCAL_ISOLATION" if sandbox is True else sandbox or "the supervisor has not said why"
            missing.append(f"jobs are not kept from each other's files, processes and network: {why}")
            if os.geteuid() == 0:
                missing.append("jobs run as root")
        elif os.geteuid() == 0 and not self._leases():
            why = probed.get("uid_lease", "the node supervisor is an older one; it gives way once nothing runs")
            missing.append(f"all jobs run as one user, {self._settings.job_uid}, and share its limits: {why}")
        if probed.get("cgroup") not in ("v1", "v2"):
            missing.append(
                f"memory is limited for each process alone, CPU and processes are not: {probed.get('cgroup')}"
            )
        if self._isolation() == "sandbox" and probed.get("seccomp") is not True:
            missing.append(f"jobs may make every system call: {probed.get('seccomp')}")
        return tuple(missing)


def _launch_frame(slots: bytes, bodies: Sequence[bytes]) -> bytes:
    return pack_body(b'{"op":"launch","slots":' + slots + b',"specs":[' + b",".join(bodies) + b"]}")


def _handle(spec: LaunchSpec) -> Handle:
    """What a restarted server needs: the id, and the GPUs to tell what they use."""
    return {"attempt_id": spec.attempt_id, **({"gpus": list(spec.gpus)} if spec.gpus else {})}


def _read_cursor(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    segment, _, offset = cursor.partition(":")
    if not (cursor.isascii() and segment.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{cursor!r} is no log cursor; use one that logs() gave, or None for the beginning")
    return int(segment), int(offset)


def _now() -> int:
    return time.time_ns() // 1000
