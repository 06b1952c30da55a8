"""The guard: a shell that waits for the supervisor's end, and cleans up after one that was killed.

Sandboxes and most processes die with their parent, but not what detached itself, and nobody promises that a new
supervisor is started soon. The guard reads a pipe whose other end only the supervisor holds: a word means a proper end,
nothing means that the supervisor was killed.
"""

from __future__ import annotations

import os

from dais.node.spawn import SpawnError, spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.supervisor import Supervisor

_SCRIPT = 'read -r word || exec "$@"'
_AGAIN_SECONDS = 5.0


class Guard:
    """Keeps one guard alive beside the supervisor."""

    def __init__(self, supervisor: Supervisor, clean: list[str]) -> None:
        self._supervisor = supervisor
        self._argv = ["/bin/sh", "-c", _SCRIPT, "dais-guard", *clean]
        self._pipe = -1
        self.start()

    def start(self) -> None:
        """Start it, now and whenever it has died."""
        if self._pipe >= 0:
            os.close(self._pipe)
        read_end, self._pipe = os.pipe2(os.O_CLOEXEC)
        null = self._supervisor.machine.null
        try:
            pid = spawn_plain(self._argv, [b"/bin/sh"], [], (read_end, null, 2))
        except SpawnError:
            self._supervisor.loop.later(_AGAIN_SECONDS, self.start)
            return
        finally:
            os.close(read_end)
        self._supervisor.on_other_child[pid] = lambda: self._supervisor.loop.later(_AGAIN_SECONDS, self.start)

    def dismiss(self) -> None:
        """The supervisor ends properly: there is nothing to clean up."""
        try:
            os.write(self._pipe, b"end\n")
        except OSError:
            pass
