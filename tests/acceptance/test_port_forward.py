"""`dais job port-forward` and its SDK: ports of this machine that lead into jobs that have no network."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from dais.sdk import AsyncClient
from dais.sdk.errors import Conflict
from dais.wire.answers import JobDetail
from tests.support.installation import DAIS, PATIENCE, Installation, installation

APP = """
import socket, sys, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
print("up", flush=True)
def serve(one):
    word = b""
    while not word.endswith(b"\\n"):
        word += one.recv(1)
    if word == b"echo\\n":
        while data := one.recv(1 << 16):
            one.sendall(data)
    elif word == b"count\\n":
        room, total = bytearray(1 << 18), 0
        while size := one.recv_into(room):
            total += size
        one.sendall(str(total).encode())
    elif word == b"flood\\n":
        while True:
            one.sendall(bytes(1 << 16))
    one.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
PORT = 7000
NEVER_READS = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
held = []
while True:
    held.append(server.accept()[0])
    held[-1].shutdown(socket.SHUT_WR)
"""


@pytest.fixture
def job(shared: Installation) -> Iterator[JobDetail]:
    made = started(shared)
    yield made
    shared.client().jobs.kill(made.id)


def started(of: Installation) -> JobDetail:
    made = of.submit("python3", "-c", APP, str(PORT), mem="256Mi")
    of.wait_output(made, b"up")
    return made


def dialled(port: int, word: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    sock.sendall(word + b"\n")
    return sock


def pour(sock: socket.socket) -> None:
    while True:
        sock.sendall(bytes(1 << 20))


def rest(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(1 << 16):
        data += part
    return data


@contextlib.contextmanager
def forwarding(of: Installation, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """The command, and the ports that it listens on."""
    process = subprocess.Popen(
        [*DAIS, "job", "port-forward", *words, "--json"],
        env=of.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        wanted = sum(word.replace(":", "").isdigit() for word in words)
        ports = []
        for _ in range(wanted):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            ports.append(json.loads(line)["port"])
        yield process, ports
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[bytes]) -> bytes:
    """What it said, once it has ended by itself."""
    _, said = process.communicate(timeout=PATIENCE)
    return said


def test_bytes_of_every_kind_go_both_ways_through_several_ports(shared: Installation, job: JobDetail) -> None:
    with forwarding(shared, "--last", f"0:{PORT}", f"0:{PORT}") as (process, ports):
        data = bytes(range(256)) * (1 << 12)
        for port in ports:
            with dialled(port, b"echo") as sock:
                sock.sendall(data[: 1 << 18])
                sock.shutdown(socket.SHUT_WR)  # this direction alone: the other goes on
                assert rest(sock) == data[: 1 << 18]
        with dialled(ports[0], b"count") as sock:
            for _ in range(64):
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == str(64 << 20).encode()
        process.send_signal(signal.SIGINT)
        ended(process)
        assert process.returncode == 130


def test_what_listens_late_or_never(shared: Installation, job: JobDetail) -> None:
    with shared.client().jobs.port_forward(job.id, 0, PORT + 1) as forward:
        with dialled(forward.port, b"echo") as sock:
            late = started_beside(shared, job, PORT + 1)
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == b"hello"
        late.close()
    said: list[str] = []
    with (
        shared.client().jobs.port_forward(job.id, 0, 9, note=said.append) as forward,
        dialled(forward.port, b"echo") as sock,
        contextlib.suppress(ConnectionResetError),
    ):
        assert sock.recv(1) == b""
    assert any("nothing in job" in words and "port 9" in words for words in said)


def started_beside(of: Installation, job: JobDetail, port: int) -> contextlib.ExitStack:
    """The same program once more inside the job, on another port."""
    held = contextlib.ExitStack()
    argv = [*DAIS, "job", "exec", job.id, "--", "python3", "-c", APP, str(port)]
    process = held.enter_context(subprocess.Popen(argv, env=of.environment, stdin=-1, stdout=-1))
    held.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return held


def test_it_ends_with_the_job_and_says_so(shared: Installation) -> None:
    job = started(shared)
    with forwarding(shared, job.id, f"0:{PORT}") as (process, [port]), dialled(port, b"echo") as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        shared.client().jobs.kill(job.id)
        said = ended(process)
        assert process.returncode == 0
        assert b"has ended: CANCELLED" in said
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    with pytest.raises(Conflict, match="has ended"), shared.client().jobs.port_forward(job.id, 0, PORT):
        pass


def test_closing_it_ends_its_connections(shared: Installation, job: JobDetail) -> None:
    with shared.client().jobs.port_forward(job.id, 0, PORT) as forward:
        sock = dialled(forward.port, b"flood")
        assert sock.recv(1) == b"\0"
    with sock, contextlib.suppress(ConnectionResetError):
        rest(sock)
    gc.collect()  # a connection that was left open is told now, which fails the test


def test_it_stays_up_while_the_server_is_away(own: Installation) -> None:
    started(own)
    with forwarding(own, "--last", f"0:{PORT}") as (process, [port]):
        with dialled(port, b"echo") as before:
            before.sendall(b"x")
            assert before.recv(1) == b"x"
            own.kill()
            with contextlib.suppress(ConnectionResetError):
                assert before.recv(1) == b""  # what went through the server ends with it
        with dialled(port, b"echo") as sock:
            sock.sendall(b"sent while it was away")
            assert not select.select([sock], [], [], 0.3)[0], "it waits"
            own.start()
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == b"sent while it was away"
        assert process.poll() is None


def test_a_reader_that_does_not_read_fills_no_memory(shared: Installation, job: JobDetail) -> None:
    with forwarding(shared, job.id, f"0:{PORT}") as (process, [port]):
        before = resident(process.pid), resident(shared.pid)
        socks = [dialled(port, b"flood") for _ in range(4)]
        for sock in socks:
            assert sock.recv(1, socket.MSG_PEEK) == b"\0"
        with dialled(port, b"count") as sock:  # who does not read keeps nobody else waiting
            sock.sendall(bytes(64 << 20))
            sock.shutdown(socket.SHUT_WR)
            assert rest(sock) == str(64 << 20).encode()
        after = resident(process.pid), resident(shared.pid)
        assert all(now - then < 24 << 20 for now, then in zip(after, before, strict=True))
        for sock in socks:
            sock.close()


def resident(pid: int) -> int:
    """Bytes."""
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 (a file of the kernel's)
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_beyond_loopback_is_warned_of(shared: Installation, job: JobDetail) -> None:
    with forwarding(shared, job.id, f"0:{PORT}", "--address", "0.0.0.0") as (process, [port]):
        with dialled(port, b"echo") as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        process.send_signal(signal.SIGINT)
        assert b"whoever can reach it gets into the job as you" in ended(process)


@pytest.mark.parametrize(
    "words",
    [["--last"], ["--last", "eighty"], ["--last", "8080:99999"], ["8080"]],
    ids=["none", "word", "large", "job"],
)
def test_bad_ports_are_explained(shared: Installation, words: list[str]) -> None:
    refused = shared.dais("job", "port-forward", *words)
    assert refused.returncode == 2
    assert b"port" in refused.stderr


def test_a_port_that_is_taken_is_told(shared: Installation, job: JobDetail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = shared.dais("job", "port-forward", job.id, f"{port}:{PORT}")
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: another program has it" in refused.stderr.decode()


@pytest.mark.anyio
async def test_on_asyncio(shared: Installation, job: JobDetail) -> None:
    import asyncio

    async with (
        AsyncClient(shared.url, shared.token) as client,
        client.jobs.port_forward(job.id, 0, PORT) as forward,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.port)
        writer.write(b"echo\nhello")
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
        await client.jobs.kill(job.id)
        async with asyncio.timeout(PATIENCE):
            assert (await forward.wait()).state == "CANCELLED"


def test_an_app_that_never_reads_holds_nothing_for_ever() -> None:
    """It has ended its own direction, so that nothing but its reading is waited for. The log says what was cut."""
    with installation(settings={"DAIS_COMPUTE_APP_UNREAD": "1"}) as own:
        job = own.submit("python3", "-c", NEVER_READS, str(PORT))
        own.wait_output(job, b"up")
        with own.client().jobs.port_forward(job.id, 0, PORT) as forward:
            sock = socket.create_connection(("127.0.0.1", forward.port), timeout=PATIENCE)
            assert sock.recv(1) == b"", "it has ended its direction"
            with sock, pytest.raises(ConnectionError):
                pour(sock)
        assert re.search(
            rf"port {PORT} of job {job.id} was cut: .* the app takes nothing of the rest for 1 s", own.log()
        )
        assert own.client().jobs.get(job.id).state == "RUNNING"
