"""A program of somebody else on the port where clients look for the listener for bulk data."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dais.api.bulk import BulkListener, Ticket
from dais.wire.transfers import BulkPlace
from tests.support.serving import PATIENCE


@contextmanager
def impostor(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Somebody else on a port, who answers everything alike; and all that was said to him."""
    heard: list[bytes] = []
    sock = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = sock.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                heard.append(connection.recv(65_536))
                connection.sendall(answer)
                while more := connection.recv(65_536):
                    heard.append(more)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield sock.getsockname()[1], heard
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        sock.close()


class Elsewhere(BulkListener):
    """Sends clients to another port than its own."""

    elsewhere = 0

    def place(self, ticket: Ticket) -> BulkPlace:
        true = super().place(ticket)
        return BulkPlace(port=self.elsewhere, url="", ticket=true.ticket, proof=true.proof)
