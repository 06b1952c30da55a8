"""The gateway's own keys: what it is known by, and what it signs users' certificates with.

Each is made once and lies in the data directory, sealed with the installation's keys, so that a copy of the directory
without those is worth nothing, and a backup (which takes `*.key`) brings the same host back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from dais.kit.errors import Unavailable
from dais.kit.vault import Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HOST_FILE, AUTHORITY_FILE = "ssh-host.key", "ssh-ca.key"


class Keyring:
    """Reads the keys of a data directory when they are first needed, or makes them.

    Raises Unavailable `no-ssh-keys` when one can be neither read nor made.
    """

    def __init__(self, data_dir: Path, vault: Vault) -> None:
        self._data_dir = data_dir
        self._vault = vault
        self._read: dict[str, str] = {}

    @property
    def host(self) -> str:
        """The host key, as OpenSSH writes a private one."""
        return self._key(HOST_FILE)

    @property
    def authority(self) -> str:
        """What certificates are signed with."""
        return self._key(AUTHORITY_FILE)

    @property
    def host_line(self) -> str:
        """The public half of the host key, `ssh-ed25519 AAAA…`."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = _load(self.host).public_key()
        return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def _key(self, name: str) -> str:
        if name not in self._read:
            path = self._data_dir / name
            try:
                if not path.exists():
                    _write(path, self._vault.seal(_new_key(), "ssh", name))
                found = self._vault.open(path.read_text().strip(), "ssh", name).decode()
                _load(found)
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"the key {path} of the SSH gateway cannot be read or made: {error}; put it back from a backup, or "
                    "move it away to have another made, which every client will ask about",
                    code="no-ssh-keys",
                ) from error
            self._read[name] = found
        return self._read[name]


def _load(text: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    key = load_ssh_private_key(text.encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is of another kind")
    return key


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def _write(path: Path, text: str) -> None:
    """Whole or not at all, for the owner alone; one that another process has made meanwhile stays."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
