"""One installation under chaos: what its users do, what goes wrong meanwhile, and what must be true at the end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dais.sdk import Client
from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from tests.chaos.inject import CLOCK_BYTES
from tests.chaos.lake import CHUNKS, PIECES, Promised, run_on_set, upload_set
from tests.chaos.patience import patiently
from tests.chaos.points import Point
from tests.support.cutting import CuttingProxy
from tests.support.installation import PATIENCE, Installation, script
from tests.support.supervisor import until

UP = Path(__file__).with_name("up.py")
LONGEST = 20.0
"""Seconds that a fault waits for its moment; then the server is killed wherever it is."""

PROGRAM = """
echo "$DAIS_RUN_INDEX" >> /shared/$NAME
i=0
while [ $i -lt $LINES ]; do echo "$NAME line $i"; i=$((i+1)); sleep 0.01; done
exit $CODE
"""


@dataclass
class Expected:
    """A job that was answered, and what it has to say and to return."""

    name: str
    lines: int
    code: int
    restartable: bool
    killed: bool = False

    @property
    def output(self) -> bytes:
        return b"".join(b"%s line %d\n" % (self.name.encode(), number) for number in range(self.lines))


@dataclass
class Story:
    """What was asked for and answered, for the invariants, and what happened, for people."""

    jobs: dict[str, Expected] = field(default_factory=dict)
    folders: dict[str, dict[str, bytes]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    lake: Promised = field(default_factory=Promised)
    events: list[str] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)

    def tell(self, text: str) -> None:
        self.events.append(f"{time.monotonic():.2f} {text}")


class ChaosInstallation(Installation):
    """Its server and supervisor die at the point that is planned, and live by a clock that jumps."""

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.faults = directory / "chaos"
        self.faults.mkdir(exist_ok=True)
        self.faults.chmod(0o777)  # whoever dies says so, as whatever user
        self.set_clock(0)
        self.program = [sys.executable, str(UP), str(self.faults)]

    def plan(self, point: Point, nth: int) -> None:
        """Let whoever starts from now on die there."""
        text = json.dumps({"process": point.process, "target": point.target, "when": point.when, "nth": nth})
        fresh = self.faults / "plan.new"
        fresh.write_text(text)
        (self.faults / "fired").unlink(missing_ok=True)
        fresh.replace(self.faults / "plan")

    def fired(self) -> bool:
        """Whether somebody has died as planned; there is no plan any more then, nor otherwise."""
        (self.faults / "plan").unlink(missing_ok=True)
        return (self.faults / "fired").exists()

    def set_clock(self, seconds: int) -> None:
        """Let every process of this installation be wrong by so much."""
        path = self.faults / "clock"
        text = f"{seconds:+0{CLOCK_BYTES}d}".encode()
        if not path.exists():
            path.write_bytes(text)
        with path.open("r+b") as file:
            file.write(text)
        path.chmod(0o666)


class User(threading.Thread):
    """Somebody who works with the installation, whatever happens to it, and remembers what was promised."""

    def __init__(self, world: World, number: int, turn: int, area: str) -> None:
        super().__init__(name=f"user {number}", daemon=True)
        self._area = area
        self._world = world
        self._chance = random.Random(f"{world.seed}/{turn}/{number}")
        self._number = number
        self._mark = f"{turn}-{number}"

    def run(self) -> None:
        often = (
            self.submit,
            self.submit,
            self.submit_and_kill,
            self.push_many,
            self.push_large,
            self.push_whole,
            self.upload_set,
            self.run_on_set,
        )
        always = (self.submit, self.submit_and_kill, self.come_and_go)[self._number % 3]
        acts = (self._chance.choice(often), always, self._chance.choice(often))
        if self._area == "lake":  # what is to be reached has to be done
            of_lake = (self.run_on_set, self.upload_pieces, self.upload_chunks)
            acts = (of_lake[self._number % 3], always, of_lake[(self._number + 1) % 3])
        try:
            for step, act in enumerate(acts):
                self._world.story.tell(f"{self.name}: {act.__name__}")
                act(f"{self._mark}-{step}")
        except BaseException as error:
            self._world.story.broken.append(error)

    def submit(self, name: str) -> JobDetail:
        world, chance = self._world, self._chance
        expected = Expected(
            f"job{name}", chance.choice((0, 1, 5, 30, 80)), chance.choice((0, 3)), chance.random() < 0.7
        )
        staged = chance.random() < 0.4
        source = world.source() if staged else None
        job = world.installed.submit(
            *(("sh", "program.sh") if staged else script(PROGRAM)),
            source=source,
            restartable=expected.restartable,
            name=expected.name,
            cpu=0.2,
            data=["shared:/shared"],
            tags={"chaos": expected.name},
            environment={"NAME": expected.name, "LINES": str(expected.lines), "CODE": str(expected.code)},
        )
        world.story.jobs[job.id] = expected
        return job

    def submit_and_kill(self, name: str) -> None:
        job = self.submit(name)
        self._world.story.jobs[job.id].killed = True
        client = self._world.installed.client()
        if self._chance.random() < 0.7:
            until(lambda: client.jobs.get(job.id).state not in ("PENDING", "SCHEDULED", "PREPARING"), "it has begun")
        client.jobs.kill(job.id)

    def push_many(self, name: str) -> None:
        files = {f"d{n % 3}/f{n}": self._chance.randbytes(self._chance.choice((0, 10, 3000))) for n in range(40)}
        self._push(f"many{name}", files)

    def push_large(self, name: str) -> None:
        self._push(f"large{name}", {"large": self._chance.randbytes(9 << 20), "small": b"x"})

    def push_whole(self, name: str) -> None:
        files = {f"f{n}": self._chance.randbytes(100) for n in range(20)}
        folder = f"whole{name}"
        local = self._local(folder, files)
        patiently(lambda: self._world.installed.client().folders.create(folder, local), there_is_fine=True)
        self._world.story.folders[folder] = files

    def come_and_go(self, name: str) -> None:
        folder = f"gone{name}"
        self._push(folder, {"file": b"content"})
        patiently(lambda: self._world.installed.client().folders.remove(folder), gone_is_fine=True)
        del self._world.story.folders[folder]
        self._world.story.removed.append(folder)

    def upload_set(self, name: str) -> None:
        upload_set(self._world, f"set{name}", self._chance)

    def run_on_set(self, name: str) -> None:
        run_on_set(self._world, f"set{name}", self._chance, 0 if self._area == "lake" else None)

    def upload_pieces(self, name: str) -> None:
        upload_set(self._world, f"set{name}", self._chance, PIECES)

    def upload_chunks(self, name: str) -> None:
        upload_set(self._world, f"set{name}", self._chance, CHUNKS)

    def _push(self, folder: str, files: dict[str, bytes]) -> None:
        client = self._world.installed.client()
        local = self._local(folder, files)
        patiently(lambda: client.folders.create(folder), there_is_fine=True)
        patiently(lambda: client.folders.push(folder, local))
        self._world.story.folders[folder] = files

    def _local(self, folder: str, files: dict[str, bytes]) -> Path:
        local = self._world.directory / "local" / folder
        for path, content in files.items():
            (local / path).parent.mkdir(parents=True, exist_ok=True)
            (local / path).write_bytes(content)
        return local


class Follower(threading.Thread):
    """Follows one job's log through connections that are cut."""

    def __init__(self, world: World, job_id: str) -> None:
        super().__init__(name=f"follower of {job_id}", daemon=True)
        self._client = Client(world.proxy.url, world.installed.token, patience=2 * PATIENCE)
        self.job_id = job_id
        self.told = b""
        self.ended: JobDetail | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._client as client:
                for item in client.jobs.follow(self.job_id):
                    if isinstance(item, JobDetail):
                        self.ended = item
                    elif item.stream == "stdout":
                        self.told += frame_bytes(item)
        except BaseException as error:
            self.error = error


