"""A throw-away registry of images, with or without a password."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from email.message import Message
from pathlib import Path

import msgspec

from tests.support.needs import needs_program

PATIENCE = 20.0
_manifests = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
USER, PASSWORD = "ann", "as-secret"


@contextlib.contextmanager
def registry(directory: Path, *, password: bool = False) -> Iterator[str]:
    """A running registry's `host:port`."""
    program = needs_program("docker-registry")
    directory.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}",
        f"http: {{addr: '127.0.0.1:{port}'}}",
    ]
    if password:
        made = [str(needs_program("htpasswd", "apache2-utils")), "-Bbn", USER, PASSWORD]
        (directory / "users").write_bytes(subprocess.run(made, check=True, capture_output=True, timeout=30).stdout)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {directory}/users}}}}")
    (directory / "config.yml").write_text("\n".join(lines))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", directory / "config.yml"], stdout=log, stderr=log)
    try:
        _wait(process, port, directory / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def publish_for(host: str, repository: str, tag: str, architecture: str) -> None:
    """Put the image of a tag under the tag `architecture`, with a configuration that says it is made for that."""
    manifest = msgspec.json.decode(_ask(host, "GET", f"/v2/{repository}/manifests/{tag}")[1])
    place = f"/v2/{repository}/blobs/"
    config = msgspec.json.decode(_ask(host, "GET", f"{place}{manifest['config']['digest']}")[1])
    content = msgspec.json.encode(config | {"architecture": architecture})
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    upload = _ask(host, "POST", f"{place}uploads/")[0]["Location"]
    _ask(host, "PUT", f"{upload}&digest={digest}".removeprefix(f"http://{host}"), content)
    manifest["config"] |= {"digest": digest, "size": len(content)}
    new = msgspec.json.encode(manifest)
    _ask(host, "PUT", f"/v2/{repository}/manifests/{architecture}", new, manifest.get("mediaType", _manifests[1]))


def _ask(host: str, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[Message, bytes]:
    headers = {"Accept": ", ".join(_manifests), "Content-Type": kind or "application/octet-stream"}
    with contextlib.closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, (path, content)
        return answer.headers, content


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/v2/")
            if connection.getresponse().status in (200, 401):
                return
        time.sleep(0.05)
    raise AssertionError(f"the registry does not answer: {log.read_text()[-2000:]}")


def publish_empty(host: str, repository: str, tags: Sequence[str]) -> None:
    """An image of no layers, under each of these tags."""
    place = f"/v2/{repository}/blobs/"
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    upload = _ask(host, "POST", f"{place}uploads/")[0]["Location"]
    _ask(host, "PUT", f"{upload}&digest={digest}".removeprefix(f"http://{host}"), config)
    kind = "application/vnd.docker.container.image.v1+json"
    described = {"mediaType": kind, "digest": digest, "size": len(config)}
    manifest = {"schemaVersion": 2, "mediaType": _manifests[0], "config": described, "layers": []}
    for tag in tags:
        _ask(host, "PUT", f"/v2/{repository}/manifests/{tag}", msgspec.json.encode(manifest), _manifests[0])
