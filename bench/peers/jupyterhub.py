"""JupyterHub, really run: a user's server is started through the hub's API, and gone again afterwards.

The hub runs without its proxy, which would only add time: in its place, the addresses of servers are written down.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.load import free_port

PATIENCE = 120.0
CONFIG = """
from pathlib import Path
from jupyterhub.proxy import Proxy

class Noted(Proxy):
    should_start = False
    routes = {{}}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}
        if "user" in data:
            Path({home!r}, "at-" + data["user"]).write_text(target)

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes

c.JupyterHub.proxy_class = Noted
c.JupyterHub.bind_url = "http://127.0.0.1:{front}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [{{"name": "bench", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "scopes": ["admin:users", "admin:servers", "access:servers"], "services": ["bench"]}}
]
c.Authenticator.allow_all = True
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = {home!r} + "/{{username}}"
"""


class Hub:
    """A running hub. Each of its users has at most one server."""

    def __init__(self, home: Path, port: int, token: str) -> None:
        self._home = home
        self.token = token
        self._api = f"http://127.0.0.1:{port}/hub/api"

    def start(self, user: str) -> str:
        """Ask for the user's server, and wait until the hub says that it is ready; its address."""
        self._call("POST", f"/users/{user}/server")
        until = time.monotonic() + PATIENCE
        while not self._call("GET", f"/users/{user}")["servers"].get("", {}).get("ready"):
            assert time.monotonic() < until, f"the server of {user} is not ready"
            time.sleep(0.02)
        return (self._home / f"at-{user}").read_text().rstrip("/") + f"/user/{user}"

    def stop(self, user: str) -> None:
        self._call("DELETE", f"/users/{user}/server")
        until = time.monotonic() + PATIENCE
        while self._call("GET", f"/users/{user}")["servers"]:
            assert time.monotonic() < until, f"the server of {user} does not end"
            time.sleep(0.02)

    def add(self, user: str) -> None:
        """Once the hub listens."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._call("POST", f"/users/{user}")
                return
            except urllib.error.HTTPError:
                raise
            except OSError:
                assert time.monotonic() < until, "the hub does not listen"
                time.sleep(0.05)

    def _call(self, method: str, path: str) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self._api + path, method=method, headers={"Authorization": f"token {self.token}"},
            data=b"{}" if method == "POST" else None,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


@contextmanager
def jupyterhub(user: str) -> Iterator[Hub]:
    """A hub that knows this user."""
    port, token = free_port(), secrets.token_hex(16)
    with TemporaryDirectory() as place:
        home = Path(place)
        config = CONFIG.format(home=place, front=free_port(), port=port, token=token)
        (home / "config.py").write_text(config)
        # The servers that it starts are found beside this interpreter.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", "config.py"], cwd=home,
            env={**os.environ, "HOME": place, "PATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            hub = Hub(home, port, token)
            try:
                hub.add(user)
                yield hub
            finally:
                process.terminate()
