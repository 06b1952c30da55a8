"""SSH into jobs: certificates and how long they hold, and what a tunnel reaches, carries and refuses."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dais.kit.vault import KEY_FILE, Vault
from dais.proxy.ssh.keyring import Keyring
from tests.support.installation import Installation, installation
from tests.support.ssh import PATIENCE, Laptop, new_key

MIB = 1 << 20
GIVER = """
import socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
inside = socket.socket(socket.AF_UNIX)
inside.bind("inside.sock")
inside.listen()
print("ready", flush=True)
block = bytes(range(256)) * 4096
while True:
    taken, _ = listening.accept()
    for _ in range(int(taken.makefile().readline())):
        try:
            taken.sendall(block)
        except OSError:
            break
    taken.close()
"""
BLOCK = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def dais() -> Iterator[Installation]:
    """An installation with a job `train` that gives so many MiB on its port 8000, and has a Unix socket."""
    with installation(settings={"DAIS_SSH_PORT": "0", "DAIS_COMPUTE_STOP_GRACE": "1"}) as running:
        job = running.submit("python3", "-c", GIVER, "8000", name="train", cpu=1, mem="256Mi")
        running.wait_output(job, b"ready")
        yield running


@pytest.fixture(scope="module")
def laptop(dais: Installation) -> Iterator[Laptop]:
    made = Laptop(dais)
    assert made.enrol().status == 201
    yield made
    shutil.rmtree(made.place)


@contextmanager
def tunnels(laptop: Laptop, *forwards: str) -> Iterator[tuple[subprocess.Popen[bytes], list[bytes]]]:
    """ssh with these forwards, once it has let us in; and after the end what it said."""
    running = laptop.start("train", "echo in; cat", options=("-v", *(f"-L{one}" for one in forwards)))
    assert running.stdout is not None
    assert running.stdout.readline() == b"in\n"
    said: list[bytes] = []
    try:
        yield running, said
    finally:
        running.terminate()
        said.append(running.communicate(timeout=PATIENCE)[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def asked(address: int | str, count: int = 1) -> socket.socket:
    """A connection through a tunnel on which so many MiB were asked for."""
    sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    sock.settimeout(PATIENCE)
    sock.connect(address if isinstance(address, str) else ("127.0.0.1", address))
    sock.sendall(b"%d\n" % count)
    return sock


def given(sock: socket.socket) -> tuple[int, bytes]:
    """How much came, and its digest."""
    digest, count = hashlib.sha256(), 0
    try:
        while part := sock.recv(MIB):
            digest.update(part)
            count += len(part)
    except ConnectionResetError:
        pass
    sock.close()
    return count, digest.digest()


def wanted(count: int) -> tuple[int, bytes]:
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(BLOCK)
    return count * MIB, digest.digest()


# -- certificates ------------------------------------------------------------------------------------------------


def test_a_certificate_that_has_expired_or_does_not_hold_yet_is_refused(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    """Signed with the gateway's own key: but for its times each would be let in."""
    key = new_key(tmp_path / "k")
    public = key.with_suffix(".pub")
    answer = dais.ask("POST", "/v1/ssh/certificates", {"public": public.read_text()})
    certificate = tmp_path / "k-cert.pub"
    certificate.write_text(answer.json["certificate"] + "\n")
    shown = subprocess.run(["ssh-keygen", "-Lf", str(certificate)], capture_output=True, text=True, check=True).stdout
    authority = tmp_path / "authority"
    authority.touch(mode=0o600)
    authority.write_text(Keyring(dais.data, Vault(dais.data / KEY_FILE)).authority)
    words = ["ssh-keygen", "-q", "-s", str(authority), "-I", shown.split('Key ID: "')[1].split('"')[0]]
    words += ["-n", dais.ask("GET", "/v1/me").json["id"]]
    for times, holds in (("-2h:-1m", False), ("+1h:+2h", False), ("-1h:+1h", True)):
        subprocess.run([*words, "-V", times, str(public)], check=True)
        done = laptop.ssh("train", "echo in", key=key)
        assert (done.returncode, done.stdout) == ((0, b"in\n") if holds else (255, b"")), times


