"""What every engine can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from dais.engines.contract.launch import LaunchSpec
from dais.engines.contract.status import Batch, Handle, HostTools, LogChunk, NodeInfo, Status


class Engine(Protocol):
    """What every engine can do. All calls are idempotent; a handle whose container is long gone is no error."""

    name: str

    async def start(self) -> None:
        """Connect to whatever runs the containers; called once, before anything else."""
        ...

    async def retire(self) -> None:
        """The server is going away on purpose: what was started for it, and runs nothing, may end."""
        ...

    async def close(self) -> None:
        """Disconnect. Containers go on."""
        ...

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        """Start containers; the same `attempt_id` twice gives the same handle and one container.

        Returns before they run. A spec that cannot be started is reported as ended with `launch-failed`.
        Raises OSError when the engine cannot be reached: nothing is known, try again with the same ids.
        """
        ...

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """The state of each, in the same order. A handle that the engine never saw is `LOST` (see `Phase`).

        Raises OSError while the engine cannot be reached: that says nothing about the containers.
        """
        ...

    def watch(self) -> AsyncIterator[Batch]:
        """Changes as they happen; engines that must be asked yield nothing and only `poll` tells.

        Delivery is at least once: what was not acknowledged is told again by the next `watch()`, also to the next
        server. One watcher at a time; it ends when the engine is closed, and an outage of the engine only delays it.
        """
        ...

    async def acknowledge(self, batch: Batch) -> None:
        """The batch is committed: the engine may forget that it told it."""
        ...

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        """TERM, then KILL after `grace` seconds; also covers what has not started yet. Absent means success.

        The first call's `reason` is the one that is echoed. Raises OSError when the engine cannot be reached.
        """
        ...

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        """Output from `cursor` (None: the beginning), at most about `limit` bytes; does not wait for more.

        A cursor is `segment:offset`: the offset counts encoded bytes, 13 for the head of each frame and its data. The
        frames of one answer lie in one segment, so that each frame's own cursor can be told, and a log that was copied
        elsewhere keeps its cursors. `eof` comes only with an empty answer. An attempt without output, or unknown, has
        no frames. Raises ValueError for what is no cursor.
        """
        ...

    async def log_end(self, handle: Handle) -> str:
        """The cursor behind the last output there is now; for reading backwards from the end."""
        ...

    async def forget(self, handles: Sequence[Handle]) -> None:
        """The server holds log and result: remove what the engine still keeps of these. Running ones stay."""
        ...

    async def ended(self) -> list[Handle]:
        """Containers that have ended and of which something is still kept; a server that comes back sweeps them."""
        ...

    async def nodes(self) -> list[NodeInfo]:
        """The machines."""
        ...

    async def host_tools(self) -> HostTools:
        """What the image `host` is here. Raises LaunchRefused when there is no Python that jobs could execute."""
        ...
