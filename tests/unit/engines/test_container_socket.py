"""Which right the server lacks on a daemon's socket, as the one is told who is to give it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dais.engines.container.daemon import Daemon, missing_right, unreachable
from dais.engines.container.problems import told_now
from tests.support.needs import UNPRIVILEGED, needs_root
from tests.support.places import open_place


@contextmanager
def ordinary_user() -> Iterator[None]:
    os.seteuid(UNPRIVILEGED)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_first_place_on_the_way_that_does_not_let_in_is_named() -> None:
    needs_root()
    with open_place() as place, socket.socket(socket.AF_UNIX) as listening:
        closed = Path(place) / "closed"
        closed.mkdir(mode=0o700)
        path = closed / "sock"
        listening.bind(str(path))
        path.chmod(0o600)
        with ordinary_user():
            assert missing_right(str(path)) == f"u:{UNPRIVILEGED}:x {closed}"
            assert f"setfacl -m u:{UNPRIVILEGED}:x {closed} " in unreachable(str(path))
        closed.chmod(0o711)
        with ordinary_user():
            assert missing_right(str(path)) == f"u:{UNPRIVILEGED}:rw {path}"
            assert missing_right(f"{closed}/none") == missing_right(f"{closed}/none/sock") == ""
            assert unreachable(f"{closed}/none").startswith(f"there is no {closed}/none")
        path.chmod(0o666)
        with ordinary_user():
            assert missing_right(str(path)) == ""


@pytest.mark.anyio
async def test_a_daemon_that_is_gone_is_told_by_its_socket(tmp_path: Path) -> None:
    daemon = Daemon(f"{tmp_path}/sock")
    try:
        with pytest.raises(ConnectionError) as problem, told_now("small"):
            await daemon.client.images.list()
    finally:
        await daemon.close()
    assert str(problem.value) == f"there is no {tmp_path}/sock: is the container daemon running?"
