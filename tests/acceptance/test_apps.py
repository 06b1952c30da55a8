"""Apps of real jobs from REST, Python and the command line; and a real JupyterLab, used through the proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import ClientConnection, connect

from dais.sdk.errors import Conflict, NotFound, Unavailable
from dais.wire.answers import JobDetail
from dais.wire.spec import Port
from tests.acceptance.conftest import SOON
from tests.support.installation import PATIENCE, Installation, installation, script
from tests.support.jupyter import jupyterlab_archive, jupyterlab_environment
from tests.support.reaching import Browser, Door, run_app

UNPACK = "mkdir site; tar -xf /packages/site.tar -C site; echo unpacked; exec sleep 86400"


@pytest.fixture(scope="module")
def web(shared: Installation) -> JobDetail:
    return run_app(shared, "web", ports=(Port(name="web", port=8080), Port(name="metrics", port=9000, protocol="tcp")))


@pytest.fixture
def broken(shared: Installation) -> JobDetail:
    """A job whose JupyterLab cannot start."""
    said = "import sys; print('no room for my files'); sys.exit(9)"
    job = shared.submit(*script(f'echo "{said}" > jupyterlab.py; echo ready; exec sleep 600'))
    shared.wait_output(job, b"ready")
    return job


def test_they_are_listed_alike_everywhere(shared: Installation, web: JobDetail) -> None:
    answer = shared.ask("GET", f"/v1/jobs/{web.id}/apps")
    assert answer.status == 200
    apps = {app["name"]: app for app in answer.json["apps"]}
    assert list(apps) == ["web", "metrics", "jupyter", "vscode", "tensorboard", "sshd", "terminal"]
    address = shared.client().jobs.address(web.id).url
    told = {"port": 8080, "protocol": "http", "action": "job:get", "origin": "job", "state": "running", "url": address}
    assert told.items() <= apps["web"].items()
    assert not apps["web"].get("public")
    assert (apps["metrics"]["state"], apps["metrics"].get("url")) == ("silent", None)
    assert apps["jupyter"]["url"] == shared.client().jobs.address(web.id, "jupyter").url
    assert (apps["vscode"]["state"], apps["vscode"]["detail"]) == (
        "missing",
        "vscode needs code-server: use an image that has it",
    )
    assert (apps["terminal"]["protocol"], apps["terminal"].get("port")) == ("page", None)
    found = shared.client().jobs.apps(web.id)
    assert (found.job, [app.name for app in found.apps]) == (web.id, list(apps))
    listed = json.loads(shared.dais("job", "apps", "web", "--json").stdout)
    assert [app["name"] for app in listed] == list(apps)


def test_a_port_that_is_open_to_everybody_is_listed(shared: Installation, web: JobDetail) -> None:
    shared.client().jobs.expose(web.id, 8080)
    shared.client().jobs.expose(web.id, 7777)
    apps = {app.name: app for app in shared.client().jobs.apps(web.id).apps}
    assert (apps["web"].public, apps["7777"].public, apps["7777"].state) == (True, True, "silent")
    for port in (8080, 7777):
        shared.client().jobs.expose(web.id, port, public=False)
    assert not any(app.public for app in shared.client().jobs.apps(web.id).apps)


def test_an_address_has_the_path_of_its_app(shared: Installation, web: JobDetail) -> None:
    addresses = shared.client().jobs.address
    base = addresses(web.id).url.replace("-web.job", "-web-jupyter.job")
    assert addresses(web.id, "jupyter").url == f"{base}lab"
    assert addresses(web.id, "jupyterlab").url.endswith("/lab")
    assert urlsplit(addresses(web.id, "tensorboard").url).path == "/"
    assert shared.dais("job", "address", "web", "jupyter").stdout.decode().strip() == f"{base}lab"
    with pytest.raises(NotFound, match="did you mean 'jupyter'"):
        addresses(web.id, "jupiter")
    unknown = shared.dais("job", "address", "web", "jupiter")
    assert (unknown.returncode, b"did you mean 'jupyter'" in unknown.stderr) == (1, True)


def test_what_cannot_be_opened_says_why(shared: Installation, broken: JobDetail) -> None:
    answer = shared.ask("POST", f"/v1/jobs/{broken.id}/apps/jupyter")
    assert (answer.status, answer.json["code"]) == (503, "app-failed")
    assert answer.json["fields"]["output"] == "no room for my files\n"
    with pytest.raises(Unavailable, match="exit code 9; it said: no room for my files"):
        shared.client().jobs.open_app(broken.id, "jupyter")
    said = shared.dais("job", "open", broken.id, "--no-browser")
    assert said.returncode == 1
    assert b"it said: no room for my files" in said.stderr
    assert shared.client().jobs.app_log(broken.id, "jupyter").output == "no room for my files\n"
    ended = {app.name: app for app in shared.client().jobs.apps(broken.id).apps}["jupyter"]
    assert (ended.state, ended.exit_code) == ("ended", 9)
    for name, code in (("nothing", 404), ("70000", 400), ("vscode", 503)):
        assert shared.ask("POST", f"/v1/jobs/{broken.id}/apps/{name}").status == code
    log = shared.ask("GET", f"/v1/jobs/{broken.id}/apps/terminal/log")
    assert (log.status, log.json["code"]) == (400, "not-started-by-dais")
    shared.client().jobs.kill(broken.id)
    shared.wait(broken.id)
    with pytest.raises(Conflict, match="not RUNNING"):
        shared.client().jobs.apps(broken.id)


def test_a_plain_port_and_the_terminal_are_opened(shared: Installation, web: JobDetail) -> None:
    opened = shared.client().jobs.open_app(web.id, "web")
    assert (opened.port, opened.path, opened.url) == (8080, "/", shared.client().jobs.address(web.id).url)
    said = shared.dais("job", "open", "web", "9001", "--no-browser")
    assert said.stdout.decode().strip() == shared.client().jobs.address(web.id, 9001).url
    forward = shared.dais("job", "open", "web", "metrics", "--no-browser")
    assert b"dais job port-forward web 9000" in forward.stderr
    terminal = shared.client().jobs.open_app(web.id, "terminal")
    assert (terminal.protocol, terminal.port) == ("page", None)
    assert terminal.url == f"{shared.url}/jobs/{web.id}?tab=terminal"
    # At its own address browsers are led there once they may be, and programs are told.
    address = shared.client().jobs.address(web.id).url.replace("-web.job", "-web-terminal.job")
    browser = Browser(shared)
    browser.sign_in()
    assert browser.go(address).status == 200
    assert browser.seen[-2] == terminal.url
    program = Door(shared, address, shared.token).ask("GET", "/")
    assert (program.status, program.json["code"]) == (409, "page-of-dais")
    assert Door(shared, address).ask("GET", "/").status == 401


# -- a real JupyterLab -------------------------------------------------------------------------------------------------


@dataclass
class Lab:
    """A JupyterLab behind the proxy, as its own page would use it."""

    door: Door
    xsrf: str

    def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Cookie": f"_xsrf={self.xsrf}", "X-XSRFToken": self.xsrf, "Content-Type": "application/json"}
        answer = self.door.ask(method, path, json.dumps(body).encode() if body is not None else None, headers=headers)
        assert answer.status < 300, answer.body
        return answer.json if answer.body else None

    @contextlib.contextmanager
    def channels(self, kernel: str) -> Iterator[ClientConnection]:
        """The WebSocket of a kernel."""
        with (
            socket.create_connection(("127.0.0.1", self.door.installation.port), timeout=PATIENCE) as sock,
            connect(
                f"ws://{self.door.host}/api/kernels/{kernel}/channels",
                sock=sock,
                additional_headers={"Authorization": f"Bearer {self.door.token}"},
            ) as connection,
        ):
            yield connection


def run_cell(connection: ClientConnection, code: str) -> str:
    """What a cell prints."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": "s",
        "username": "",
        "version": "5.4",
    }
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    connection.send(json.dumps(request))
    printed = ""
    while True:
        message = json.loads(connection.recv(PATIENCE))
        if message["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        if message["msg_type"] == "stream":
            printed += message["content"]["text"]
        if message["msg_type"] == "error":
            raise AssertionError(message["content"]["traceback"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return printed


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    archive = jupyterlab_archive()
    with installation(settings=SOON) as running:
        assert running.put(running.folder("packages"), "site.tar", archive).status < 300
        yield running


@pytest.mark.slow
def test_a_real_jupyterlab_is_started_and_used_through_the_proxy(site: Installation) -> None:
    environment = jupyterlab_environment("/home/work/site")
    job = site.submit(
        *script(UNPACK), name="lab", cpu=1, mem="2Gi", data=["packages:/packages"], environment=environment
    )
    site.wait_output(job, b"unpacked")
    opened = site.client().jobs.open_app(job.id, "jupyter")
    assert opened.url is not None
    assert opened.url == site.client().jobs.address(job.id, "jupyter").url
    door = Door(site, opened.url, site.token)
    page = door.ask("GET", "/lab")
    assert b"<title>JupyterLab</title>" in page.body, page.body[:500]
    assert Door(site, opened.url).ask("GET", "/api/status").status == 401
    xsrf = page.headers["set-cookie"].partition("_xsrf=")[2].partition(";")[0]
    lab = Lab(door, xsrf)

    assert lab.ask("GET", "/api/status")["kernels"] == 0
    written = {"type": "file", "format": "text", "content": "from the page\n"}
    lab.ask("PUT", "/api/contents/note.txt", written)
    kernel = lab.ask("POST", "/api/kernels", {"name": "python3"})["id"]
    with lab.channels(kernel) as connection:
        assert run_cell(connection, "x = 41\nprint(open('note.txt').read(), end='')") == "from the page\n"
        assert run_cell(connection, "import os; print(x + 1, os.environ['DAIS_JOB_ID'])") == f"42 {job.id}\n"
        big = run_cell(connection, "print('x' * 300_000)")
        assert len(big) == 300_001
    states = {app.name: app for app in site.client().jobs.apps(job.id).apps}
    assert (states["jupyter"].state, states["jupyter"].url) == ("running", opened.url)

    # It goes on while the server is away, and the next one finds it with its kernel.
    site.stop()
    site.start()
    assert site.client().jobs.open_app(job.id, "jupyter").url == opened.url
    with lab.channels(kernel) as connection:
        assert run_cell(connection, "print(x)") == "41\n"
    lab.ask("DELETE", f"/api/kernels/{kernel}")
    assert "Kernel started" in site.client().jobs.app_log(job.id, "jupyter").output
    assert site.is_well()
