"""OpenSSH's own clients, pointed at the gateway of an installation."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.installation import Installation
from tests.support.needs import needs_program
from tests.support.supervisor import until

PATIENCE = 60.0


def public_key(number: int) -> str:
    """The line of a public key of which nobody has the private half."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} ann@laptop-{number}"


def new_key(path: Path, *words: str) -> Path:
    """A pair of keys: the private one is in `path`, the public one beside it."""
    kind = words or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "somebody@laptop", *kind, "-f", str(path)], check=True)
    return path


def free_port() -> int:
    """One that nobody has on this machine now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something on this machine takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@dataclass
class Laptop:
    """A directory with a key that the gateway knows, and its host key."""

    of: Installation
    place: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="dais-ssh-")))
    key: Path = field(init=False)
    about: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        needs_program("ssh", "openssh-client")
        self.key = new_key(self.place / "id")
        self.learn()

    def learn(self) -> None:
        """Ask the installation where its gateway is, and what it is known by."""
        self.about = self.of.ask("GET", "/v1/ssh").json
        (self.place / "known_hosts").write_text(f"{self.about['alias']} {self.about['host_key']}\n")

    def enrol(self, key: Path | None = None, token: str | None = None) -> Any:
        """Let the token's user in by a key; what the API answers."""
        me = self.of.ask("GET", "/v1/me", token=token).json["id"]
        public = (key or self.key).with_suffix(".pub").read_text()
        return self.of.ask("POST", f"/v1/users/{me}/ssh-keys", {"public": public}, token=token)

    def options(self, *, key: Path | None = None) -> list[str]:
        """What every client of OpenSSH is told to get there."""
        told = {
            "Port": self.about["port"],
            "IdentityFile": key or self.key,
            "IdentitiesOnly": "yes",
            "HostKeyAlias": self.about["alias"],
            "UserKnownHostsFile": self.place / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return ["-F", "/dev/null", *(f"-o{name}={value}" for name, value in told.items())]

    def ssh(
        self, job: str, *command: str, options: tuple[str, ...] = (), key: Path | None = None, **how: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ssh to its end."""
        words = ["ssh", *self.options(key=key), *options, f"{job}@127.0.0.1", *command]
        return self.run(words, **how)

    def start(self, job: str, *command: str, options: tuple[str, ...] = (), **how: Any) -> subprocess.Popen[bytes]:
        """The same, while it runs."""
        words = ["ssh", *self.options(), *options, f"{job}@127.0.0.1", *command]
        how.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, **how)

    def run(self, words: list[str], **how: Any) -> subprocess.CompletedProcess[bytes]:
        how.setdefault("input", b"")
        return subprocess.run(words, capture_output=True, timeout=PATIENCE, check=False, env=self.environment, **how)

    @contextlib.contextmanager
    def forwarding(self, job: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to one of the job's (`ssh -L`)."""
        own = free_port()
        running = self.start(job, options=("-N", f"-L{own}:localhost:{port}"))
        try:
            until(lambda: listens(own), "ssh listens")
            yield own
        finally:
            running.terminate()
            running.communicate(timeout=PATIENCE)

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "DAIS_", "LC_"))}


@contextlib.contextmanager
def laptop_of(installation: Installation) -> Iterator[Laptop]:
    """A laptop whose key the gateway knows; its directory is removed at the end."""
    made = Laptop(installation)
    try:
        assert made.enrol().status == 201
        yield made
    finally:
        shutil.rmtree(made.place)
