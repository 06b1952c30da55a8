"""Connections to ports inside containers: networks, addresses, hostile frames. The suite of engines has the rest."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dais.node import PROTOCOL
from tests.support.engines import ECHO
from tests.support.needs import needs_bwrap, needs_program, needs_root
from tests.support.supervisor import PATIENCE, TEST_UID, Closed, Control, Link, Node, until

PORT = 4711
_LISTEN = "import socket,sys,time; {} ; print('up', flush=True); time.sleep(1000)"
SIX = _LISTEN.format(f"s=socket.create_server(('::1', {PORT}), family=socket.AF_INET6)")
FULL = _LISTEN.format(
    f"s=socket.create_server(('127.0.0.1', {PORT}), backlog=0); "
    f"c=[socket.socket() for _ in range(8)]; [(x.setblocking(False), x.connect_ex(('127.0.0.1', {PORT}))) for x in c]"
)


def dial(node: Node, attempt_id: str, port: int) -> socket.socket | dict[str, Any]:
    """The socket, or the answer without one."""
    link = Link(node.directory)
    try:
        link.send(op="dial", protocol=PROTOCOL, attempt_id=attempt_id, port=port)
        link.sock.settimeout(PATIENCE)
        body, fds, _, _ = socket.recv_fds(link.sock, 1 << 16, 1)
        answer = json.loads(body[4:])
        assert struct.unpack(">I", body[:4])[0] == len(body) - 4
        assert (answer["op"] == "dialled") == bool(fds)
        return socket.socket(fileno=fds[0]) if fds else dict(answer)
    finally:
        link.close()


def echoes(made: socket.socket | dict[str, Any]) -> bool:
    assert isinstance(made, socket.socket), made
    with made:
        made.settimeout(PATIENCE)
        made.sendall(b"hello")
        made.shutdown(socket.SHUT_WR)
        return made.recv(100) == b"hello" and made.recv(100) == b""


def serving(node: Node, control: Control, script: str, program: tuple[str, ...], **fields: Any) -> str:
    """A container that runs a script until it is ended, once that has said that it is up."""
    document = node.spec(*program, script, *fields.pop("rest", ()), **fields)
    control.launch(document)
    node.wait_log(document["attempt_id"], b"up")
    return str(document["attempt_id"])


def echoing(node: Node, control: Control, **fields: Any) -> str:
    needs_program("perl")
    shell = f"perl -MIO::Socket::INET -e '{ECHO}' {PORT}; echo up; while :; do sleep 1000; done"
    return serving(node, control, shell, ("/bin/sh", "-c"), **fields)


def opened(node: Node) -> int:
    """How many descriptors the supervisor has; -1 when one vanished while they were counted."""
    try:
        return node.descriptors()
    except FileNotFoundError:
        return -1


def test_a_supervisor_without_privileges_enters_the_sandboxes_that_are_its_own() -> None:
    needs_root()
    needs_bwrap()
    needs_program("setpriv")
    directory = Path(tempfile.mkdtemp(prefix="dais-node-"))
    python = directory / "python"
    python.write_text(
        f'#!/bin/sh\nexec setpriv --reuid {TEST_UID} --regid {TEST_UID} --clear-groups {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    for path in (directory, directory / "node"):
        path.mkdir(exist_ok=True)
        os.chown(path, TEST_UID, TEST_UID)
    node = Node(directory / "node")
    try:
        control = node.start(str(python))
        assert Path(f"/proc/{node.pid()}").stat().st_uid == TEST_UID
        running = echoing(node, control, isolation="sandbox")
        assert echoes(dial(node, running, PORT))
        answer = dial(node, running, PORT + 1)
        assert isinstance(answer, dict)
        assert answer["code"] == "refused"
    finally:
        node.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_a_program_that_knows_ipv6_alone_is_reached(node: Node, control: Control) -> None:
    needs_bwrap()
    running = serving(node, control, SIX, ("/usr/bin/python3", "-c"), isolation="sandbox")
    made = dial(node, running, PORT)
    assert isinstance(made, socket.socket)
    assert made.family == socket.AF_INET6
    made.close()


def test_a_sandbox_with_the_machine_s_network_is_no_way_to_its_services(node: Node, control: Control) -> None:
    needs_bwrap()
    running = echoing(node, control, isolation="sandbox", network="host")
    assert echoes(dial(node, running, PORT))
    with socket.create_server(("127.0.0.1", 0)) as of_the_host:
        answer = dial(node, running, of_the_host.getsockname()[1])
    assert isinstance(answer, dict)
    assert answer["code"] == "refused"


def test_a_client_that_goes_away_leaves_nothing(node: Node, control: Control) -> None:
    """Also where the connection does not come about: the queue of what listens there is full."""
    needs_bwrap()
    running = serving(node, control, FULL, ("/usr/bin/python3", "-c"), isolation="sandbox")
    control.sync()
    before = node.descriptors()
    links = [Link(node.directory) for _ in range(20)]
    for link in links:
        link.send(op="dial", protocol=PROTOCOL, attempt_id=running, port=PORT)
    until(lambda: opened(node) >= before + 20, "they are being connected")
    control.sync()
    for link in links:
        link.close()
    until(lambda: opened(node) == before, "all is given back")


def test_a_container_that_is_just_starting_is_waited_for(node: Node, control: Control) -> None:
    needs_bwrap()
    document = node.spec("/bin/sleep", "1000", isolation="sandbox")
    control.launch(document)
    answer = dial(node, document["attempt_id"], PORT)
    assert isinstance(answer, dict)
    assert answer["code"] == "refused"


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[tuple[Node, Control, str]]:
    """A supervisor with a container, for many hostile clients."""
    directory = Path(tempfile.mkdtemp(prefix="dais-node-"))
    directory.chmod(0o711)
    node = Node(directory / "node")
    control = node.start()
    document = node.spec("/bin/sleep", "1000")
    control.launch(document)
    control.record(document["attempt_id"], "started")
    yield node, control, document["attempt_id"]
    node.close()
    shutil.rmtree(directory, ignore_errors=True)


_texts = st.text("a/.\0é{-", max_size=8)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_fields = ("attempt_id", "port", "argv", "env", "workdir", "pty", "protocol")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    op=st.sampled_from(["dial", "exec"]),
    given_id=st.booleans(),
    fields=st.dictionaries(st.sampled_from(_fields), _values, max_size=4),
    after=st.binary(max_size=50),
)
def test_any_first_frame_is_answered_or_refused_and_the_supervisor_goes_on(
    fuzzed: tuple[Node, Control, str], op: str, given_id: bool, fields: dict[str, Any], after: bytes
) -> None:
    node, control, running = fuzzed
    known = {"attempt_id": running} if given_id else {}
    with contextlib.closing(Link(node.directory)) as link:
        link.send(**{"op": op, "protocol": PROTOCOL, "argv": ["true"], "port": 1, **known, **fields})
        with contextlib.suppress(ConnectionError):  # it may have been refused already
            link.send_raw(after)
            link.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Closed):
            while True:
                assert link.body()
    control.sync()
    assert "Traceback" not in (node.directory / "supervisor.log").read_text()
