"""The job's side of a forwarded SSH agent: a Unix socket whose connections go out through stdin and stdout.

It runs inside a job with Python 3.8 and nothing else. The first line that it writes is the socket's path. After it
both directions carry frames: which connection (4 bytes), what (1 byte: 0 begun, 1 data, 2 ended), how many bytes (4),
and those. It ends, and the socket with it, when stdin does.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
import struct
import tempfile

BEGUN, DATA, ENDED = range(3)
MOST = 32
CHUNK = 16 << 10
LARGEST_FRAME = 64 << 10
MOST_WAITING = 1 << 20
HEAD = struct.Struct(">IBI")


class Relay:
    """Connections by their numbers. What waits for a program that does not read is bounded: it is cut."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.selector = selectors.DefaultSelector()
        self.peers: dict[int, socket.socket] = {}
        self.waiting: dict[int, bytearray] = {}
        self.count = 0
        self.have = bytearray()
        self.selector.register(0, selectors.EVENT_READ, None)
        self.selector.register(listening, selectors.EVENT_READ, None)

    def run(self) -> None:
        while True:
            for key, events in self.selector.select():
                if key.fileobj == 0:
                    if not self.hear():
                        return
                elif key.fileobj is self.listening:
                    self.accept()
                elif key.data in self.peers:
                    if events & selectors.EVENT_WRITE:
                        self.drain(key.data)
                    if events & selectors.EVENT_READ and key.data in self.peers:
                        self.pass_on(key.data)

    def accept(self) -> None:
        peer, _ = self.listening.accept()
        if len(self.peers) >= MOST:
            peer.close()
            return
        peer.setblocking(False)
        self.count += 1
        self.peers[self.count] = peer
        self.waiting[self.count] = bytearray()
        self.selector.register(peer, selectors.EVENT_READ, self.count)
        tell(self.count, BEGUN)

    def pass_on(self, number: int) -> None:
        try:
            data = self.peers[number].recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            tell(number, DATA, data)
        else:
            self.drop(number)
            tell(number, ENDED)

    def hear(self) -> bool:
        """Frames from outside; False at their end."""
        part = os.read(0, LARGEST_FRAME)
        if not part:
            return False
        self.have += part
        while len(self.have) >= HEAD.size:
            number, what, size = HEAD.unpack_from(self.have)
            if size > LARGEST_FRAME:
                return False
            if len(self.have) < HEAD.size + size:
                break
            data = bytes(self.have[HEAD.size : HEAD.size + size])
            del self.have[: HEAD.size + size]
            if number not in self.peers:
                continue
            if what == DATA and len(self.waiting[number]) + size <= MOST_WAITING:
                self.waiting[number] += data
                self.drain(number)
            else:
                self.drop(number)
        return True

    def drain(self, number: int) -> None:
        waiting = self.waiting[number]
        try:
            if waiting:
                del waiting[: self.peers[number].send(waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(number)
            tell(number, ENDED)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0)
        self.selector.modify(self.peers[number], wanted, number)

    def drop(self, number: int) -> None:
        peer = self.peers.pop(number)
        del self.waiting[number]
        self.selector.unregister(peer)
        peer.close()


def tell(number: int, what: int, data: bytes = b"") -> None:
    left = memoryview(HEAD.pack(number, what, len(data)) + data)
    while left:
        left = left[os.write(1, left) :]


def main() -> None:
    place = tempfile.mkdtemp(prefix="ssh-")
    path = os.path.join(place, "agent")
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen(MOST)
        os.write(1, os.fsencode(path) + b"\n")
        Relay(listening).run()
    except BrokenPipeError:
        pass
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
