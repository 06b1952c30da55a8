"""The way of large contents past the API: a connection of their own to the server's listener for bulk data."""

from __future__ import annotations

import hmac
import select
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from dais.sdk.errors import Unreachable
from dais.wire.transfers import BulkPlace, BulkState

if TYPE_CHECKING:
    import http.client

    from dais.sdk.open_file import OpenFile

CONNECT_SECONDS = 5.0
"""How long the connection, and the first answer, are waited for: without them the API takes the content."""

SILENCE_SECONDS = 60.0
"""How long a content may rest on its way."""


def address_of(api: str, place: BulkPlace) -> str | None:
    """Where the listener is, for who reaches the API at the address `api`; None: nowhere safe.

    Without an address of its own it speaks no TLS. Who protects the API with TLS does not want contents in the clear.
    """
    if place.url:
        return place.url
    found = urlsplit(api)
    if found.scheme != "http" or not found.hostname:
        return None
    host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
    return f"http://{host}:{place.port}"


class BulkLink:
    """A connection for one upload. Every method blocks and raises Unreachable, whatever it is that does not work."""

    def __init__(self, address: str, key: str, place: BulkPlace) -> None:
        import http.client  # it takes time, and most commands send nothing large

        found = urlsplit(address)
        kind = http.client.HTTPSConnection if found.scheme == "https" else http.client.HTTPConnection
        self._errors = (OSError, http.client.HTTPException, msgspec.MsgspecError)
        self._address = address
        self._target = f"/v1/uploads/{key}"
        self._headers = {"Authorization": f"Ticket {place.ticket}"}
        self._proof = place.proof
        self._connection: http.client.HTTPConnection = kind(found.hostname or "", found.port, timeout=CONNECT_SECONDS)

    def open(self) -> int:
        """Connect, and see that it is the right server; how much of the content has come there."""
        try:
            self._connection.request("GET", self._target, headers=self._headers)
            state = self._answer()
            self._connection.sock.settimeout(SILENCE_SECONDS)
        except self._errors as error:
            raise self._broken(error) from error
        if not hmac.compare_digest(state.proof.encode(), self._proof.encode()):
            raise self._broken("it is another server")
        return state.offset

    def begin(self, offset: int, length: int) -> None:
        """Say that so many bytes follow, from an offset on."""
        headers = {**self._headers, "Content-Length": str(length), "Content-Type": "application/octet-stream"}
        try:
            self._connection.putrequest("PUT", f"{self._target}?offset={offset}", skip_accept_encoding=True)
            for name, value in headers.items():
                self._connection.putheader(name, value)
            self._connection.endheaders()
        except self._errors as error:
            raise self._broken(error) from error

    def send(self, source: OpenFile, offset: int, count: int) -> None:
        """Send bytes of a file. Raises Invalid `file-changed` when there are fewer."""
        sock = self._connection.sock
        try:
            if select.select([sock], [], [], 0)[0]:
                self._answer()  # it does not want more: its words tell why
                raise self._broken("it answered too early")
            sent = sock.sendfile(source.file, offset, count)
        except self._errors as error:
            raise self._broken(error) from error
        if sent < count:
            raise source.changed()

    def end(self) -> int:
        """Wait until all that was sent has been received; how much there is then."""
        try:
            return self._answer().offset
        except self._errors as error:
            raise self._broken(error) from error

    def close(self) -> None:
        self._connection.close()

    def _answer(self) -> BulkState:
        response = self._connection.getresponse()
        body = response.read(1 << 16)
        if response.status != 200:
            raise self._broken(f"it answered {response.status}: {body[:300]!r}")
        return msgspec.json.decode(body, type=BulkState)

    def _broken(self, why: object) -> Unreachable:
        return Unreachable(f"{self._address} took no upload ({why})", sent=True)
