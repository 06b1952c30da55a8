"""OpenSSH's server on a port of this machine, run by the one user that it lets in."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import needs_program
from tests.support.slurm import until

SSHD = "/usr/sbin/sshd"


class LoginNode:
    """A machine to log in to. `known` has its host key, `key` is the one that it knows; `log` is what it says."""

    def __init__(self, place: Path, user: pwd.struct_passwd) -> None:
        self.place = place
        self.user = user
        self.name = f"{user.pw_name}@127.0.0.1"
        self.key, self.known = place / "id", place / "known_hosts"
        self._daemon: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    def options(self, *, key: Path | None = None, known: Path | None = None) -> tuple[str, ...]:
        """What ssh is told to get there."""
        return (
            f"-oPort={self.port}",
            f"-oIdentityFile={key or self.key}",
            "-oIdentitiesOnly=yes",
            f"-oUserKnownHostsFile={known or self.known}",
        )

    def new_key(self, name: str) -> Path:
        path = self.place / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        for made in (path, path.with_suffix(".pub")):
            os.chown(made, self.user.pw_uid, self.user.pw_gid)
        return path

    def know(self, host_key: Path) -> None:
        """Write down that this is the machine's key."""
        kind, content, *_ = host_key.with_suffix(".pub").read_text().split()
        self.known.write_text(f"[127.0.0.1]:{self.port} {kind} {content}\n")

    @property
    def connections(self) -> int:
        """How many have been let in so far."""
        return (self.place / "log").read_text().count("Accepted publickey")

    def begin(self) -> None:
        self.new_key("id")
        host = self.new_key("host")
        self.know(host)
        settings = {"ListenAddress": f"127.0.0.1:{self.port}", "HostKey": host, "PidFile": "none", "UsePAM": "no",
                    "AuthorizedKeysFile": f"{self.key}.pub", "StrictModes": "no", "PasswordAuthentication": "no",
                    "LogLevel": "VERBOSE", "Subsystem": "sftp internal-sftp"}  # fmt: skip
        words = [f"-o{name}={value}" for name, value in settings.items()]
        with (self.place / "log").open("wb") as log:
            self._daemon = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", "/dev/null", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user.pw_uid,
                group=self.user.pw_gid,
                extra_groups=[],
                start_new_session=True,
            )
        until(lambda: b"Server listening" in (self.place / "log").read_bytes(), "sshd")

    def end(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()


@contextlib.contextmanager
def login_node(user: pwd.struct_passwd) -> Iterator[LoginNode]:
    """A login node for this user; skips where OpenSSH is not installed."""
    needs_program(SSHD, "openssh-server")
    needs_program("ssh", "openssh-client")
    place = Path(tempfile.mkdtemp(prefix="dais-sshd-"))
    os.chown(place, user.pw_uid, user.pw_gid)
    node = LoginNode(place, user)
    try:
        node.begin()
        yield node
    finally:
        node.end()
        shutil.rmtree(place)
