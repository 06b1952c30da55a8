"""Jobs that reach the internet, and nothing else: tried in network namespaces that play machine and world."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dais.node.egress import why_not
from dais.node.launch import Machine
from tests.support.networks import INTERNET, LATER, OWN, PORT, PRIVATE, Networks, networks
from tests.support.supervisor import Control, Node, processes_with, until

__all__ = ["networks"]

USER = 61_234

_TRY = """
import concurrent.futures, json, socket, sys
def attempt(words):
    address, device, port = words
    try:
        with socket.socket() as it:
            it.settimeout(1)
            if device:
                it.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            it.connect((address, port))
            return it.recv(20).decode()
    except OSError as error:
        return type(error).__name__
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(attempt, json.loads(sys.argv[1])))))
"""
_PACKET = """
import socket, struct
it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
it.settimeout(1)
asked = b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3www\\4test\\0\\0\\1\\0\\1"
for where in ("192.0.0.3", "10.9.0.53"):
    chosen = [(socket.IPPROTO_IP, 8, struct.pack("=i8x", socket.if_nametoindex("eth0")))]
    for more in ([], chosen):
        try:
            it.sendmsg([asked], more, 0, (where, 53))
            print(where, len(it.recv(512)) > len(asked), flush=True)
        except OSError as error:
            print(where, type(error).__name__, flush=True)
