"""A small blocking client of the node supervisor, and a fixture that starts real ones."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dais.engines.supervised.seccomp import filter_program
from dais.node import PROTOCOL, Leasing, connect, log_directory, read, start_supervisor

PATIENCE = 30.0
"""Seconds after which a test that still waits has failed."""
TEST_UID = 61_234
"""What containers of a root supervisor run as in these tests."""


class Closed(Exception):
    """The supervisor closed the connection."""


class Link:
    """Frames over one connection."""

    def __init__(self, node_dir: Path) -> None:
        self.sock = connect(str(node_dir))
        self._buffer = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    def close(self) -> None:
        self.sock.close()

    def send_raw(self, data: bytes) -> None:
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(data)

    def send(self, **message: Any) -> None:
        body = json.dumps(message).encode()
        self.send_raw(struct.pack(">I", len(body)) + body)

    def body(self, timeout: float = PATIENCE) -> bytes:
        """The next frame's body. Raises Closed, or TimeoutError."""
        deadline = time.monotonic() + timeout
        while True:
            if len(self._buffer) >= 4:
                (length,) = struct.unpack_from(">I", self._buffer)
                if len(self._buffer) >= 4 + length:
                    found = bytes(self._buffer[4 : 4 + length])
                    del self._buffer[: 4 + length]
                    return found
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self.sock.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self._buffer += data

    def until_closed(self) -> None:
        """Read until the supervisor closes the connection."""
        try:
            while True:
                self.body()
        except Closed:
            return

    def receive(self, timeout: float = PATIENCE) -> dict[str, Any]:
        document = json.loads(self.body(timeout))
        assert isinstance(document, dict)
        return document


