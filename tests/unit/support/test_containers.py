"""The throw-away daemons of the tests leave nothing behind, whatever becomes of them."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from tests.support.containers import IMAGE, Daemons


@pytest.mark.parametrize("kind", ["docker", "podman"])
def test_a_daemon_that_does_not_come_back_leaves_no_container(kind: str) -> None:
    daemons = Daemons()
    try:
        daemon = daemons.make(kind)
        limits = [{"Name": name, "Soft": 1024, "Hard": 1024} for name in ("nofile", "nproc")]
        asked = {"Image": IMAGE, "Cmd": ["sleep", "3600"], "HostConfig": {"Ulimits": limits, "NetworkMode": "none"}}
        made = daemon.json("POST", "/containers/create", asked)
        assert daemon.call("POST", f"/containers/{made['Id']}/start")[0] == 204
        running = os.pidfd_open(daemon.inspect(made["Id"])["State"]["Pid"])
        daemon.kill()
        assert not select.select([running], [], [], 0)[0], "it ended with the daemon, and proves nothing"
    finally:
        daemons.close()
    assert select.select([running], [], [], 0)[0], "the container outlived its daemon's end"
    os.close(running)
    assert str(daemon.directory) not in Path("/proc/self/mounts").read_text()
