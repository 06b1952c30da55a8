"""A job with an app in a whole installation, and requests to it as programs and browsers send them."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dais.wire.answers import JobDetail
from tests.support.installation import PATIENCE, Answer, Installation

APP = (Path(__file__).parent / "an_app.py").read_text()

KILL_APP = r"""
pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/' /tmp/.dais-apps/jupyter/state)
kill -9 $pid
while kill -0 $pid 2>/dev/null; do sleep 0.01; done
"""
"""A script for inside a job: its app `jupyter` dies; until it has, its port still answers."""


def run_app(installation: Installation, name: str | None = None, port: int = 8080, **fields: Any) -> JobDetail:
    """A job in which the app listens already."""
    job = installation.submit("python3", "-c", APP, str(port), name=name, **fields)
    installation.wait_output(job, b"listens")
    return job


@dataclass
class Door:
    """An app by its address. `token` is sent with every request; None sends none."""

    installation: Installation
    url: str
    token: str | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, on a connection of its own."""
        sent = {"Host": self.host, **(headers or {})}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in answer.getheaders():
                before = found.get(name.lower())
                found[name.lower()] = value if before is None else f"{before}\n{value}"
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> socket.socket:
        """A connection that has sent this, filled."""
        sock = socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 80), timeout=PATIENCE)
        sock.sendall(self.filled(data))
        return sock

    def filled(self, data: bytes) -> bytes:
        """With the host and the token in the places of HOST and TOKEN."""
        return data.replace(b"HOST", self.host.encode()).replace(b"TOKEN", (self.token or "").encode())

    def raw_answer(self, data: bytes) -> bytes:
        """All that comes back until the connection ends."""
        with self.raw(data) as sock:
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    try:
        while part := sock.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """What comes up to this, and more that came with it."""
    data = b""
    while end not in data:
        part = sock.recv(1 << 16)
        assert part, f"the connection ended after {data[-500:]!r}"
        data += part
    return data


def door(installation: Installation, job: JobDetail, target: str | int = 8080, token: str | None = "") -> Door:
    """The way to a job's app; with the administrator's token unless another, or None, is given."""
    url = installation.client().jobs.address(job.id, target).url
    return Door(installation, url, installation.token if token == "" else token)


@dataclass
class Browser:
    """Keeps cookies by host, follows redirects and refreshes, and says where it comes from, as browsers do."""

    installation: Installation
    cookies: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """By host and name: the value and the path."""
    seen: list[str] = field(default_factory=list)
    """The addresses that it went to."""

    def sign_in(self) -> None:
        """As the administrator, by a one-time link."""
        made = self.installation.ask("POST", "/v1/sign-in-links", {}).json
        answer = self.request("POST", f"{self.installation.url}{made['path']}", {"Sec-Fetch-Site": "same-origin"})
        assert answer.status == 303, answer.body

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request with its cookies; those that come back are kept."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        kept = "; ".join(
            f"{name}={value}"
            for (at, name), (value, path) in self.cookies.items()
            if at == host and parts.path.startswith(path)
        )
        sent = {"Accept": "text/html", "Host": parts.netloc, **({"Cookie": kept} if kept else {}), **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=PATIENCE)
        try:
            connection.request(method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, sent)
            answer = connection.getresponse()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    self._keep(host, value)
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def _keep(self, host: str, text: str) -> None:
        for name, morsel in SimpleCookie(text).items():
            assert not morsel["domain"]
            if morsel["max-age"] == "0":
                self.cookies.pop((host, name), None)
            else:
                self.cookies[host, name] = (morsel.value, morsel["path"] or "/")

    def go(self, url: str, limit: int = 10) -> Answer:
        """Open an address as if it were typed, and follow where it leads."""
        for _ in range(limit):
            self.seen.append(url)
            answer = self.request("GET", url)
            refresh = re.search(rb'http-equiv="refresh" content="0; url=([^"]+)"', answer.body)
            if answer.status in (302, 303, 307):
                parts = urlsplit(url)
                url = answer.headers["location"]
                url = url if "://" in url else f"{parts.scheme}://{parts.netloc}{url}"
            elif refresh is not None:
                url = refresh[1].decode().replace("&amp;", "&")
            else:
                return answer
        raise AssertionError(f"it leads in circles: {self.seen}")


def seen_headers(answer: Answer) -> dict[str, str]:
    """What the app saw of a request; names in lower case."""
    return {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
