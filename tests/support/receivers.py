"""Who is told that jobs have ended: a real HTTP server and a real mail server, each in a thread."""

from __future__ import annotations

import datetime
import ipaddress
import queue
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PATIENCE = 30.0
"""Seconds after which a message that must come has not come."""


@dataclass(frozen=True)
class Received:
    """One request. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Hooks:
    """Takes webhooks. `answers` are the next statuses, 200 when none is left; 0 says nothing for long."""

    url: str
    port: int
    answers: list[int] = field(default_factory=list)
    location: str = ""
    padding: int = 0
    """Bytes of a header beside."""
    held: threading.Event = field(default_factory=threading.Event)
    _came: queue.Queue[Received] = field(default_factory=queue.Queue)

    def next(self) -> Received:
        """The next request, which must come."""
        return self._came.get(timeout=PATIENCE)

    @property
    def count(self) -> int:
        """Requests that nobody has looked at."""
        return self._came.qsize()


@contextmanager
def hooks(host: str = "127.0.0.1", *, context: ssl.SSLContext | None = None) -> Iterator[Hooks]:
    """A receiver of webhooks; with a context it speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            made._came.put(Received(self.path, headers, self.rfile.read(length)))
            status = made.answers.pop(0) if made.answers else 200
            if status == 0:
                made.held.wait(PATIENCE)
                return
            self.send_response(status)
            if made.location:
                self.send_header("Location", made.location)
            if made.padding:
                self.send_header("X-Padding", "x" * made.padding)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that refuses our certificate breaks off

    with Server((host, 0), Handler) as server:
        port = server.server_address[1]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made = Hooks(f"{'https' if context else 'http'}://{host}:{port}/hook?room=7", port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            made.held.set()
            server.shutdown()
            thread.join()


@dataclass
class Mailbox:
    """Takes mail. `refuse` answers every recipient so."""

    port: int
    refuse: str = ""
    signed_in: list[str] = field(default_factory=list)
    secured: int = 0
    _came: queue.Queue[tuple[list[str], bytes]] = field(default_factory=queue.Queue)

    def next(self) -> tuple[list[str], bytes]:
        """Recipients and text of the next mail, which must come."""
        return self._came.get(timeout=PATIENCE)

    @property
    def count(self) -> int:
        return self._came.qsize()


@contextmanager
def mailbox(context: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A mail server; with a context it offers STARTTLS, and lets people sign in."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        def handle(self) -> None:
            self.say("220 here")
            recipients: list[str] = []
            while line := self.rfile.readline():
                word = line.decode().strip()
                match word.partition(" ")[0].upper():
                    case "EHLO":
                        self.say(*(["250-here", "250-STARTTLS", "250 AUTH PLAIN"] if context else ["250 here"]))
                    case "STARTTLS":
                        assert context is not None
                        self.say("220 go on")
                        self.connection = context.wrap_socket(self.connection, server_side=True)
                        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                        made.secured += 1
                    case "AUTH":
                        made.signed_in.append(word)
                        self.say("235 welcome")
                    case "RCPT":
                        recipients.append(word.partition("<")[2].partition(">")[0])
                        self.say(made.refuse or "250 fine")
                    case "DATA":
                        self.say("354 go on")
                        made._came.put((recipients, self._text()))
                        recipients = []
                        self.say("250 taken")
                    case "QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 fine")

        def finish(self) -> None:
            super().finish()
            self.connection.close()  # the one that speaks TLS is another than the server's

        def _text(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".").replace(b"\r\n", b"\n"))
            return b"".join(lines)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Mailbox(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def certificate(directory: Path, names: Sequence[str]) -> tuple[Path, ssl.SSLContext]:
    """A certificate that signs itself, for these names or addresses: its file, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Dais's tests")])
    known: list[x509.GeneralName] = []
    for text in names:
        try:
            known.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            known.append(x509.DNSName(text))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, key_file = directory / "certificate.pem", directory / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context
