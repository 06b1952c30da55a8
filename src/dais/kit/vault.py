"""The installation's keys: what must be kept secret and yet be read again is encrypted with them.

A key file holds one key a line, `<id> <base64>`, mode 0600; the last one seals, each one opens. So a key can be
replaced while what older ones sealed is still there. Sealed text names its key: `v1.<key id>.<base64>`. It is bound to
a context (whose secret it is, and how it is called), so that nobody who can write the database can make one pass for
another.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dais.kit.errors import Unavailable
from dais.kit.ids import new_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = logging.getLogger(__name__)

KEY_FILE = "secrets.key"
"""The name of the key file in a data directory."""

KEY_BYTES, NONCE_BYTES = 32, 12
VERSION = "v1"


class Vault:
    """Seals and opens with the keys of a file, which is made with a first key when there is none.

    Raises Unavailable `no-keys` when it can be neither read nor made. Servers that share a database need the same file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, bytes] = {}
        self._current = ""
        if not path.exists():
            self._write([_new_line()], replace=False)
        self._load()

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    def seal(self, plain: bytes, *context: str) -> str:
        """Encrypt (AES-256-GCM). `context` must be given again to open it."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + _cipher(self._keys[self._current]).encrypt(nonce, plain, _bound_to(context))
        return f"{VERSION}.{self._current}.{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, *context: str) -> bytes:
        """What was sealed. Raises Unavailable `key-missing` or `sealed-damaged`; neither shows anything of it."""
        from cryptography.exceptions import InvalidTag

        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        if key_id not in self._keys:
            self._load()  # another server may have made it since
        key = self._keys.get(key_id)
        if version != VERSION or key is None:
            raise Unavailable(
                f"the key {key_id[:40]!r} that a secret was encrypted with is not in {self._path}; put back the key "
                "file that belongs to this database (a backup has it), or set the secret again",
                code="key-missing",
                key=key_id[:40],
            )
        try:
            raw = base64.b64decode(text, validate=True)
            return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound_to(context))
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise Unavailable(
                "a stored secret cannot be decrypted: what is in the database was changed or damaged; set it again",
                code="sealed-damaged",
            ) from error

    def sign(self, text: bytes, *context: str) -> str:
        """An authentication code (HMAC-SHA-256) by which a text is known again that went through others' hands.

        It names its key: `<key id>.<64 hex digits>`. `context` says what it is for, and must be given again.
        """
        return f"{self._current}.{_code(self._keys[self._current], text, context)}"

    def has_signed(self, text: bytes, code: str, *context: str) -> bool:
        """Whether `code` is a `sign` of this text for the same context, by any key of the file."""
        key_id, _, digits = code.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            return False
        return hmac.compare_digest(_code(key, text, context).encode(), digits.encode())

    def rotate(self) -> str:
        """Add a key that seals from now on; its id. Older keys stay in the file: what they sealed can be opened."""
        line = _new_line()
        self._write([*self._path.read_text().splitlines(), line], replace=True)
        self._load()
        return self._current

    def _load(self) -> None:
        try:
            if self._path.stat().st_mode & 0o077:
                self._path.chmod(0o600)
                log.warning("the key file %s could be read by others; it cannot any more", self._path)
            keys = dict(_read_line(line) for line in self._path.read_text().splitlines() if line.strip())
        except (OSError, ValueError) as error:
            raise _no_keys(self._path, error) from error
        if not keys:
            raise _no_keys(self._path, "it is empty")
        self._keys, self._current = keys, next(reversed(keys))

    def _write(self, lines: list[str], *, replace: bool) -> None:
        """The file appears whole, and is on the disk before anything is sealed with its keys."""
        fresh = self._path.with_name(f".{self._path.name}.{new_id()}")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write("".join(f"{line}\n" for line in lines))
                file.flush()
                os.fsync(descriptor)
            if replace:
                fresh.replace(self._path)
            else:
                with suppress(FileExistsError):  # another server was first: its keys are the ones
                    self._path.hardlink_to(fresh)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise _no_keys(self._path, error) from error
        finally:
            fresh.unlink(missing_ok=True)


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # it takes memory, and many servers never need it

    return AESGCM(key)


def _code(key: bytes, text: bytes, context: tuple[str, ...]) -> str:
    # A key of its own for each context: no code for one purpose tells anything of another's, nor of what is encrypted.
    own = hmac.digest(key, b"sign" + _bound_to(context), "sha256")
    return hmac.digest(own, text, "sha256").hex()


def _bound_to(context: tuple[str, ...]) -> bytes:
    return msgspec.json.encode([VERSION, *context])


def _new_line() -> str:
    return f"{secrets.token_hex(4)} {base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def _read_line(line: str) -> tuple[str, bytes]:
    key_id, _, text = line.strip().partition(" ")
    key = base64.b64decode(text, validate=True)
    if not key_id or len(key) != KEY_BYTES:
        raise ValueError("a line of it is no key")
    return key_id, key


def _no_keys(path: Path, why: object) -> Unavailable:
    return Unavailable(
        f"the key file {path} cannot be used ({why}); put it back from a backup: without it no secret can be read",
        code="no-keys",
    )
