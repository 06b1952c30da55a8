"""An S3-compatible object store for tests, in a process of its own, and ways to it that fail."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3  # type: ignore[import-untyped]

from dais.data.bucket import KEY_FILE, Bucket
from dais.data.bucket_blobs import BucketBlobs
from dais.data.store_settings import StoreSettings
from tests.support.cutting import CuttingProxy

NAME = "dais-test"
KEY = "AKIATESTTESTTESTTEST"
SECRET = "a-secret-that-nobody-may-see"
STARTED_SECONDS = 60

SERVE = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@dataclass
class ObjectStore:
    """A running one, with an empty bucket."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **changes: object) -> StoreSettings:
        values = {"bucket": NAME, "endpoint": self.url, "timeout": 20.0, "patience": 5.0, **changes}
        return StoreSettings(**values)  # type: ignore[arg-type]

    def bucket(self, data_dir: Path, **changes: object) -> Bucket:
        """The bucket as an installation of this data directory sees it."""
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / KEY_FILE).write_text(f"{KEY}\n{SECRET}\n")
        (data_dir / KEY_FILE).chmod(0o600)
        return Bucket(self.settings(**changes), data_dir)

    def blobs(self, data_dir: Path, **changes: object) -> BucketBlobs:
        return BucketBlobs(data_dir / "copies", self.bucket(data_dir, **changes))

    def empty(self) -> None:
        """Forget everything, and make the bucket anew."""
        self.tell("reset")
        s3 = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        s3.create_bucket(Bucket=NAME)

    def ask_for_keys(self, yes: bool) -> None:
        """Whether only keys that were made there are let in from now on; there are none."""
        self.tell("reset-auth", b"0" if yes else b"1000000000")

    def tell(self, what: str, data: bytes = b"") -> None:
        request = urllib.request.Request(
            f"{self.url}/moto-api/{what}", data=data, method="POST", headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request, timeout=STARTED_SECONDS).close()


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAIS_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield ObjectStore(int(process.stdout.readline()), process)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


class FailingProxy(CuttingProxy):
    """Passes so many bytes, then cuts every connection that says more, or with `stall` says nothing any more."""

    def __init__(self, port: int, limit: int, *, stall: bool = False) -> None:
        self._left = limit
        self._stall = stall
        self._count = threading.Lock()
        self._closed = threading.Event()
        super().__init__(lambda: port)

    def close(self) -> None:
        self._closed.set()
        super().close()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        super()._pass(_Counted(source, self), target)  # type: ignore[arg-type]

    def spend(self, count: int) -> bool:
        with self._count:
            self._left -= count
            spent = self._left < 0
        if spent and self._stall:
            self._closed.wait()
        return not spent


class _Counted:
    """A socket whose reading ends when the proxy's bytes are spent."""

    def __init__(self, inner: socket.socket, proxy: FailingProxy) -> None:
        self._inner = inner
        self._proxy = proxy

    def recv(self, count: int) -> bytes:
        data = self._inner.recv(count)
        return data if self._proxy.spend(len(data)) else b""

    def shutdown(self, how: int) -> None:
        self._inner.shutdown(how)

    def close(self) -> None:
        self._inner.close()