"""


@pytest.fixture(params=["root", "user"])
def machine(request: pytest.FixtureRequest, node: Node, networks: Networks) -> Control:
    """A supervisor on the machine, of root and of an ordinary user."""
    if request.param == "root":
        return node.start(networks.python())
    node.directory.mkdir(mode=0o700)
    os.chown(node.directory, USER, USER)
    return node.start(networks.python(USER), filtering=False)


@pytest.fixture
def control(node: Node, networks: Networks) -> Control:
    return node.start(networks.python())


def _python(node: Node, code: str, *words: str, network: str = "internet") -> dict[str, Any]:
    return node.spec("python3", "-c", code, *words, isolation="sandbox", network=network)


def _tried(node: Node, control: Control, targets: list[tuple[str, bool, int]], network: str = "internet") -> list[str]:
    spec = _python(node, _TRY, json.dumps(targets), network=network)
    ended = control.run(spec)
    assert ended["exit_code"] == 0, (ended, node.log(spec["attempt_id"]))
    found: list[str] = json.loads(node.log(spec["attempt_id"]))
    return found


def test_the_internet_is_reached_and_nothing_private_or_own(node: Node, machine: Control) -> None:
    assert machine.hello["isolation"]["internet"] is True
    assert _tried(node, machine, [(INTERNET, False, PORT), ("www.test", False, PORT)]) == ["world", "world"]
    special = ("127.0.0.1", "0.0.0.0", "192.0.0.1", "192.0.0.2", "192.0.0.3", "192.0.0.4", "255.255.255.255")
    # By the routes there are, and past them: a link that the socket chooses makes the kernel forget its routes.
    targets = [(address, device, PORT) for address in (*PRIVATE, *OWN, *special) for device in (False, True)]
    answers = dict(zip(targets, _tried(node, machine, targets), strict=True))
    assert {target: answer for target, answer in answers.items() if answer in ("world", "machine", "")} == {}
    # What is forbidden is refused at once, not by a silence.
    assert {answers[address, False, PORT] for address in (*PRIVATE, *OWN)} == {"OSError"}


def test_the_same_is_reached_from_the_machine_s_own_network(node: Node, control: Control) -> None:
    targets = [(address, False, PORT) for address in (*PRIVATE, *OWN, "127.0.0.1")]
    expected = ["world"] * len(PRIVATE) + ["machine"] * (len(OWN) + 1)
    assert _tried(node, control, targets, network="host") == expected


def test_without_a_network_there_is_only_a_loopback(node: Node, control: Control) -> None:
    assert _tried(node, control, [(INTERNET, False, PORT)], network="none") == ["OSError"]
    spec = node.spec("cat", "/proc/net/dev", isolation="sandbox")
    control.run(spec)
    assert [line.split(b":")[0].strip() for line in node.log(spec["attempt_id"]).splitlines()[2:]] == [b"lo"]


def test_names_are_asked_of_the_forwarder_alone(node: Node, control: Control) -> None:
    spec = _python(node, _PACKET)
    control.run(spec)
    lines = node.log(spec["attempt_id"]).decode().splitlines()
    assert lines == ["192.0.0.3 True", "192.0.0.3 True", "10.9.0.53 OSError", "10.9.0.53 TimeoutError"]


def test_an_address_that_the_machine_gets_later_is_forbidden_too(
    node: Node, control: Control, networks: Networks
) -> None:
    spec = node.spec("sh", "-c", "echo up; sleep 1000", isolation="sandbox", network="internet")
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")

    def tried() -> str:
        client = node.exec(spec["attempt_id"], "python3", "-c", _TRY, json.dumps([(LATER, False, PORT)]))
        assert client.result() == {"exit_code": 0}
        (answer,) = json.loads(client.stdout)
        return str(answer)

    assert tried() == "world"
    networks.ip("addr", "add", f"{LATER}/32", "dev", "lo")
    try:
        until(lambda: tried() not in ("world", "machine"), "the new address is forbidden")
        assert tried() in ("OSError", "TimeoutError")
    finally:
        networks.ip("addr", "del", f"{LATER}/32", "dev", "lo")


def test_the_router_alone_keeps_a_job_from_what_is_forbidden(node: Node, control: Control) -> None:
    spec = node.spec("sh", "-c", "echo up; sleep 1000", isolation="sandbox", network="internet")
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")
    # As if the job had found a way to rid itself of the routes in its own namespace.
    inside = str(control.record(spec["attempt_id"], "started")["pid"])
    flush = ["nsenter", "--target", inside, "--net", "ip", "route", "flush", "table", "main", "type", "unreachable"]
    subprocess.run(flush, check=True, timeout=30)
    targets = [(address, False, PORT) for address in (INTERNET, *PRIVATE, *OWN)]
    client = node.exec(spec["attempt_id"], "python3", "-c", _TRY, json.dumps(targets))
    assert client.result() == {"exit_code": 0}
    first, *others = json.loads(client.stdout)
    assert first == "world"
    assert set(others) <= {"OSError", "TimeoutError"}


def test_a_job_has_no_say_over_its_network(node: Node, control: Control) -> None:
    script = (
        "grep Cap /proc/self/status; ip link set eth0 down && echo changed; ip route add 10.0.0.0/8 dev eth0 && "
        "echo changed; ip addr add 10.9.0.9/24 dev eth0 && echo changed; cat /etc/resolv.conf"
    )
    spec = node.spec("sh", "-c", script, isolation="sandbox", network="internet")
    control.run(spec)
    text = node.log(spec["attempt_id"]).decode()
    assert "changed" not in text
    assert "nameserver 192.0.0.3" in text
    assert all(
        set(line.split()[1]) == {"0"} for line in text.splitlines() if line.startswith("Cap") and "Bnd" not in line
    )


def test_nothing_is_left_of_it(node: Node, machine: Control) -> None:
    spec = node.spec("true", isolation="sandbox", network="internet")
    machine.run(spec)
    assert processes_with(spec["attempt_id"].encode()) == []
    stopped = node.spec("sleep", "1000", isolation="sandbox", network="internet")
    machine.launch(stopped)
    machine.send(op="stop", attempt_id=stopped["attempt_id"], grace=0)
    assert machine.record(stopped["attempt_id"])["reason"] == "stopped"
    assert processes_with(stopped["attempt_id"].encode()) == []
    killed = node.spec("sh", "-c", "echo up; sleep 1000", isolation="sandbox", network="internet")
    machine.launch(killed)
    node.wait_log(killed["attempt_id"], b"up")
    pasta = [pid for pid in processes_with(killed["attempt_id"].encode()) if _is_pasta(pid)]
    assert len(pasta) == 1
    node.kill()
    until(lambda: not processes_with(killed["attempt_id"].encode()), "everything ends with the supervisor")


def _is_pasta(pid: int) -> bool:
    return b"pasta" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_machine_without_pasta_says_what_to_install() -> None:
    assert "install the package passt" in str(why_not(Machine(), None, None, None))
