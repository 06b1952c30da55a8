"""A Dais of one's own, brought up and down by its commands as whoever operates it would."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dais.engines.supervised.connector import open_socket
from dais.engines.supervised.frames import pack, read_message
from dais.node import PROTOCOL

PATIENCE = 60.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Operated:
    """A data and a configuration directory. What was started on them is ended by `close`.

    `python` runs the commands, with the sources unless its `environment` has no PYTHONPATH.
    """

    home: Path
    python: str = sys.executable
    data_dir: Path = field(init=False)
    config_dir: Path = field(init=False)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.data_dir = self.home / "data"
        self.config_dir = self.home / "config"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DAIS_")}
        self.environment = kept | {
            "PYTHONPATH": str(ROOT / "src"),
            "DAIS_DATA_DIR": str(self.data_dir),
            "DAIS_CONFIG_DIR": str(self.config_dir),
            "LOGNAME": "ann",
        }

    def dais(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [self.python, "-m", "dais", *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def up(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """Bring it up in the background on a free port; what it said of itself."""
        result = self.dais("up", "--detach", "--json", "--port", "0", *arguments, **environment)
        assert result.returncode == 0, result.stderr
        started: dict[str, Any] = json.loads(result.stdout)
        return started

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it in the foreground."""
        return subprocess.Popen(
            [self.python, "-m", "dais", "up", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> tuple[int, dict[str, Any]]:
        """Exit code and document of `dais status --json`."""
        result = self.dais("status", "--json")
        return result.returncode, json.loads(result.stdout)

    def kill(self) -> None:
        """End the server as a power failure would."""
        watched = os.pidfd_open(int(self.status()[1]["pid"]))
        try:
            signal.pidfd_send_signal(watched, signal.SIGKILL)
            assert select.select([watched], [], [], PATIENCE)[0], "the server has not ended"
        finally:
            os.close(watched)

    def close(self) -> None:
        """Stop the server and the supervisor, with whatever it runs."""
        self.dais("down")
        if (self.data_dir / "node" / "supervisor.sock").exists():
            asyncio.run(_end_supervisor(self.data_dir / "node"))


async def _end_supervisor(node: Path) -> None:
    try:
        reader, writer = await open_socket(node)
    except OSError:
        return
    try:
        writer.write(pack({"op": "hello", "protocol": PROTOCOL}) + pack({"op": "shutdown", "kill": True}))
        async with asyncio.timeout(PATIENCE):
            while await read_message(reader) is not None:
                pass
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[Operated]:
    made = Operated(tmp_path)
    yield made
    made.close()