Trouble = Callable[["World"], None]
"""What goes wrong meanwhile. Its attribute `area`, where it has one, is what users do most then."""


class World:
    """Drives rounds of work and trouble; everything follows from the seed, but for what the machine decides."""

    def __init__(self, directory: Path, seed: int, *, disk: Path | None = None, database_url: str = "") -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.directory = directory
        self.disk = disk
        self.story = Story()
        data = None if disk is None else disk / "data"
        settings = {"DAIS_COMPUTE_STOP_GRACE": "1", "DAIS_DATA_RESERVE_DISK": str(1 << 20)}
        self.installed = ChaosInstallation(directory / "home", data=data, database_url=database_url, settings=settings)
        self.proxy = CuttingProxy(lambda: self.installed.port)
        self.followers: list[Follower] = []
        self.filled = False
        """Whether the disk was full at some time: then output may be missing, and is said to be."""
        self._source: str | None = None
        self._making_source = threading.Lock()

    def start(self) -> None:
        self.installed.start()
        patiently(lambda: self.installed.client().folders.create("shared"), there_is_fine=True)

    def close(self) -> None:
        self.installed.close()
        self.proxy.close()

    def source(self) -> str:
        """The digest of a directory with the program, captured anew each time (what is there is not sent again)."""
        with self._making_source:
            place = self.directory / "source"
            place.mkdir(exist_ok=True)
            (place / "program.sh").write_text(PROGRAM)
            digest: str = patiently(lambda: self.installed.client().sources.capture(place))
            return digest

    # -- rounds ----------------------------------------------------------------------------------------------

    def round(self, turn: int, trouble: Trouble) -> None:
        """Users work, trouble comes, the server is started again, and the users get what they asked for."""
        self.story.tell(f"round {turn}: {getattr(trouble, '__name__', trouble)}")
        area = getattr(trouble, "area", "")
        users = [User(self, number, turn, area) for number in range(3)]
        for user in users:
            user.start()
        trouble(self)
        self.revive()
        for user in users:
            user.join(3 * PATIENCE)
            assert not user.is_alive(), f"{user.name} has waited too long"
        if self.story.broken:
            raise self.story.broken[0]
        self._follow_some()

    def revive(self) -> None:
        """See to it that a server answers that nobody plans to kill."""
        if self.installed.server is not None and self.installed.live(0):
            return
        if self.installed.server is not None:
            self.installed.kill()
        self.installed.start()

    def restart(self) -> None:
        """The server dies, and comes back with whatever is planned for it."""
        if self.installed.server is not None:
            self.installed.kill()
        self.installed.launch()

    def collect(self) -> subprocess.CompletedProcess[bytes]:
        """Free what nothing needs, by a command that may be planned to die."""
        return subprocess.run(
            [*self.installed.program, "gc", "--json"],
            env=self.installed.environment | self.installed.settings,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )

    def wait_for_death(self) -> None:
        """Wait until the plan has been carried out; else kill the server, wherever it is."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline and not (self.installed.faults / "fired").exists():
            if not self.installed.live(0.02):
                break

    def _follow_some(self) -> None:
        live = [job for job in self.story.jobs if not any(job == follower.job_id for follower in self.followers)]
        for job_id in self.chance.sample(live, min(2, len(live))):
            self.followers.append(Follower(self, job_id))
            self.followers[-1].start()


def rest(world: World) -> None:
    """Let every job that was answered end, and whoever follows be told so."""
    for job_id in (*world.story.jobs, *world.story.lake.jobs):
        world.installed.wait(job_id)
    for follower in world.followers:
        follower.join(PATIENCE)
    until(lambda: not list((world.installed.data / "jobs").glob("[!.]*")), "nothing is staged any more")
