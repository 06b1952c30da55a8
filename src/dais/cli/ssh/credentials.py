"""What this machine shows the gateway, and what it knows it by: a key, its certificate, the gateway's host key.

They are in `ssh/HOST-PORT` of the configuration directory, for one server each. The private key is made here and never
leaves the machine; the certificate holds for hours and is asked for again in time.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dais.sdk.errors import Invalid, Unavailable
from dais.sdk.profiles import config_dir

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.wire.ssh import SshGateway

MARGIN_SECONDS = 15 * 60
"""A certificate that ends sooner is replaced: editors connect again long after."""
REACH_SECONDS = 3.0
BANNER = b"SSH-2.0-Dais"


@dataclass(frozen=True)
class Credentials:
    """Files for OpenSSH's options of these names. `host` and `port` are None where only the API can be reached."""

    identity: Path
    certificate: Path
    known_hosts: Path
    alias: str
    host: str
    port: int | None

    def options(self, proxy: Sequence[str]) -> dict[str, str]:
        """What ssh is told, in the order of a configuration file. `proxy` carries SSH through the API."""
        told = {
            "HostName": self.host,
            "IdentityFile": str(self.identity),
            "CertificateFile": str(self.certificate),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "HostKeyAlias": self.alias,
            "StrictHostKeyChecking": "yes",
        }
        if self.port is not None:
            told["Port"] = str(self.port)
        else:
            told["ProxyCommand"] = " ".join(quoted(word).replace("%", "%%") for word in proxy)
        return told


def quoted(word: str) -> str:
    """A word for the shell that ssh gives its commands to."""
    import shlex

    return shlex.quote(word)


def own_program() -> list[str]:
    """How this program is started again, by whatever starts ssh."""
    return [sys.executable, "-m", "dais"]


def find_program(name: str) -> str:
    """The path of a program of OpenSSH. Raises Unavailable."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(
            f"there is no {name} on this machine; install OpenSSH's client (`apt-get install openssh-client`)",
            code="no-openssh",
        )
    return found


def prepare(client: Client) -> Credentials:
    """See to it that all of it is there, and good for a while. Raises DaisError."""
    gateway, identity, known = certify(client)
    host, port = _reach(client, gateway)
    return Credentials(identity, identity.with_name("id_ed25519-cert.pub"), known, gateway.alias, host, port)


def certify(client: Client) -> tuple[SshGateway, Path, Path]:
    """The same without a look at where the gateway answers: about it, the private key's file, and known hosts."""
    gateway = client.ssh_keys.gateway()
    place = _place(client)
    identity = place / "id_ed25519"
    _make_key(identity)
    _certify(client, identity)
    known = place / "known_hosts"
    _write(known, f"{gateway.alias} {gateway.host_key}\n")
    return gateway, identity, known


def _place(client: Client) -> Path:
    parts = urlsplit(client.access.url)
    name = f"{parts.hostname}-{parts.port or (443 if parts.scheme == 'https' else 80)}".replace(":", "_")
    place = config_dir() / "ssh" / name
    try:
        for one in (place.parent, place):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(f"{place} cannot be made: {error}", code="bad-config-directory") from error
    return place


def _make_key(path: Path) -> None:
    if path.exists():
        return
    program = find_program("ssh-keygen")
    with tempfile.TemporaryDirectory(dir=path.parent) as fresh:
        made = Path(fresh) / path.name
        words = [program, "-q", "-t", "ed25519", "-N", "", "-C", "dais", "-f", str(made)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise Unavailable(f"ssh-keygen made no key: {done.stderr.strip()[:200]}", code="no-openssh")
        public = made.with_suffix(".pub")
        # The private half last: it is what tells whether both are there.
        public.replace(path.with_suffix(".pub"))
        made.replace(path)


def _certify(client: Client, identity: Path) -> None:
    """Ask for a certificate, unless there is one of this token that holds for a while."""
    kept = identity.with_name("certificate.json")
    certificate = identity.with_name("id_ed25519-cert.pub")
    token = hashlib.sha256(b"dais ssh " + (client.access.token or "").encode()).hexdigest()[:32]
    try:
        said = json.loads(kept.read_text())
        ends = datetime.datetime.fromisoformat(said["expires_at"])
        left = (ends - datetime.datetime.now(datetime.UTC)).total_seconds()
        if said["token"] == token and left > MARGIN_SECONDS and certificate.exists():
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = client.ssh_keys.certificate(identity.with_suffix(".pub").read_text())
    _write(certificate, made.certificate + "\n")
    _write(kept, json.dumps({"token": token, "user": made.user, "expires_at": made.expires_at}) + "\n")


def _reach(client: Client, gateway: SshGateway) -> tuple[str, int | None]:
    """Where the gateway answers from here; without a port where it does not."""
    host = gateway.host or urlsplit(client.access.url).hostname or "localhost"
    if gateway.port is None:
        return host, None
    try:
        with socket.create_connection((host, gateway.port), REACH_SECONDS) as sock:
            sock.settimeout(REACH_SECONDS)
            heard = b""
            while len(heard) < len(BANNER) and (part := sock.recv(len(BANNER) - len(heard))):
                heard += part
    except OSError:
        return host, None
    return host, gateway.port if heard == BANNER else None


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for the owner alone; a file that says so already is left as it is."""
    try:
        if path.read_text() == text:
            return
    except OSError:
        pass
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    fresh.replace(path)
