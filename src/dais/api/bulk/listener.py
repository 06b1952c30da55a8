"""The listener for large uploads: a thread for each connection, which receives into a buffer and writes that.

    GET /v1/uploads/{key}              how much has come, and the proof that this is the installation's listener
    PUT /v1/uploads/{key}?offset=N     the content from there on, to its end or to any place before it

both with `Authorization: Ticket …` from `POST /v1/folders/{ref}/uploads`. Nothing is seen of the file until the API is
told its digest. And, with a ticket from `POST /v1/contents/bulk`, contents by their digests:

    GET  /v1/contents/pack             the proof
    POST /v1/contents/pack             a pack, as the API takes it
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dais.api.access import AccessLog, RequestIds
from dais.api.auth import refusal_of_address, tokens_in_address
from dais.api.bulk.connection import Connection, Cut, Head
from dais.api.bulk.rooms import Rooms
from dais.api.bulk.tickets import CONTENTS, Ticket, Tickets
from dais.api.context import Services
from dais.api.errors import HttpProblem
from dais.api.meter import RouteMeter
from dais.api.server import listen
from dais.api.settings import BulkSettings
from dais.data import check_upload, store_contents, write_piece
from dais.identity import revoke_secret
from dais.kit.errors import Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from dais.wire.transfers import MAX_PACK, BulkPlace, BulkState, Stored

log = logging.getLogger(__name__)

BUFFER = 1 << 20
"""Bytes that are received before they are written; so much memory an upload takes."""

CLOSING_SECONDS = 5.0
"""How long a stop waits for threads that are in the midst of a write."""

_target = re.compile(rb"/v1/uploads/([0-9a-f]{64})(?:\?offset=(\d{1,18}))?")
PACKS = "/v1/contents/pack"


class BulkListener:
    """Takes connections on `sock` from `start` until `stop`. `now` is a clock in seconds that never goes back."""

    def __init__(
        self,
        services: Services,
        sock: socket.socket,
        settings: BulkSettings,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._sock = sock
        self._settings = settings
        self._now = now
        self._tickets = Tickets(services.vault, services.clock)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._uploads: dict[str, int] = {}
        self._rooms = Rooms(settings.packs, MAX_PACK, now=now)
        self._stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name="dais-bulk", daemon=True)
        self._ids = RequestIds()
        self._access = AccessLog(services.settings.get("server"))
        self._meters = {method: services.meter.of(method, "/v1/uploads/{key}") for method in ("GET", "PUT")}
        self._pack_meters = {method: services.meter.of(method, f"{PACKS} (bulk)") for method in ("GET", "POST")}
        self._unrouted = services.meter.of("", "(none, bulk)")

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def place(self, ticket: Ticket) -> BulkPlace:
        """Where and how an upload may be sent."""
        text = self._tickets.issue(ticket)
        return BulkPlace(port=self.port, url=self._settings.url, ticket=text, proof=self._tickets.proof(text))

    def start(self) -> None:
        self._sock.setblocking(True)
        self._accepting.start()

    def stop(self) -> None:
        """Take no more, and cut what is under way; what has come of it is kept."""
        self._stopping.set()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._accepting.join(CLOSING_SECONDS)
        self._sock.close()
        with self._lock:
            left = dict(self._open)
        for sock in left:
            with suppress(OSError):  # it has ended meanwhile
                sock.shutdown(socket.SHUT_RD)
        until = time.monotonic() + CLOSING_SECONDS
        for thread in left.values():
            thread.join(max(0.0, until - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                log.warning("a connection for an upload could not be taken: %s", error)
                self._stopping.wait(0.1)  # out of file descriptors: some are given back soon
                continue
            thread = threading.Thread(target=self._serve, args=(sock,), name="dais-bulk-upload", daemon=True)
            with self._lock:
                full = len(self._open) >= self._settings.connections
                if not full:
                    self._open[sock] = thread
            if full:
                self._turn_away(sock)
            else:
                thread.start()

    def _turn_away(self, sock: socket.socket) -> None:
        """There is no thread for it: the client is told what can be told without waiting."""
        error = Unavailable("all connections for uploads are in use; send it to the API", code="busy", retry_after=1)
        with sock, suppress(Cut):
            sock.setblocking(False)
            Connection(sock, 0, 0).tell(error)
            self._unrouted.note(503, 0.0)

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock:
                connection = Connection(sock, self._settings.patience_seconds, self._settings.slowest, self._now)
                while not self._stopping.is_set() and self._request(connection):
                    pass
        except Cut:
            pass
        except Exception:
            log.exception("a connection for an upload failed")
        finally:
            with self._lock:
                del self._open[sock]
                if not self._open:
                    self._rooms.shed()

    def _request(self, connection: Connection) -> bool:
        """Answer one request; whether another may follow."""
        meter, status, user = self._unrouted, 0, None
        begun = time.perf_counter()
        request_id = self._ids.next()
        try:
            head = connection.head()
            if head is None:
                return False
            begun = time.perf_counter()
            key, offset, meter = self._find(head)
            ticket, text = self._admit(head, key)
            user = ticket.user
            state: BulkState | Stored
            if head.method == "GET":
                have = 0 if key == CONTENTS else self._have(ticket)
                state = BulkState(offset=have, proof=self._tickets.proof(text))
            elif key == CONTENTS:
                state = self._receive_pack(connection, head, ticket.user)
            else:
                state = self._receive(connection, head, ticket, offset)
            status = 200
            connection.answer(state, close=not head.keep_alive)
            return head.keep_alive
        except Cut:
            return False
        except Exception as error:
            status = connection.refuse(error)
            return False
        finally:
            if meter is not self._unrouted or status:
                self._note(meter, status, time.perf_counter() - begun, request_id, user)

    def _find(self, head: Head) -> tuple[str, int, RouteMeter]:
        """The key and the offset of a request's address, and what counts it. Raises HttpProblem, NotFound, Invalid."""
        path, _, query = head.target.partition(b"?")
        if secrets := tokens_in_address(query, path):
            for secret in secrets:
                self._services.db.write_sync(revoke_secret, secret, "in-address")
            raise refusal_of_address()
        found = _target.fullmatch(head.target)
        packs = head.target == PACKS.encode()
        if found is None and not packs:
            raise NotFound("there are uploads here alone, as /v1/uploads/KEY?offset=BYTE", code="no-such-path")
        meters = self._pack_meters if packs else self._meters
        if head.method not in meters:
            allow = {"allow": ", ".join(meters)}
            what = f"{' or '.join(meters)} it"
            raise HttpProblem(405, "This method is not known here", what, code="method-not-allowed", headers=allow)
        if head.method == "GET" and head.length:
            raise Invalid("a GET has no body", code="bad-request")
        if found is None:
            return CONTENTS, 0, meters[head.method]
        return found[1].decode(), int(found[2] or 0), meters[head.method]

    def _admit(self, head: Head, key: str) -> tuple[Ticket, str]:
        """The ticket that opens this upload, and its text. Raises Unauthenticated, Forbidden `wrong-ticket`."""
        scheme, _, text = head.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"ticket":
            raise Unauthenticated("send Authorization: Ticket TICKET, as the API gave it", code="ticket-missing")
        given = text.strip().decode("latin-1")
        ticket = self._tickets.read(given)
        if ticket.key != key:
            raise Forbidden("the ticket is for another upload; ask the API for one for this", code="wrong-ticket")
        return ticket, given

    def _have(self, ticket: Ticket) -> int:
        return check_upload(self._services.folders, ticket.folder, ticket.key)

    def _receive_pack(self, connection: Connection, head: Head, user: str) -> Stored:
        length = _length_of(head)
        if length > MAX_PACK:
            raise Invalid(f"a pack has at most {MAX_PACK:,} bytes, not {length:,}; send several", code="bad-pack")
        blobs = self._services.blobs
        blobs.check_space(length)
        room_of_user = self._rooms.taken(user, connection.give_way)
        with self._counted(user), self._services.limits.upload(user, length), room_of_user as room:
            connection.go_on(head)
            data = room[:length]
            if connection.fill(data) < length:
                raise connection.broken
            return Stored(entries=store_contents(blobs, data))

    def _receive(self, connection: Connection, head: Head, ticket: Ticket, offset: int) -> BulkState:
        length = _length_of(head)
        if offset + length > ticket.size:
            raise Invalid(
                f"{length} bytes from {offset} on do not lie within the {ticket.size} of the upload", code="bad-piece"
            )
        store = self._services.folders
        have = self._have(ticket)
        store.check_space(offset + length - have)
        with self._counted(ticket.user), self._services.limits.upload(ticket.user, BUFFER):
            connection.go_on(head)
            buffer = memoryview(bytearray(min(BUFFER, length)))
            end = offset + length
            while offset < end:
                wanted = min(len(buffer), end - offset)
                got = connection.fill(buffer[:wanted])
                if got:
                    piece = buffer[:got]
                    received = write_piece(
                        store, ticket.folder, ticket.path, piece, offset=offset, size=ticket.size, key=ticket.key
                    )
                    offset, have = offset + got, received.offset
                if self._stopping.is_set():
                    raise Unavailable("the server stops; go on when it is back", code="stopping", retry_after=1)
                if got < wanted:
                    raise connection.broken
        return BulkState(offset=have)

    @contextmanager
    def _counted(self, user: str) -> Iterator[None]:
        """Raises TooMany when a user has as many uploads under way here as one may."""
        limit = self._settings.user_connections
        with self._lock:
            count = self._uploads.get(user, 0)
            if count >= limit:
                raise TooMany(
                    f"you have {limit:,} large uploads under way, which is the limit; send it to the API, or wait",
                    code="too-many-uploads",
                    limit=limit,
                    retry_after=1.0,
                )
            self._uploads[user] = count + 1
        try:
            yield
        finally:
            with self._lock:
                self._uploads[user] -= 1
                if not self._uploads[user]:
                    del self._uploads[user]

    def _note(self, meter: RouteMeter, status: int, seconds: float, request_id: str, user: str | None) -> None:
        with self._lock:
            meter.note(status, seconds)
            # A large upload takes long, and is not slow therefore.
            self._access.note(meter, status, seconds if meter.method == "GET" else 0.0, request_id, user)


def _length_of(head: Head) -> int:
    if head.length is None:
        raise HttpProblem(411, "A length is needed", "send Content-Length, no chunks", code="length-required")
    return head.length


@contextmanager
def listening(services: Services, host: str, settings: BulkSettings) -> Iterator[None]:
    """Listen while the block runs, if that is wanted; uploads are told where. Raises Unavailable `port-in-use`."""
    if not settings.listen:
        yield
        return
    listener = BulkListener(services, listen(host, settings.port, "DAIS_BULK_PORT"), settings)
    listener.start()
    services.parts.bulk = listener
    log.info("large uploads are taken", extra={"port": listener.port})
    try:
        yield
    finally:
        services.parts.bulk = None
        listener.stop()
