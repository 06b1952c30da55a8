"""Throw-away container daemons: Docker and Podman, on sockets and directories of their own, with a small image."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dais.engines.container import ContainerEngine, ContainerOptions
from dais.engines.container.kit import RUNNER
from dais.engines.contract import Bind, Engine, LaunchSpec
from tests.support.engines import PATIENCE, Harness, Step, shell
from tests.support.needs import needs_program, needs_root
from tests.support.processes import alive, every_pid, processes_with, root_mount, unmount_below

IMAGE = "small:latest"
"""Busybox and nothing else: no C library, no Python."""
USER = 20_001
"""Whom jobs run as in these tests; nobody of that number is on the machine."""


def small_image() -> bytes:
    """A root file system with busybox, as a tar archive."""
    busybox = needs_program("busybox", "busybox-static")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True, timeout=30).stdout.split()
    content = busybox.read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("home", 0o755), ("tmp", 0o1777), ("var", 0o777)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = len(content), 0o755
        archive.addfile(program, io.BytesIO(content))
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
    return buffer.getvalue()


class ContainerDaemon(ABC):
    """A daemon that the tests own: may be killed and started again."""

    kind: Any
    insecure: Sequence[str] = ()
    """Registries that are spoken to by plain HTTP; for Docker all of 127.0.0.0/8 are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = False
        self._log = (directory / "log").open("ab")

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _processes(self) -> list[int]:
        """Everything that it has started, beside the containers' own processes."""

    def _contained(self) -> list[int]:
        """What runs in its containers: whose root lies in its directory, whether or not it answers."""
        return [pid for pid in every_pid() if f"{self.directory}/" in root_mount(pid)]

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start it, and wait until it answers. Skips where it does not the first time; later that is a failure."""
        self.socket.unlink(missing_ok=True)
        self._forget_dead()
        self._process = subprocess.Popen(
            self._command(),
            stdout=self._log,
            stderr=self._log,
            env=self._environment(),
            cwd=self.directory,  # Podman leaves a file where it works when memory runs out
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/_ping")[0] == 200:
                    self._answered = True
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = " / ".join((self.directory / "log").read_text(errors="replace").splitlines()[-5:])
                assert not self._answered, f"{self.kind} does not start again: {words}"
                pytest.skip(f"needs a {self.kind} that starts here: {words}")
            time.sleep(0.05)

    def _forget_dead(self) -> None:
        """Remove what one that was killed has left behind and would be taken for one that runs."""
        (self.directory / "pid").unlink(missing_ok=True)

    def kill(self) -> None:
        """KILL the daemon alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE)

    def stop(self) -> None:
        """End it and everything that it runs."""
        if self._process is None:
            return
        self._remove_containers()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self._kill_all([*self._processes(), *self._contained()])  # also where it was dead, and removed nothing
        self._log.close()

    def crash(self) -> None:
        """As if the machine went down and came back: everything is killed, and the daemon starts anew."""
        self.kill()
        self._kill_all([*self._processes(), *self._contained()])
        self._forget_state()
        self.start()

    @abstractmethod
    def _volatile(self) -> Path:
        """What a machine that goes down forgets."""

    def _forget_state(self) -> None:
        unmount_below(self._volatile())
        shutil.rmtree(self._volatile(), ignore_errors=True)

    def _kill_all(self, pids: list[int]) -> None:
        for pid in pids:
            if pid > 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while any(alive(pid) for pid in pids if pid > 1) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _remove_containers(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for container in self.json("GET", "/containers/json?all=true") or ():
                self.call("DELETE", f"/containers/{container['Id']}?force=true&v=true")

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = self.json("GET", f"/containers/{container}/json")
        return found

    def containers(self, installation: str = "") -> list[dict[str, Any]]:
        """All of them, or those of one installation."""
        found = self.json("GET", "/containers/json?all=true") or []
        return [c for c in found if not installation or c["Labels"].get("dais.installation") == installation]

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, content = self.call(method, path, None if body is None else json.dumps(body).encode())
        if status >= 400:
            raise OSError(f"{method} {path}: {status} {content.decode(errors='replace')}")
        return json.loads(content) if content.strip() else None

    def call(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """One request to the API; status and content."""
        connection = http.client.HTTPConnection("daemon", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(PATIENCE)
        try:
            connection.sock.connect(str(self.socket))
            connection.request(method, f"/v1.41{path}", body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def load_image(self, archive: bytes, name: str = IMAGE, labels: Mapping[str, str] | None = None) -> None:
        """Make an image of a root file system."""
        repository, _, tag = name.partition(":")
        changes = [("changes", f"LABEL {key}={value}") for key, value in (labels or {}).items()]
        query = urlencode([("fromSrc", "-"), ("repo", repository), ("tag", tag), *changes])
        status, content = self.call("POST", f"/images/create?{query}", archive, "application/x-tar")
        assert status == 200, content


class Dockerd(ContainerDaemon):
    kind = "docker"

    def __init__(self, directory: Path, *flags: str) -> None:
        super().__init__(directory)
        self._flags = flags

    def _command(self) -> list[str]:
        d = self.directory
        places = ["--data-root", f"{d}/data", "--exec-root", f"{d}/exec", "-p", f"{d}/pid", "-H", f"unix://{d}/sock"]
        alone = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--config-file", f"{d}/none.json"]
        (d / "none.json").write_text("{}")
        return ["dockerd", *places, *alone, *self._flags]

    def _forget_dead(self) -> None:
        super()._forget_dead()
        # Also one that nobody has waited for yet, or whose number another process has now.
        file = self.directory / "exec/containerd/containerd.pid"
        if file.exists():
            pid = int(file.read_text())
            if not alive(pid) or pid not in self._processes():
                file.unlink()

    def _processes(self) -> list[int]:
        return processes_with(f"{self.directory}/exec")

    def _volatile(self) -> Path:
        return self.directory / "exec"


class PodmanService(ContainerDaemon):
    kind = "podman"

    def _command(self) -> list[str]:
        return [*self.podman(), "system", "service", "--time=0", f"unix://{self.socket}"]

    def podman(self) -> list[str]:
        d = self.directory
        return ["podman", "--root", f"{d}/root", "--runroot", f"{d}/run", "--tmpdir", f"{d}/tmp"]

    def _environment(self) -> dict[str, str]:
        config = self.directory / "containers.conf"
        config.write_text('[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\nevents_logger="file"\n')
        registries = self.directory / "registries.conf"
        plain = "".join(f'[[registry]]\nlocation="{host}"\ninsecure=true\n' for host in self.insecure)
        registries.write_text(plain)
        scratch = self.directory / "scratch"
        scratch.mkdir(exist_ok=True)
        files = {"CONTAINERS_CONF": str(config), "CONTAINERS_REGISTRIES_CONF": str(registries)}
        return {**os.environ, **files, "TMPDIR": str(scratch)}

    def _processes(self) -> list[int]:
        return processes_with(f"{self.directory}/run")

    def _volatile(self) -> Path:
        return self.directory / "tmp"


class Daemons:
    """The daemons of a test session: each is started when it is first asked for."""

    def __init__(self) -> None:
        self._started: dict[str, ContainerDaemon] = {}
        self._directories: list[str] = []

    def get(self, kind: str) -> ContainerDaemon:
        """A running daemon with the small image. Skips where there is none."""
        found = self._started.get(kind)
        if found is None:
            found = self._started[kind] = self.make(kind)
        return found

    def make(self, kind: str, *flags: str, insecure: Sequence[str] = ()) -> ContainerDaemon:
        """A daemon of one's own; it ends with the session at the latest."""
        needs_root()
        needs_program("runc")
        needs_program({"docker": "dockerd", "podman": "podman"}[kind], {"docker": "docker.io"}.get(kind))
        archive = small_image()
        # Not below pytest's directory: paths of sockets are short, and overlays do not lie on each other.
        directory = Path(tempfile.mkdtemp(prefix=f"dais-{kind}-", dir="/var/tmp"))
        self._directories.append(str(directory))
        made = Dockerd(directory, *flags) if kind == "docker" else PodmanService(directory)
        made.insecure = insecure
        self._started[f"{kind} {directory}"] = made
        made.start()
        made.load_image(archive)
        return made

    def close(self) -> None:
        with contextlib.ExitStack() as stack:  # each, whatever becomes of the others
            for daemon in set(self._started.values()):
                stack.callback(daemon.stop)
        for directory in self._directories:
            unmount_below(Path(directory))
            shutil.rmtree(directory, ignore_errors=True)


ECHO = """
import os, socket, sys, threading
def answer(one):
    while data := one.recv(65536):
        one.sendall(data)
    one.close()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
if os.fork():
    os._exit(0)
while True:
    threading.Thread(target=answer, args=(server.accept()[0],)).start()
"""
"""Listens, and goes on in the background: what is sent comes back. For the Python of the runner kit."""
PYTHON = (f"{RUNNER}/ld.so", "--library-path", f"{RUNNER}/lib/shared", f"{RUNNER}/bin/python3", "-I", "-S", "-c")


def echo(port: str) -> Step:
    return (*PYTHON, ECHO, port)


class ContainerHarness(Harness):
    """The container engine on a daemon that other tests use too, with a directory of its own."""

    def __init__(self, daemon: ContainerDaemon, directory: Path, **options: Any) -> None:
        self.name = daemon.kind
        self.daemon = daemon
        self.directory = directory / "engine"
        self.options = ContainerOptions(socket=str(daemon.socket), **options)
        self.engine: ContainerEngine | None = None

    def make(self) -> ContainerEngine:
        kit = self.daemon.directory / "runner"
        self.engine = ContainerEngine(self.daemon.kind, self.directory, self.options, runner=kit)
        return self.engine

    async def open(self) -> Engine:
        engine = self.make()
        await engine.start()
        return engine

    @property
    def installation(self) -> str:
        return (self.directory / "installation").read_text()

    def argv(self, *steps: Step) -> tuple[str, ...]:
        return shell(*(echo(step[1]) if step[0] == "echo" else step for step in steps))

    def spec(self, *steps: Step, **fields: Any) -> LaunchSpec:
        user = {"uid": USER, "gid": USER, "image": IMAGE, "isolation": "container"}
        return super().spec(*steps, **{**user, **fields})

    def unstartable(self) -> dict[str, Any]:
        return {"binds": (Bind(source=str(self.directory / "absent"), target="/mnt/absent"),)}

    async def pass_time(self, seconds: float) -> None:
        pass

    async def crash(self) -> None:
        await asyncio.to_thread(self.daemon.crash)

    async def close(self) -> None:
        if not (self.directory / "installation").exists():
            return
        for container in self.daemon.containers(self.installation):
            self.daemon.call("DELETE", f"/containers/{container['Id']}?force=true&v=true")
        shutil.rmtree(f"/dev/shm/dais-{self.installation}", ignore_errors=True)