class Control(Link):
    """A control connection: collects records as they come."""

    def __init__(self, node_dir: Path, *, hello: bool = True) -> None:
        super().__init__(node_dir)
        self.records: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}
        if hello:
            self.send(op="hello", protocol=PROTOCOL)
            self.hello = self.receive()

    def answer(self, op: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next message that is `op`; records on the way are kept."""
        while True:
            message = self.receive(timeout)
            if message["op"] == "records":
                self.records += message["records"]
            if message["op"] == op:
                return message

    def sync(self) -> None:
        """Until the supervisor has handled everything sent so far."""
        self.send(op="ping")
        self.answer("pong")

    def record(self, attempt_id: str, kind: str = "ended", timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait for a record of an attempt."""
        while True:
            for record in self.records:
                if record["attempt_id"] == attempt_id and record["kind"] == kind:
                    return record
            self.answer("records", timeout)

    def launch(self, *specs: dict[str, Any]) -> None:
        self.send(op="launch", specs=list(specs))

    def run(self, document: dict[str, Any]) -> dict[str, Any]:
        """Launch and wait for the end."""
        self.launch(document)
        return self.record(document["attempt_id"])


class ExecClient(Link):
    """A command inside a container."""

    def __init__(self, node_dir: Path, attempt_id: str, argv: list[str], **fields: Any) -> None:
        super().__init__(node_dir)
        message = {"op": "exec", "protocol": PROTOCOL, "attempt_id": attempt_id, "argv": argv, **fields}
        self.send(**message)
        self.stdout = bytearray()
        self.stderr = bytearray()
        kind, payload = self.frame()
        assert kind == 0
        self.ready: dict[str, Any] = json.loads(payload)

    def frame(self) -> tuple[int, bytes]:
        body = self.body()
        return body[0], body[1:]

    def put(self, kind: int, payload: bytes = b"") -> None:
        self.send_raw(struct.pack(">IB", len(payload) + 1, kind) + payload)

    def until(self, wanted: bytes) -> None:
        """Read until the output contains something."""
        while wanted not in self.stdout:
            assert self._take() is None, f"ended before {wanted!r}: {bytes(self.stdout)!r} {bytes(self.stderr)!r}"

    def result(self) -> dict[str, int]:
        """Read to the end; the exit."""
        while (result := self._take()) is None:
            pass
        return result

    def _take(self) -> dict[str, int] | None:
        kind, payload = self.frame()
        if kind == 1:
            self.stdout += payload
        elif kind == 2:
            self.stderr += payload
        else:
            result: dict[str, int] = json.loads(payload)
            return result
        return None


class Node:
    """One supervisor directory, and what a test does with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._links: list[Link] = []
        self._count = 0

    def start(self, python: str = sys.executable, **how: Any) -> Control:
        """Start a supervisor and connect to it."""
        self.begin(python, **how)
        return self.connect()

    def begin(
        self,
        python: str = sys.executable,
        *,
        filtering: bool = True,
        leasing: Leasing | None = None,
        apart: bool = False,
        allow_root: bool = False,
    ) -> None:
        """Start a supervisor; `apart`: for a server that is not root; `allow_root`: containers may stay root."""
        program = filter_program() if filtering else None
        lease = None if leasing is None else str(leasing)
        start_supervisor(
            str(self.directory), python, filter_program=program, lease=lease, apart=apart, allow_root=allow_root
        )

    def connect(self, *, hello: bool = True) -> Control:
        return until(lambda: self._try_connect(hello), "the supervisor listens")

    def _try_connect(self, hello: bool) -> Control | None:
        try:
            control = Control(self.directory, hello=hello)
        except (FileNotFoundError, ConnectionRefusedError, Closed):
            return None
        self._links.append(control)
        return control

    def exec(self, attempt_id: str, *argv: str, **fields: Any) -> ExecClient:
        client = ExecClient(self.directory, attempt_id, list(argv), **fields)
        self._links.append(client)
        return client

    def root(self, path: Path | str, *, remove: bool = False) -> dict[str, Any]:
        """Register a root directory, or forget it; the answer."""
        link = Link(self.directory)
        self._links.append(link)
        link.send(op="root", path=str(path), remove=remove)
        return link.receive()

    def spec(self, *argv: str, user: int = 0, **fields: Any) -> dict[str, Any]:
        """A launch spec with an id of its own; containers of a root supervisor run as user TEST_UID + `user`."""
        self._count += 1
        document = {
            "attempt_id": f"a{self._count}-{os.urandom(4).hex()}",
            "argv": list(argv),
            "env": {"PATH": "/usr/local/bin:/usr/bin:/bin"},
            "isolation": "process",
            **fields,
        }
        if os.geteuid() == 0:
            document.setdefault("uid", TEST_UID + user)
        return document

    def ended(self, control: Control) -> set[str]:
        """The attempts that have ended, as far as the supervisor has told."""
        control.sync()
        return {record["attempt_id"] for record in control.records if record["kind"] == "ended"}

    def log(self, attempt_id: str, stream: int | None = None) -> bytes:
        """The output of an attempt so far, of one stream or of all."""
        frames: list[tuple[int, int, bytes]] = []
        segment = offset = 0
        while True:
            found, segment, offset = read(log_directory(str(self.directory), attempt_id), segment, offset)
            if not found:
                return b"".join(data for _, kind, data in frames if stream is None or kind == stream)
            frames += found

    def wait_log(self, attempt_id: str, wanted: bytes) -> bytes:
        """Wait until an attempt has printed something; all its output."""
        return until(lambda: text if wanted in (text := self.log(attempt_id)) else None, f"{wanted!r} is printed")

    def pid(self) -> int:
        return int((self.directory / "supervisor.lock").read_text())

    def descriptors(self) -> int:
        """How many the supervisor has open, without those of control groups that are kept for other attempts."""
        opened = [str(fd.readlink()) for fd in Path(f"/proc/{self.pid()}/fd").iterdir()]
        return sum(not path.startswith("/sys/fs/cgroup/") for path in opened)

    def kill(self) -> None:
        """kill -9 of the supervisor; returns once it is dead."""
        pid = self.pid()
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        wait_gone(fd)

    def close(self) -> None:
        """End the supervisor with everything that it runs."""
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            control = Control(self.directory)
            self._links.append(control)
            fd = os.pidfd_open(control.hello["pid"])
            control.send(op="shutdown", kill=True)
            control.until_closed()
            wait_gone(fd)
        for link in self._links:
            link.close()


T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of a condition; fails after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    poll = select.poll()
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        poll.poll(5)
    return value


def wait_gone(pidfd: int) -> None:
    """Wait until a process has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(PATIENCE * 1000), "a process did not end"
    os.close(pidfd)


def processes_with(text: bytes) -> list[int]:
    """Every process whose command line or environment contains `text`, except this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text in (entry / "cmdline").read_bytes() or text in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def exec_helpers(node: Node) -> list[int]:
    """The processes that carry commands into a supervisor's containers."""
    supervisor = node.pid()
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    found = []
    for pid in children:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "dais-exec":
                found.append(int(pid))
    return found


def sleeping(mark: str) -> list[int]:
    """Processes `sleep` that have `mark` in their arguments."""
    found = []
    for pid in processes_with(mark.encode()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
                found.append(pid)
    return found


def cgroups_of(attempt_id: str) -> list[Path]:
    """Control groups that bear an attempt's name."""
    found = []
    for directory, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [Path(directory) / name for name in folders if name == attempt_id]
    return found


@pytest.fixture
def node() -> Iterator[Node]:
    """A supervisor directory of its own, not running yet; whatever it starts is ended with the test."""
    directory = Path(tempfile.mkdtemp(prefix="dais-node-"))
    directory.chmod(0o711)
    made = Node(directory / "node")
    yield made
    made.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def control(node: Node) -> Control:
    """A running supervisor and a control connection to it."""
    return node.start()
