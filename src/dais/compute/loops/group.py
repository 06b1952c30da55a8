"""What the loops of one resource group share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from dais.compute.groups.commands import update_nodes
from dais.compute.groups.disk import Disk
from dais.compute.groups.queries import DEFAULT_GROUP
from dais.compute.images.keeper import ImageKeeper
from dais.compute.images.maker import ImageMaker
from dais.compute.loops.spares import WORK, Spares
from dais.compute.loops.trees import SETS, Trees
from dais.compute.reports.desk import Desk
from dais.compute.settings import ComputeSettings
from dais.data import BlobStore, FolderStore
from dais.engines.contract import Backfills, Connected, Engine, Handle, HostTools, ImageStore, Queues
from dais.kit.database import Database
from dais.kit.meters import Histogram
from dais.kit.vault import Vault


@dataclass
class Group:
    """A resource group at work: its engine, and where things are on this machine."""

    name: str
    engine: Engine
    db: Database
    blobs: BlobStore
    folders: FolderStore
    settings: ComputeSettings
    data_dir: Path
    host: HostTools
    vault: Vault
    handles: dict[str, Handle] = field(default_factory=dict)
    """Handles of attempts that were launched or found by this process."""
    ticks: Histogram = field(default_factory=Histogram)
    """Seconds that this process's ticks took, with what they did in the world."""
    problem: str | None = None
    """Why the engine could not be asked the last time; None when it answered."""
    trees: Trees = field(init=False)
    """Versions of file sets that jobs read."""
    tools: Path = field(init=False)
    """The directory with `python` and `python3` of the host image, which each group has of its own."""
    reports: Desk = field(init=False)
    """Where its runs report to."""
    spares: Spares = field(init=False)
    """Directories for the next runs."""
    images: ImageKeeper | None = field(init=False, default=None)
    """Where the engine has an image store; and `maker`."""
    maker: ImageMaker | None = field(init=False, default=None)
    _jobs: Path = field(init=False)
    _link: Connected | None = field(init=False, default=None)
    _backfiller: Backfills | None = field(init=False, default=None)
    _queue: Queues | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        # Asked once: to ask each time whether it has what a protocol has takes longer than what it is asked for.
        self._link = self.engine if isinstance(self.engine, Connected) else None
        self._backfiller = self.engine if isinstance(self.engine, Backfills) else None
        self._queue = self.engine if isinstance(self.engine, Queues) else None
        self._jobs = self.data_dir / "jobs"
        self.spares = Spares(self._jobs / ".spare" / self.name)
        self.trees = Trees(self.data_dir / SETS, self.blobs)
        own = () if self.name == DEFAULT_GROUP else (self.name,)
        self.tools = self.data_dir.joinpath("host", *own, "bin")
        reports = self._jobs / ".reports" / self.name
        self.reports = Desk(self.db, reports, lambda run_id: f"{self._jobs}/{run_id}/{WORK}")
        if isinstance(self.engine, ImageStore):
            self.images = ImageKeeper(self.name, self.engine, self.db, self.vault)
            self.maker = ImageMaker(self.images, self.blobs, self.data_dir / "builds")

    async def close_images(self) -> None:
        """Give up fetching and making images."""
        if self.images is not None and self.maker is not None:
            await self.maker.close()
            await self.images.close()

    async def tell_nodes(self, disk: Disk | None) -> None:
        """Write what machines there are, and what is free on the disk that jobs are staged on. Raises OSError."""
        # Engines of whole machines tell it of each; where it is the group's, all have it, or none.
        shared = {"internet": self.host.internet}
        nodes = [msgspec.structs.replace(node, isolation=shared | node.isolation) for node in await self.engine.nodes()]
        await self.db.write(update_nodes, self.name, nodes, disk)

    def run_directory(self, run_id: str) -> Path:
        """Where a run's source is staged."""
        return self._jobs / run_id

    def environment_directory(self, environment_id: str) -> Path:
        """Where an environment is built."""
        return self.data_dir / "envs" / environment_id

    @property
    def away(self) -> str | None:
        """Why nothing can be started now, in words for whoever waits."""
        if self._link is not None and not self._link.connected:
            return self.problem or "its engine cannot be reached"
        return self.problem

    @property
    def backfills(self) -> bool:
        """Whether its engine may be given more than fits now, and starts that once there is room."""
        return self._backfiller is not None and self._backfiller.backfills

    @property
    def lookahead(self) -> int | None:
        """How many jobs more than fit are given to an engine with a queue of its own; None: it has none."""
        return None if self._queue is None else self._queue.lookahead
