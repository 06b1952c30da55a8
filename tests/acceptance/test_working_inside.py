"""Working inside jobs, on every engine alike: apps, ports, SSH, shells and code; `local` is the quick form."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from dais.sdk.errors import Unavailable
from dais.wire.answers import JobDetail
from tests.support.each_engine import BOARD, ENGINES, Site, open_site
from tests.support.installation import told
from tests.support.reaching import KILL_APP, Door, door, read_all, read_until
from tests.support.ssh import PATIENCE, Laptop, laptop_of
from tests.support.supervisor import until

MIB = 1 << 20
START = b"Host: HOST\r\nAuthorization: Bearer TOKEN\r\n"
UPGRADE = (
    b"GET /socket HTTP/1.1\r\n" + START + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module", params=ENGINES)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with open_site(request, request.param) as made:
        yield made
        with told(lambda: made.dais.log() + made.dais.said()):
            assert made.dais.is_well()


@pytest.fixture(scope="module")
def web(site: Site) -> JobDetail:
    return site.app("web")


@pytest.fixture
def app(site: Site, web: JobDetail) -> Door:
    return door(site.dais, web)


@pytest.fixture(scope="module")
def laptop(site: Site) -> Iterator[Laptop]:
    with laptop_of(site.dais) as made:
        yield made


# -- through the proxy ---------------------------------------------------------------------------------------------


def test_requests_and_answers_of_every_size_arrive_whole(app: Door) -> None:
    for size in (0, 1, 300_000, 8 * MIB):
        body = os.urandom(size)
        told = json.loads(app.ask("POST", "/a?b=c", body).body)
        assert (told["length"], told["digest"]) == (size, hashlib.sha256(body).hexdigest())
    assert app.ask("GET", f"/big?{32 * MIB}").body == bytes(32 * MIB)
    assert app.ask("GET", "/raw/to-end").body == b"until the end"
    for path in ("/raw/nothing", "/raw/noise"):
        assert app.ask("GET", path).status == 502


def test_connections_are_used_again_and_many_go_at_once(app: Door) -> None:
    with app.raw(b"GET /one HTTP/1.1\r\n" + START + b"\r\n") as sock:
        first = json.loads(read_until(sock, b"}").partition(b"\r\n\r\n")[2])
        sock.sendall(app.filled(b"GET /two HTTP/1.1\r\n" + START + b"\r\n"))
        second = json.loads(read_until(sock, b"}").partition(b"\r\n\r\n")[2])
    assert (first["path"], second["path"], second["peer"]) == ("/one", "/two", first["peer"])
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(app.ask("GET", f"/big?{MIB}").status)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert answers == [200] * 16


def test_a_web_socket_carries_much_and_each_side_ends_by_itself(app: Door) -> None:
    block, count = os.urandom(MIB), 24
    with app.raw(UPGRADE) as sock:
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101")

        def send() -> None:
            for _ in range(count):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        digest = hashlib.sha256()
        while data := sock.recv(MIB):
            digest.update(data)
        thread.join(PATIENCE)
    assert digest.digest() == hashlib.sha256(block * count).digest()


def test_who_does_not_read_fills_no_memory(site: Site, app: Door) -> None:
    assert app.ask("GET", f"/big?{MIB}").status == 200
    before = site.dais.memory()
    floods = [app.raw(b"GET /flood HTTP/1.1\r\n" + START + b"\r\n") for _ in range(12)]
    silent = app.raw(b"POST /never HTTP/1.1\r\n" + START + b"Content-Length: 1000000000\r\n\r\n")
    try:
        for sock in floods:
            read_until(sock, b"\r\n\r\n")
        silent.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionError)):
            silent.sendall(bytes(200 * MIB))
        assert app.ask("GET", f"/big?{32 * MIB}").status == 200  # others are served, and time goes by
        assert site.dais.memory() - before < 60 * MIB
    finally:
        for sock in (*floods, silent):
            sock.close()
    assert app.ask("GET", "/").status == 200


def test_nothing_that_listens_and_an_end_in_the_midst_are_told(site: Site) -> None:
    job = site.app("short")
    assert door(site.dais, job, 9).ask("GET", "/").json["code"] == "nothing-listens"
    with door(site.dais, job).raw(b"GET /stream HTTP/1.1\r\n" + START + b"\r\n") as stream:
        read_until(stream, b"data: 1")
        site.dais.client().jobs.kill(job.id)
        assert not read_all(stream).endswith(b"0\r\n\r\n")  # cut, and not ended


# -- forwards ------------------------------------------------------------------------------------------------------


def test_a_forwarded_port_carries_much_both_ways_and_ends_with_the_job(site: Site) -> None:
    job = site.app("forwarded")
    with site.dais.client().jobs.port_forward(job.id, 0, 8080) as forward:
        block, count = os.urandom(MIB), 16
        with socket.create_connection(("127.0.0.1", forward.port), PATIENCE) as sock:
            sock.sendall(UPGRADE.replace(START, b"Host: x\r\n"))
            read_until(sock, b"\r\n\r\n")
            digest = hashlib.sha256()
            for _ in range(count):
                sock.sendall(block)
                left = MIB
                while left:
                    data = sock.recv(left)
                    assert data
                    digest.update(data)
                    left -= len(data)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        assert digest.digest() == hashlib.sha256(block * count).digest()
        before = site.dais.memory()
        with contextlib.ExitStack() as held:  # who does not read keeps nobody waiting, and fills no memory
            for _ in range(4):
                flood = held.enter_context(socket.create_connection(("127.0.0.1", forward.port), PATIENCE))
                flood.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
                read_until(flood, b"\r\n\r\n")
            sock = held.enter_context(socket.create_connection(("127.0.0.1", forward.port), PATIENCE))
            sock.sendall(b"GET /big?%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (32 * MIB))
            assert len(read_all(sock).partition(b"\r\n\r\n")[2]) == 32 * MIB
            assert site.dais.memory() - before < 30 * MIB
        site.dais.client().jobs.kill(job.id)
        assert forward.wait(PATIENCE).state == "CANCELLED"


# -- SSH -----------------------------------------------------------------------------------------------------------


def test_a_shell_and_commands_over_ssh(laptop: Laptop, web: JobDetail) -> None:
    done = laptop.ssh("web", "cat; echo wrong >&2; exit 7", input=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"wrong\n")
    assert laptop.ssh("web", "echo $DAIS_JOB_ID; pwd").stdout.decode().split() == [web.id, "/home/work"]
    shell = laptop.ssh("web", options=("-tt",), input=b"test -t 0 && echo a terminal of $(stty size); exit 3\n")
    assert shell.returncode == 3
    assert b"a terminal of 24 80" in shell.stdout
    assert laptop.ssh("web", "kill -9 $$").returncode == 128 + 9


def test_files_and_ports_over_ssh(laptop: Laptop, web: JobDetail, tmp_path: Path) -> None:
    content = os.urandom(5 * MIB)
    (tmp_path / "there").write_bytes(content)
    script = f"mkdir d\nput {tmp_path}/there d/a\nrename d/a d/b\nget d/b {tmp_path}/back\n"
    done = laptop.run(["sftp", *laptop.options(), "-b", "-", "web@127.0.0.1"], input=script.encode())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == content
    with laptop.forwarding("web", 8080) as port, socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(b"GET /big?9000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_all(sock).partition(b"\r\n\r\n")[2] == bytes(9_000_000)


# -- shells in pages -----------------------------------------------------------------------------------------------


class Shell:
    """A program that looks at a shell, as the page does."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection
        self.hello = json.loads(connection.recv(PATIENCE))
        self.at = self.hello.get("at", 0)

    def type(self, line: str, wanted: bytes) -> bytes:
        """Type a line; what is printed up to this."""
        self.socket.send(line.encode() + b"\n")
        seen = b""
        while wanted not in seen:
            message = self.socket.recv(PATIENCE)
            if isinstance(message, bytes):
                seen += message
                self.at += len(message)
                self.socket.send(json.dumps({"drawn": self.at}))
        return seen