def test_login_brings_a_certificate_that_editors_are_let_in_with(
    laptop: Laptop, dais: Installation, tmp_path: Path
) -> None:
    done = dais.dais("login", "token", dais.url, stdin=dais.token.encode(), DAIS_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert b"a certificate for SSH" in done.stderr
    (place,) = (tmp_path / "ssh").iterdir()
    assert (place / "id_ed25519").stat().st_mode & 0o777 == 0o600
    assert laptop.ssh("train", "echo in", key=place / "id_ed25519").stdout == b"in\n"


# -- tunnels -----------------------------------------------------------------------------------------------------


def test_unix_sockets_are_forwarded_from_here_and_refused_in_the_job(laptop: Laptop, tmp_path: Path) -> None:
    here, refused = str(tmp_path / "here"), free_port()
    with tunnels(laptop, f"{here}:localhost:8000", f"{refused}:/home/work/inside.sock") as (_, said):
        assert given(asked(here)) == wanted(1)
        assert given(asked(refused)) == (0, hashlib.sha256().digest())
    assert b"no Unix sockets as /home/work/inside.sock" in said[0], said


def test_a_tunnel_reaches_neither_dais_nor_the_machine(laptop: Laptop, dais: Installation) -> None:
    """The loopback address is the job's own, on which neither Dais nor a service of the machine listens."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        targets = [dais.port, int(laptop.about["port"]), service.getsockname()[1]]
        ports = [free_port() for _ in targets]
        forwards = (f"{port}:127.0.0.1:{target}" for port, target in zip(ports, targets, strict=True))
        with tunnels(laptop, *forwards) as (_, said):
            for port in ports:
                assert given(asked(port)) == (0, hashlib.sha256().digest())
        for target in targets:
            assert f"listens on port {target}".encode() in said[0]
        service.setblocking(False)
        with pytest.raises(BlockingIOError):
            service.accept()


def test_where_jobs_share_the_machines_network_a_tunnel_reaches_its_own_job_alone() -> None:
    settings = {"DAIS_SSH_PORT": "0", "DAIS_LOCAL_ISOLATION": "process"}
    with installation(settings=settings) as dais, socket.create_server(("127.0.0.1", 0)) as service:
        theirs = free_port()
        other = dais.submit("python3", "-c", GIVER, str(theirs), name="other", mem="256Mi")
        dais.wait_output(other, b"ready")
        train = dais.submit("sh", "-c", "echo ready; sleep 100000", name="train")
        dais.wait_output(train, b"ready")
        laptop = Laptop(dais)
        assert laptop.enrol().status == 201
        targets = [theirs, dais.port, service.getsockname()[1]]
        ports = [free_port() for _ in targets]
        with tunnels(laptop, *(f"{port}:localhost:{to}" for port, to in zip(ports, targets, strict=True))) as (_, said):
            for port in ports:
                assert given(asked(port)) == (0, hashlib.sha256().digest())
        assert said[0].count(b"nothing in job") == len(targets), said
        shutil.rmtree(laptop.place)


@pytest.mark.slow
def test_a_gibibyte_goes_to_a_slow_reader_and_no_memory_is_filled(laptop: Laptop, dais: Installation) -> None:
    port, piece = free_port(), 128 * MIB
    with tunnels(laptop, f"{port}:localhost:8000") as (running, _):
        assert given(asked(port)) == wanted(1)
        pids = (dais.pid, dais.supervisor(), running.pid)
        before = [dais.memory(pid) for pid in pids]
        reading, digest = asked(port, 1024), hashlib.sha256()
        for _ in range(8):
            # Nothing is read while others are served: whatever can be filled is full by then.
            assert laptop.ssh("train", "echo in").stdout == b"in\n"
            after = [dais.memory(pid) for pid in pids]
            assert all(now - then < 24 * MIB for now, then in zip(after, before, strict=True)), (before, after)
            left = piece
            while left:
                part = reading.recv(min(MIB, left))
                assert part
                digest.update(part)
                left -= len(part)
        assert digest.digest() == wanted(1024)[1]
        assert given(reading)[0] == 0
