"""What systemd wants to hear: that the server is ready, stops, and still turns (sd_notify, by the standard library)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Tells the service manager that started this process, if there is one; else says nothing.

    Its variables are taken out of the environment: what this process starts must not speak in its name.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "0")
        pid = environ.pop("WATCHDOG_PID", str(os.getpid()))
        # Started as root, the server is a child of the keeper, which is the process that was started.
        ours = self._address and usec.isdigit() and pid in (str(os.getpid()), str(os.getppid()))
        self.watchdog_seconds = int(usec) / 1e6 if ours else 0.0

    def ready(self, words: str) -> None:
        """The server answers."""
        self._tell(f"READY=1\nSTATUS={words}")

    def stopping(self) -> None:
        """It has been told to stop."""
        self._tell("STOPPING=1\nSTATUS=finishing the requests under way")

    async def keep_alive(self) -> None:
        """Say twice in each interval of the watchdog that the event loop turns; until cancelled."""
        while self.watchdog_seconds:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(text.encode(), address)
        except OSError as error:
            log.warning("the service manager could not be told (%s): %s", text.partition("\n")[0], error)
