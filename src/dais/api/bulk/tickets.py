"""Tickets: what opens the listener for one upload of one user, for a while. They are signed, and kept nowhere.

A ticket lets bytes come into what is kept aside for that upload, and nothing else: the file is put in its place by the
API, for who may do so then. One for contents lets them be stored by their digests, where nobody can read them by these
alone, and where what no file needs is freed after a day.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from dais.kit.clock import SECOND, Clock
from dais.kit.errors import Unauthenticated
from dais.kit.vault import Vault

TICKET_SECONDS = 600
"""How long a ticket opens; an upload that has begun may go on for longer."""

_purpose = "bulk upload ticket"
_proof = "bulk upload proof"


CONTENTS = "contents"
"""The key of a ticket for packs of contents, which no upload has."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """`user` may send the `size` bytes that become `path` of `folder`, kept as `key`, until `expires`.

    With the key CONTENTS, instead: may have contents stored, by their digests.
    """

    user: str
    key: str
    folder: str = ""
    path: str = ""
    size: int = 0
    expires: int = 0


_encode = msgspec.msgpack.Encoder().encode  # JSON would write some paths six times as long
_decode = msgspec.msgpack.Decoder(Ticket).decode


class Tickets:
    """Writes and reads tickets, with a key of the installation."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def issue(self, ticket: Ticket) -> str:
        """The ticket as text, good from now on for TICKET_SECONDS."""
        expires = self._clock.now() + TICKET_SECONDS * SECOND
        body = _encode(msgspec.structs.replace(ticket, expires=expires))
        text = base64.urlsafe_b64encode(body).decode().rstrip("=")
        return f"{text}.{self._vault.sign(text.encode(), _purpose)}"

    def read(self, text: str) -> Ticket:
        """What a ticket says. Raises Unauthenticated `bad-ticket`, `ticket-expired`."""
        body, _, code = text.partition(".")
        if not self._vault.has_signed(body.encode(), code, _purpose):
            raise Unauthenticated("this is no ticket of this installation; ask the API for one", code="bad-ticket")
        try:
            ticket = _decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, msgspec.DecodeError) as error:  # signed by a server of another version
            raise Unauthenticated("the ticket cannot be read; ask the API for a new one", code="bad-ticket") from error
        if ticket.expires <= self._clock.now():
            raise Unauthenticated("the ticket has expired; ask the API for a new one", code="ticket-expired")
        return ticket

    def proof(self, text: str) -> str:
        """What only this installation can say about a ticket: by it a client knows whom it has reached."""
        return self._vault.sign(text.encode(), _proof)
