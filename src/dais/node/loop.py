"""A bare epoll loop with timers and child exits: one thread, no task per job."""

from __future__ import annotations

import heapq
import os
import select
import sys
import time

from dais.node.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dais.node.egress import Egress

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Timer:
    """A call that is due at a time; `cancel` makes it a no-op."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """File descriptors and timers. A handler that raises loses its descriptor, and never ends the loop."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self.child_exited = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.watch(self._wake_read, READ, self._on_signal)

    def install_signals(self) -> None:
        """Let SIGCHLD wake the loop."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor; call before closing it. One that is not watched is no error."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call once after `delay` seconds, on a clock that does not jump."""
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._timers, (time.monotonic() + delay, self._count, timer))
        return timer

    def turn(self, *, wait: bool) -> None:
        """Wait for something (at most until the next timer), then handle all of it."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        timeout = 0.0
        if wait:
            timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1
        for fd, events in self._epoll.poll(timeout, 256):
            handler = self._handlers.get(fd)
            if handler is not None:
                self._call(fd, handler, events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                try:
                    callback()
                except Exception:
                    report()

    def _call(self, fd: int, handler: Callable[[int], None], events: int) -> None:
        try:
            handler(events)
        except Exception:
            report()
            if self._handlers.get(fd) is handler:
                self.unwatch(fd)

    def _on_signal(self, _events: int) -> None:
        self.child_exited = True
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass


def close(what: Egress | None) -> None:
    """End it, if there is one."""
    if what is not None:
        what.close()


def report() -> None:
    """Write the exception being handled to the supervisor's own log."""
    import traceback  # only when something is wrong: it costs a megabyte

    traceback.print_exc(file=sys.stderr)
    sys.stderr.flush()
