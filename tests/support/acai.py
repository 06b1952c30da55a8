"""ACAI's client as it is on the wire: the requests of its reference, and nothing of Dais's own client."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.installation import Installation
from tests.support.supervisor import until

PATIENCE = 60.0


class RemoteError(Exception):
    """An answer that is not 200: its status and its body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


@dataclass(frozen=True)
class Remote:
    """A server by host and port, and a token."""

    host: str
    port: int
    token: str = ""

    def get(self, service: str, call: str, **query: Any) -> Any:
        sent = urlencode({**query, "token": self.token})
        return json.loads(self.raw("GET", f"/{service}/{call}?{sent}"))

    def post(self, service: str, call: str, **body: Any) -> Any:
        sent = json.dumps({**body, **({"token": self.token} if self.token else {})}).encode()
        return json.loads(self.raw("POST", f"/{service}/{call}", sent, {"Content-Type": "application/json"}))

    def put(self, url: str, content: bytes) -> None:
        """As the client uploads: an empty file in chunks, and then once more."""
        head = {"Content-Type": "application/binary"}
        if content:
            self.raw("PUT", urlsplit(url).path, content, head)
            return
        self.raw("PUT", urlsplit(url).path, iter([]), head)
        self.raw("PUT", urlsplit(url).path, b"", head)

    def fetch(self, url: str) -> bytes:
        return self.raw("GET", urlsplit(url).path)

    def raw(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request(
                method, path, body, headers or {}, encode_chunked=body is not None and not isinstance(body, bytes)
            )
            answer = connection.getresponse()
            data = answer.read()
            if answer.status not in (200, 201):
                raise RemoteError(answer.status, data.decode())
            assert answer.headers["content-length"] == str(len(data))
            return data
        finally:
            connection.close()

    def upload(self, files: dict[str, bytes]) -> list[str]:
        """A session from its start to its end; the versions."""
        started = self.post(
            "storage",
            "start_file_upload_session",
            storage_class="frequent",
            paths=list(files),
            hashes=["0" * 32] * len(files),
        )
        for one, content in zip(started["files"], files.values(), strict=True):
            self.put(one["s3_url"], content)
        done = self.post(
            "storage",
            "finish_upload",
            session_id=started["session_id"],
            paths=started["file_ids"],
            sizes=[len(content) for content in files.values()],
        )
        self.post("storage", "finish_file_upload_session", session_id=started["session_id"])
        return list(done["uploaded_file_ids"])


def project(place: Installation, name: str) -> Remote:
    """A new project's administrator."""
    remote = Remote("127.0.0.1", place.port)
    made = remote.post(
        "credential",
        "create_project",
        project_id=name,
        budget=10,
        admin_token=place.token,
        csp="AWS",
        project_admin_name="boss",
    )
    assert isinstance(made["project_admin_id"], int)
    return replace(remote, token=made["project_admin_token"])


def zipped(**files: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return sink.getvalue()


def ended(remote: Remote, number: int) -> str:
    """The status that a job ends with."""
    last = ""

    def over() -> bool:
        nonlocal last
        (one,) = remote.post("job_monitor", "job_status", ids=[number])
        last = one["job_status"]
        return last in ("Finished", "Failed", "Killed", "ContainerCrashed")

    until(over, f"job {number} has ended")
    return last
