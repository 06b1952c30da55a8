"""Addresses that open one thing for a while: to upload one file of a session, or to download one version.

Each was made with a token, and opens no more than that one would now: it ends with the token, with its user, and with
the right to the file.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from dais.identity import Actor
from dais.kit.clock import SECOND, Clock
from dais.kit.errors import Forbidden
from dais.kit.vault import Vault

PLACE = "/storage/content/"
_purpose = "acai-link"


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What an address is for: `put` or `get`, of the session's file or the version, by which token, until when (µs)."""

    use: str
    id: str
    number: int
    token_id: str
    until: int


class Links:
    """Makes addresses and reads them. They are signed with the installation's key, and kept nowhere."""

    def __init__(self, vault: Vault, clock: Clock, seconds: int, base: str) -> None:
        self._vault = vault
        self._clock = clock
        self._seconds = seconds
        self._base = base

    def put(self, actor: Actor, session_id: str, number: int) -> str:
        """The address at which a file of a session is uploaded."""
        return self._made("put", session_id, number, actor)

    def get(self, actor: Actor, version_id: str) -> str:
        """The address at which a version of a file is downloaded."""
        return self._made("get", version_id, 0, actor)

    def _made(self, use: str, what: str, number: int, actor: Actor) -> str:
        assert actor.token_id is not None, "who asks here has shown a token"
        link = Link(use, what, number, actor.token_id, self._clock.now() + self._seconds * SECOND)
        text = base64.urlsafe_b64encode(msgspec.json.encode(link)).decode().rstrip("=")
        return f"{self._base}{PLACE}{text}.{self._vault.sign(text.encode(), _purpose)}"


def read_link(vault: Vault, clock: Clock, path: str, use: str) -> Link:
    """What an address opens. Raises Forbidden for one that is altered, expired, or made for another use."""
    text, _, code = path.removeprefix(PLACE).partition(".")
    try:
        if not vault.has_signed(text.encode(), code, _purpose):
            raise ValueError
        link = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Link)
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise Forbidden("this address was not made here, or was altered; ask for another", code="bad-link") from error
    if link.use != use:
        raise Forbidden(f"this address is good for {link.use.upper()} alone", code="bad-link")
    if link.until <= clock.now():
        raise Forbidden("this address has expired; ask for another", code="link-expired")
    return link
