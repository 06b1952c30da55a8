"""What is attacked: a data directory with things worth having, a real engine, and a job that keeps a secret."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from dais.compute import ComputeSettings
from dais.compute.jobs.types import Work
from dais.compute.launch import Staged, launch_spec
from dais.engines.contract import Bind, Handle, LaunchSpec, Phase, Slots
from dais.engines.local import LocalEngine, LocalSettings, data_owner, filter_program, leasing
from dais.kit.ids import new_id
from dais.node import launcher, start_supervisor
from dais.wire.spec import JobSpec, Resources
from tests.attacks.catalogue import Attack
from tests.support.engines import Watcher, drain, output, printed, read_log, watching
from tests.support.supervisor import sleeping

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
LOG_LIMIT = 256 << 10
VARIABLE = "DAIS_ATTACKS_SECRET_OF_THE_SERVER"
PROGRAMS = "ATTACK_PROGRAMS"
"""Where whoever is root has laid programs with a setuid bit and with capabilities."""
LIMITS: dict[str, Any] = {"memory": 64 * MIB, "shm": 8 * MIB, "open_files": 2048, "pids": 40, "cpu": 1.0}
NARROW: dict[str, dict[str, Any]] = {"cpu_hog": {"cpu": 0.05}, "inode_bomb": {"memory": 24 * MIB}}
KILLED = ("out-of-memory", "signal")
LOOKS = 12
"""How often a mount is tried while its source is being swapped."""
MOST_LOOKS = 10 * LOOKS
"""How often where it must succeed at last: it does so only where the swapping and the mount run in the same moment."""
COMMANDS = 12
"""How many are carried into a job that lies in wait for them."""


_starting = threading.Lock()


def _text() -> str:
    """What a job is given: both files as one program, which knows nothing of this project."""
    parts = [Path(__file__).with_name(name).read_text().splitlines() for name in ("inside.py", "bombs.py")]
    rest = [line for line in parts[1] if not line.startswith(("from __future__", "from tests."))]
    return "\n".join(parts[0] + rest)


INSIDE = _text()


@dataclass
class Outcome:
    """`escaped` says what the attack reached; None when it was stopped. `ran`: it came to its end, or was killed."""

    escaped: str | None
    ran: bool
    said: str
    isolation: list[str] = field(default_factory=list)


class Engine(LocalEngine):
    """The local engine whose supervisor lacks some protections."""

    def __init__(self, node_dir: Path, settings: LocalSettings, without: tuple[str, ...], *, apart: bool) -> None:
        super().__init__(node_dir, settings)
        self._without = without
        self._apart = apart

    def _start(self) -> None:
        if self._apart:  # as for a server that is not root, which is what root's `dais up` starts
            lease = leasing(self._settings)
            start_supervisor(str(self._node_dir), lease=lease, apart=True, filter_program=filter_program())
        else:
            super()._start_supervisor()

    def _start_supervisor(self) -> None:
        if not self._without:
            with _starting:
                self._start()
            return
        code = f"import sys; sys.path[:0] = [{str(ROOT / 'src')!r}, {str(ROOT)!r}]; "
        code += "from tests.attacks.weaken import main; main()"
        with _starting:  # several start at once, in threads
            strong = launcher.supervisor_command
            launcher.supervisor_command = lambda python=sys.executable: [
                python, "-I", "-S", "-c", code, "--without", ",".join(self._without)
            ]  # fmt: skip
            try:
                self._start()
            finally:
                launcher.supervisor_command = strong


class Fortress:
    """One engine of a level in a directory of its own, with a victim inside."""

    def __init__(self, level: str, directory: Path, without: tuple[str, ...] = ()) -> None:
        self.level = level
        self.directory = directory
        self.data = directory / "data"
        self._looks = MOST_LOOKS if without else LOOKS
        mode = "process" if level == "process" else "sandbox"
        if level == "shared":
            without = (*without, "own_user")
        self._settings = settings = LocalSettings(isolation=mode)  # type: ignore[arg-type]
        self._apart = level == "strong" and "own_user" not in without
        self.engine = Engine(self.data / "node", settings, without, apart=self._apart)
        self.programs = os.environ.get(PROGRAMS, "")
        self._held = contextlib.AsyncExitStack()
        self._mark = (secrets.token_hex(8), secrets.token_hex(8))
        self._secret = secrets.token_hex(16)
        self._known: dict[str, Any] = {}

    async def __aenter__(self) -> Fortress:
        try:
            await self._build()
        except BaseException:
            await self._held.aclose()
            raise
        return self

    async def _build(self) -> None:
        for name in ("jobs", "folders", "host/bin", "node"):
            (self.data / name).mkdir(parents=True)
        self.data.chmod(0o700)
        if self._apart:  # as root lays it out, for a server that then owns the rest
            uid, gid = data_owner(self._settings)
            for path in (self.data, self.data / "node"):
                os.chown(path, 0, gid)
                path.chmod(0o1770 if path == self.data else 0o2750)
            for name in ("jobs", "folders", "host", "host/bin"):
                os.chown(self.data / name, uid, gid)
        (self.directory / "forbidden").mkdir()
        for path in (self.directory / "public", self.directory / "forbidden" / "marker"):
            path.write_text("of the host")
        for name in ("dais.db", "key", "token"):
            (self.data / name).write_text(self._secret)
            (self.data / name).chmod(0o600)
        os.environ[VARIABLE] = self._secret
        await self.engine.start()
        self._held.push_async_callback(self.engine.close)
        self._held.push_async_callback(self._end)
        self.host = await self.engine.host_tools()
        (self.data / "host/bin/python3").symlink_to(self.host.interpreter)
        for name in ("own", "read-only"):
            self._make(self.data / "folders" / name)
        self.watcher: Watcher = await self._held.enter_async_context(watching(self.engine))
        await self._look_around()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.aclose()

    async def _end(self) -> None:
        with contextlib.suppress(OSError):
            await self.engine.shutdown(kill=True)

    async def _look_around(self) -> None:
        """Start the victim, and write down what an attacker is told."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._held.callback(listener.close)
        key = random.SystemRandom().randrange(1, 1 << 30)
        libc = ctypes.CDLL(None)
        segment = libc.shmget(key, 4096, 0o1666)
        self._held.callback(libc.shmctl, segment, 0, None)
        abstract = f"dais-attacks-{self._mark[0]}"
        victim = self.spec("victim", {"listen": "socket", "abstract": abstract, "secret": self._secret}, victim=True)
        [handle] = await self.engine.launch([victim])
        await printed(self.engine, handle, b"ready")
        work = self.data / "jobs" / victim.attempt_id / "work"
        private = [self.data / name for name in ("dais.db", "key", "token", "node/journal")]
        self._known = {
            "mark": self._mark,
            "secret": self._secret,
            "victims": _with_argument("".join(self._mark)),
            "supervisor": self.engine.supervisor_pid,
            "public": str(self.directory / "public"),
            "private": [*map(str, private), str(work / "secret")],
            "forbidden": str(self.directory / "forbidden"),
            "control": str(self.data / "node" / "supervisor.sock"),
            "sockets": [str(work / "socket")],
            "abstract": abstract,
            "port": listener.getsockname()[1],
            "ipc_key": key,
            "host": socket.gethostname(),
            "above": _groups_of(self.engine.supervisor_pid),
            "server_variable": VARIABLE,
            "programs": self.programs if self.level == "process" else "/data/programs",
            "outlive": f"{random.SystemRandom().uniform(1e5, 1e6):.6f}",
        }

    def _make(self, path: Path) -> Path:
        """A directory as the server makes them for jobs."""
        path.mkdir(parents=True)
        if self.host.uid is not None:
            os.chown(path, self.host.uid, self.host.uid if self.host.gid is None else self.host.gid)
        return path

    def spec(self, name: str, known: dict[str, Any], *, pty: bool = False, victim: bool = False) -> LaunchSpec:
        """The launch of a job that runs a function of `inside.py`, as the server would make it."""
        limits = {**LIMITS, **NARROW.get(name, {})}
        run_id = new_id()
        folders = self.data / "folders"
        mounts = [
            Bind(source=str(folders / "own"), target="/data/own", read_only=False, exact=True),
            Bind(source=str(folders / "read-only"), target="/data/read-only", exact=True),
        ]
        if self.programs:
            mounts.append(Bind(source=self.programs, target="/data/programs"))
        if name == "look":
            mounts.append(Bind(source=str(folders / "own" / "mounted"), target="/data/look", exact=True))
        said = json.dumps({**known, **limits, "attempt": run_id})
        job = JobSpec(
            command=("python3", "-I", "-S", "-c", INSIDE, name, said, *(["".join(self._mark)] if victim else [])),
            environment={"SECRET": self._secret} if victim else {},
            resources=Resources(cpu=limits["cpu"], mem=limits["memory"], shm=limits["shm"]),
            max_run_time=60,
            pty=pty,
        )
        work = Work(
            run_id=run_id, run_index=0, job_id=new_id(), job_name=None, job_number=1, group="default", node="here",
            state="PREPARING", spec=job, mounts=(), image="host", root=None, python=None, organization_id=new_id(),
            account_id=new_id(), account="local.eve", user="eve",
        )  # fmt: skip
        staged = Staged(
            work=self._make(self.data / "jobs" / run_id / "work"), tools=self.data / "host/bin", mounts=tuple(mounts)
        )
        spec = launch_spec(work, staged, self.host, ComputeSettings(log_limit=LOG_LIMIT))
        narrowed = msgspec.structs.replace(spec.limits, open_files=limits["open_files"], pids=limits["pids"])
        return msgspec.structs.replace(spec, limits=narrowed, slots=Slots())  # none waits for another

    async def suffer(self, attack: Attack) -> Outcome:
        """Let it happen."""
        match attack.name:
            case "swap":
                return await self._while(attack, b"swapping", "look", self._looks)
            case "look_into_helpers":
                return await self._carry_into(attack)
            case "exhaust":
                return await self._while(attack, b"holding", "take_one", 1)
            case _:
                return await self._run(attack.name, pty=attack.pty)

    async def _run(self, name: str, *, pty: bool = False) -> Outcome:
        spec = self.spec(name, self._known, pty=pty)
        [handle] = await self.engine.launch([spec])
        return await self._outcome(name, spec.attempt_id, handle)

    async def _outcome(self, name: str, attempt_id: str, handle: Handle) -> Outcome:
        end = await self.watcher.over(attempt_id)
        said = output(await read_log(self.engine, handle)).decode(errors="replace")
        escaped = said.partition("ESCAPED: ")[2].strip() or None
        ran = escaped is not None or "HELD" in said or end.reason in KILLED or end.log_truncated
        if name == "log_bomb" and not end.log_truncated:
            escaped = f"printed {end.log_bytes} bytes"
        if name == "outlive" and sleeping(self._known["outlive"]):
            escaped = "left a process behind"
        failed = end.phase is Phase.LOST or end.reason == "launch-failed"
        told = f"{end.reason} {end.detail or ''} {said[-2000:]}"
        return Outcome(escaped, ran and not failed, told, list(end.isolation))

    async def enter(self, names: Sequence[str]) -> dict[str, Outcome]:
        """The same from a command that is carried into a running job."""
        spec = self.spec("idle", self._known)
        [handle] = await self.engine.launch([spec])
        await printed(self.engine, handle, b"idle")
        found = {}
        for name in names:
            said = json.dumps({**self._known, **LIMITS, "attempt": spec.attempt_id})
            argv = ("python3", "-I", "-S", "-c", INSIDE, name, said)
            stream = await self.engine.exec(handle, argv, env=spec.env, workdir=None, pty=None)
            out, errors, code = await drain(stream)
            await stream.close()
            escaped = out.decode().partition("ESCAPED: ")[2].strip() or None
            told = f"{code} {out.decode()} {errors.decode()}"
            found[name] = Outcome(escaped, escaped is not None or b"HELD" in out, told)
        await self.engine.stop(handle, grace=0, reason="enough")
        await self.watcher.over(spec.attempt_id)
        return found

    async def _carry_into(self, attack: Attack) -> Outcome:
        """An attack on those who carry commands into the job that makes it."""
        spec = self.spec(attack.name, self._known)
        [handle] = await self.engine.launch([spec])
        await printed(self.engine, handle, b"looking")
        with contextlib.suppress(ConnectionError, LookupError):  # it ends when it has got through
            for script in (*(["sleep 0.05"] * COMMANDS), ": > stop"):
                stream = await self.engine.exec(handle, ("/bin/sh", "-c", script), env=spec.env, workdir=None, pty=None)
                await drain(stream)
                await stream.close()
        return await self._outcome(attack.name, spec.attempt_id, handle)

    async def _while(self, attack: Attack, begun: bytes, name: str, times: int) -> Outcome:
        """An attack that goes on while other jobs find out whether it works, so many of them or until one has."""
        spec = self.spec(attack.name, self._known)
        [handle] = await self.engine.launch([spec])
        await printed(self.engine, handle, begun)
        outcomes: list[Outcome] = []
        while len(outcomes) < times and not any(one.escaped for one in outcomes):
            outcomes += await asyncio.gather(*(self._run(name) for _ in range(min(times, LOOKS))))
        await self.engine.stop(handle, grace=0, reason="enough")
        end = await self.watcher.over(spec.attempt_id)
        escaped = next((one.escaped for one in outcomes if one.escaped), None)
        said = "; ".join(one.said for one in outcomes)
        return Outcome(escaped, any(one.ran for one in outcomes) or name == "look", said, list(end.isolation))


def _groups_of(pid: int | None) -> list[str]:
    """The control groups that the supervisor is in, without the topmost, which tells nothing."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return sorted({path for line in lines if (path := line.split(":", 2)[2]) != "/"})


def _with_argument(text: str) -> list[int]:
    """Processes that have an argument, whoever's they are."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
