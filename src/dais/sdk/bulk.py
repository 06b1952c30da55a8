"""The way of large contents past the API: a connection of their own to the server's listener for bulk data."""

from __future__ import annotations

import hmac
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec

from dais.sdk.errors import Unreachable
from dais.wire.lake import Chunk
from dais.wire.transfers import PACK_TYPE, BulkPlace, BulkState, PackEntry, Stored, pack_header

if TYPE_CHECKING:
    import http.client

    from dais.sdk.open_file import OpenFile

T = TypeVar("T")

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


class _Link:
    """A connection to the listener. Every method blocks and raises Unreachable, whatever it is that does not work."""

    def __init__(self, address: str, target: str, place: BulkPlace) -> None:
        import http.client  # it takes time, and most commands send nothing large

        found = urlsplit(address)
        kind = http.client.HTTPSConnection if found.scheme == "https" else http.client.HTTPConnection
        self._errors = (OSError, http.client.HTTPException, msgspec.MsgspecError)
        self._address = address
        self._target = target
        self._headers = {"Authorization": f"Ticket {place.ticket}"}
        self._proof = place.proof
        self._connection: http.client.HTTPConnection = kind(found.hostname or "", found.port, timeout=CONNECT_SECONDS)

    def open(self) -> int:
        """Connect, and see that it is the right server; how much of the content has come there."""
        try:
            self._connection.request("GET", self._target, headers=self._headers)
            state = self._answer(BulkState)
            self._connection.sock.settimeout(SILENCE_SECONDS)
        except self._errors as error:
            raise self._broken(error) from error
        if not hmac.compare_digest(state.proof.encode(), self._proof.encode()):
            raise self._broken("it is another server")
        return state.offset

    def close(self) -> None:
        self._connection.close()

    def _begin(self, method: str, target: str, length: int, kind: str) -> None:
        """Say that a body of so many bytes follows."""
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**self._headers, "Content-Length": str(length), "Content-Type": kind}.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()

    def _put(self, source: OpenFile, offset: int, count: int) -> None:
        """Send bytes of a file. Raises Invalid `file-changed` when there are fewer."""
        if self._connection.sock.sendfile(source.file, offset, count) < count:
            raise source.changed()

    def _refuse_early(self) -> None:
        """Raises Unreachable when there is an answer already: its words tell why it does not want more."""
        if select.select([self._connection.sock], [], [], 0)[0]:
            self._answer(BulkState)
            raise self._broken("it answered too early")

    def _answer(self, type_: type[T]) -> T:
        response = self._connection.getresponse()
        body = response.read(1 << 16)
        if response.status not in (200, 201):
            raise self._broken(f"it answered {response.status}: {body[:300]!r}")
        return msgspec.json.decode(body, type=type_)

    def _broken(self, why: object) -> Unreachable:
        return Unreachable(f"{self._address} took no upload ({why})", sent=True)


class BulkLink(_Link):
    """For one upload into a folder, which has a `key`."""

    def __init__(self, address: str, key: str, place: BulkPlace) -> None:
        super().__init__(address, f"/v1/uploads/{key}", place)

    def begin(self, offset: int, length: int) -> None:
        """Say that so many bytes follow, from an offset on."""
        try:
            self._begin("PUT", f"{self._target}?offset={offset}", length, "application/octet-stream")
        except self._errors as error:
            raise self._broken(error) from error

    def send(self, source: OpenFile, offset: int, count: int) -> None:
        """Send bytes of a file. Raises Invalid `file-changed` when there are fewer."""
        try:
            self._refuse_early()
            self._put(source, offset, count)
        except self._errors as error:
            raise self._broken(error) from error

    def end(self) -> int:
        """Wait until all that was sent has been received; how much there is then."""
        try:
            return self._answer(BulkState).offset
        except self._errors as error:
            raise self._broken(error) from error


class PackLink(_Link):
    """For packs of contents, one after the other."""

    def __init__(self, address: str, place: BulkPlace) -> None:
        super().__init__(address, "/v1/contents/pack", place)

    def send(self, source: OpenFile, parts: Sequence[tuple[int, Chunk]]) -> None:
        """Have parts of a file stored, each from its offset on. Raises Invalid `file-changed`."""
        heads = [pack_header(PackEntry(size=chunk.size, digest=chunk.digest)) for _, chunk in parts]
        length = sum(len(head) for head in heads) + sum(chunk.size for _, chunk in parts)
        try:
            self._begin("POST", self._target, length, PACK_TYPE)
            for head, (offset, chunk) in zip(heads, parts, strict=True):
                self._refuse_early()
                self._connection.sock.sendall(head, socket.MSG_MORE)
                self._put(source, offset, chunk.size)
            self._answer(Stored)
        except self._errors as error:
            raise self._broken(error) from error
