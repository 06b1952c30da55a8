"""What a service manager is told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.app.service import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and the value of NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@dais-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        sock.settimeout(10)
        yield sock, name


def test_ready_stopping_and_the_watchdog_are_told(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid()), "OTHER": "1"}
    told = ServiceManager(environ)
    assert environ == {"OTHER": "1"}
    told.ready("at http://localhost:1")
    assert sock.recv(4096).decode().splitlines() == [
        "READY=1",
        "STATUS=at http://localhost:1",
    ]
    told.stopping()
    assert sock.recv(4096).startswith(b"STOPPING=1\n")

    async def turn() -> None:
        task = asyncio.create_task(told.keep_alive())
        for _ in range(3):
            assert await asyncio.to_thread(sock.recv, 4096) == b"WATCHDOG=1"
        task.cancel()

    asyncio.run(turn())


def test_a_watchdog_of_another_process_and_no_manager_at_all_are_let_alone(tmp_path: Path) -> None:
    other = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "9", "WATCHDOG_PID": "4194304"})
    assert other.watchdog_seconds == 0
    other.ready("nobody listens")  # a warning, no failure
    nobody = ServiceManager({})
    nobody.stopping()
    asyncio.run(asyncio.wait_for(nobody.keep_alive(), 10))
