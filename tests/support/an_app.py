"""A program for jobs that tests reach through Dais: an HTTP server by hand, so that it can also answer wrongly.

Run as `python3 -c SOURCE PORT [DELAY]`; it needs the standard library alone.
"""

import base64
import hashlib
import http.server
import json
import sys
import threading
import time
from collections.abc import Callable

PORT = int(sys.argv[1])
RAW: dict[str, bytes] = {
    "/raw/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/raw/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "/raw/bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "/raw/fold": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c: d\r\nContent-Length: 2\r\n\r\nok",
    "/raw/noise": b"hello, I am no server of the web\r\n\r\n",
    "/raw/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "/raw/nothing": b"",
    "/raw/to-end": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    "/raw/early": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/raw/unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "/raw/split": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "/raw/chunk-extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-T: t\r\n\r\n",
    "/raw/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "/raw/cookies": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    b"Set-Cookie: mine=1; Domain=job.localhost; Path=/; HttpOnly\r\nSet-Cookie: dais_session=stolen; Path=/\r\n"
    b'Set-Cookie: __Host-dais_app_x=1; Secure; Path=/\r\nClear-Site-Data: "cookies"\r\n\r\nok',
}


PAGE = """<!doctype html><html lang="en"><title>The app</title><h1>The app</h1>
<p id="cookies">COOKIES</p><p id="said"></p>
<script>
const said = document.getElementById("said");
const socket = new WebSocket(location.origin.replace("http", "ws") + "/talk");
socket.onopen = () => socket.send("hello");
socket.onmessage = ({ data }) => { said.textContent = data; };
socket.onclose = () => { said.textContent = "closed"; };
</script></html>"""
"""A page that shows which cookies its server was sent, and what comes back over a WebSocket."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in RAW:
            self.wfile.write(RAW[path])
            self.close_connection = True
        elif path == "/flood":
            self.flood()
        elif path == "/stream":
            self.stream()
        elif path == "/socket":
            self.socket()
        elif path == "/talk":
            self.talk()
        elif path == "/page":
            self.page()
        elif path == "/big":
            size = int(self.path.partition("?")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            block = bytes(1 << 16)
            while size:
                size -= self.wfile.write(block[: min(len(block), size)])
        else:
            self.echo()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every other method
            return self.echo
        raise AttributeError(name)

    def echo(self) -> None:
        """Everything that was understood of the request, as JSON."""
        if self.path == "/never":
            time.sleep(3600)
        body = self.body()
        digest = hashlib.sha256(body).hexdigest()
        told = {
            "method": self.command,
            "path": self.path,
            "headers": [[name, value] for name, value in self.headers.items()],
            "length": len(body),
            "digest": digest,
            "peer": self.client_address[1],
        }
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def flood(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        block = bytes(1 << 16)
        while True:
            self.wfile.write(block)

    def stream(self) -> None:
        """Events for ever, one at once."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
            time.sleep(0.05)

    def page(self) -> None:
        cookies = self.headers.get("Cookie") or ""
        data = PAGE.replace("COOKIES", cookies).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Set-Cookie", "mine=1; Path=/")
        self.end_headers()
        self.wfile.write(data)

    def talk(self) -> None:
        """A WebSocket that says each short text again."""
        self.handshake()
        while (head := self.rfile.read(2)) and head[0] == 0x81:
            mask = self.rfile.read(4)
            text = bytes(one ^ mask[at % 4] for at, one in enumerate(self.rfile.read(head[1] & 0x7F)))
            self.wfile.write(bytes([0x81, len(text) + 6]) + b"again " + text)

    def socket(self) -> None:
        """A WebSocket's handshake; after it every byte comes back as it was."""
        self.handshake()
        while data := self.connection.recv(1 << 18):
            self.connection.sendall(data)

    def handshake(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if len(sys.argv) > 2:
    sys.stdout.write("waits\n")
    sys.stdout.flush()
    threading.Event().wait(float(sys.argv[2]))
with Server(("127.0.0.1", PORT), Handler) as server:
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    server.serve_forever()