@contextlib.contextmanager
def shell(site: Site, job: JobDetail, **request: Any) -> Iterator[Shell]:
    """Open a shell in a job, or come back to one."""
    url = f"{site.dais.url.replace('http', 'ws', 1)}/v1/jobs/{job.id}/terminal"
    with connect(url, additional_headers={"Authorization": f"Bearer {site.dais.token}"}) as connection:
        connection.send(json.dumps({"rows": 30, "cols": 100, **request}))
        yield Shell(connection)


def test_a_shell_is_held_and_found_again(site: Site, web: JobDetail) -> None:
    with shell(site, web) as first:
        first.type("mine=$((6*7)); echo it is $mine in $(stty size)", b"it is 42 in 30 100")
        first.type("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo all of it", b"\nall of it")
    with shell(site, web, terminal=first.hello["id"], at=first.at, rows=20, cols=90) as again:
        assert again.hello["id"] == first.hello["id"]
        again.type("echo still $mine in $(stty size)", b"still 42 in 20 90")
        again.socket.send(json.dumps({"end": True}))
    until(lambda: not site.dais.ask("GET", f"/v1/jobs/{web.id}/terminals").json, "the shell has ended")


# -- apps ----------------------------------------------------------------------------------------------------------

STANDS_IN = """
import http.server, re, sys
port = int(re.search(r"ServerApp.port = (\\d+)", open(sys.argv[2]).read())[1])
print("started", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
"""For JupyterLab, as a module of that name in the working directory."""


def test_an_app_is_started_on_first_use_and_says_why_it_cannot(site: Site, web: JobDetail) -> None:
    jobs = site.dais.client().jobs
    write = ("job", "exec", web.id, "--", "sh", "-c", "cat > jupyterlab.py")
    assert site.dais.dais(*write, stdin=b"raise SystemExit('no room for my files')\n").returncode == 0
    with pytest.raises(Unavailable, match="no room for my files"):
        jobs.open_app(web.id, "jupyter")
    assert site.dais.dais(*write, stdin=STANDS_IN.encode()).returncode == 0
    opened = jobs.open_app(web.id, "jupyter")
    app = Door(site.dais, opened.url or "", site.dais.token)
    answer = app.ask("GET", "/jupyterlab.py")
    assert (answer.status, answer.body) == (200, STANDS_IN.encode())
    assert {one.name: one.state for one in jobs.apps(web.id).apps}["jupyter"] == "running"
    assert jobs.app_log(web.id, "jupyter").output.startswith("started\n")
    assert site.dais.dais("job", "exec", web.id, "--", "sh", "-c", KILL_APP).returncode == 0
    until(lambda: app.ask("GET", "/jupyterlab.py").status == 200, "it is started again")
    if site.kind in ("docker", "podman"):  # the image brings one along
        opened = jobs.open_app(web.id, "board")
        assert (opened.port, opened.action) == (BOARD, "job:exec")
        answer = Door(site.dais, opened.url or "", site.dais.token).ask("GET", "/")
        assert (answer.status, b"Directory listing" in answer.body) == (200, True)


# -- code ----------------------------------------------------------------------------------------------------------


def test_images_with_and_without_python_need_nothing_of_ours(site: Site, laptop: Laptop, tmp_path: Path) -> None:
    client = site.dais.client()
    for image in site.images:
        job = site.submit("sleep", "1000", image=image)
        site.dais.wait_running(job)

        def cell(code: str) -> str:
            answers = list(client.code.run(job.id, code))  # noqa: B023 (called at once)
            assert all(answer.error is None for answer in answers), answers
            return "".join(data for answer in answers for kind, data in answer.console if kind == "stdout")

        assert cell("x = 41\nprint('set')") == "set\n", image
        assert cell("import os; print(x + 1, os.getcwd())") == "42 /home/work\n"
        client.code.upload(job.id, {"a.txt": b"from outside"})
        assert cell("print(open('a.txt').read())") == "from outside\n"
        words = ["sftp", *laptop.options(), "-b", "-", f"{job.id}@127.0.0.1"]
        assert laptop.run(words, input=f"get a.txt {tmp_path}/a.txt\n".encode()).returncode == 0
        assert (tmp_path / "a.txt").read_bytes() == b"from outside"
        with shell(site, job) as opened:
            opened.type("cat a.txt; echo; echo $((6*7))", b"\r\n42")
        with pytest.raises(Unavailable, match=r"jupyter needs jupyterlab|could not be started|No such file"):
            client.jobs.open_app(job.id, "jupyter")
        client.jobs.kill(job.id)


# -- the server goes -----------------------------------------------------------------------------------------------


def test_a_server_that_dies_ends_what_it_held_and_the_job_goes_on(site: Site, web: JobDetail, laptop: Laptop) -> None:
    command = laptop.start("web", "echo $$; exec sleep 1000")
    assert command.stdout is not None
    pid = command.stdout.readline().decode().strip()
    with shell(site, web) as held:
        held.type("echo $((6*7))", b"42")
        site.dais.kill()
        with pytest.raises(ConnectionClosed):
            held.type("nobody hears this", b"it is lost")
    assert command.communicate(timeout=PATIENCE)[0] == b""
    assert command.returncode == 255
    site.dais.start()
    laptop.learn()
    app = door(site.dais, web)
    until(lambda: app.ask("GET", "/").status == 200, "the app is reached again")
    assert laptop.ssh("web", "echo again").stdout == b"again\n"
    with shell(site, web, terminal=held.hello["id"], at=held.at) as lost:
        assert (lost.hello["kind"], lost.hello["code"]) == ("problem", "no-such-terminal")
        assert "the server was started again; open a new one" in lost.hello["detail"]
    with shell(site, web) as new:
        new.type("echo new $((6*7))", b"new 42")
    until(lambda: laptop.ssh("web", f"kill -0 {pid}").returncode == 1, "the command has ended with its connection")
    assert site.dais.client().jobs.get(web.id).state == "RUNNING"


def test_a_server_that_stops_says_so_to_shells(site: Site, web: JobDetail) -> None:
    with shell(site, web) as held:
        held.type("echo $((6*7))", b"42")
        site.dais.stop()
        with pytest.raises(ConnectionClosed) as closed:
            held.type("exit", b"never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    site.dais.start()
    app = door(site.dais, web)
    until(lambda: app.ask("GET", "/").status == 200, "the job is reached again")
    with shell(site, web) as new:
        new.type("echo new $((6*7))", b"new 42")
