"""Jobs of a group of containers: what their image means, how it is fetched, and what is refused; with a real Docker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from dais.compute import (
    NewBuild,
    RegistryChange,
    add_container_image,
    begin_build,
    forget_image,
    image_log,
    list_images,
    new_group,
    rescan_store,
    retry_job,
    see_image,
    set_alias,
    set_allowed,
    set_registry,
    submit_job,
)
from dais.compute.images.tables import registries
from dais.data import store_source
from dais.engines.container import ContainerEngine, ContainerOptions
from dais.engines.contract import BuildRequest, Credentials
from dais.identity import create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid
from dais.wire.answers import Image, JobDetail
from dais.wire.spec import JobSpec, Resources
from dais.wire.transfers import SourceFile, SourceManifest
from tests.support.boxes import DockerMachines, is_open
from tests.support.containers import ContainerDaemon, Daemons
from tests.support.registries import PASSWORD, USER, publish_for, registry
from tests.support.world import World, running

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
BOXES = "boxes"
UID = 20_001
SMALL = Resources(cpu=0.1, mem=64 << 20)


@dataclass
class Place:
    daemon: ContainerDaemon
    open_registry: str
    closed_registry: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("registries")
    with (
        registry(directory / "open") as open_,
        registry(directory / "closed", password=True) as closed,
        contextlib.closing(Daemons()) as daemons,
    ):
        yield Place(daemons.make("docker"), open_, closed)


class Boxes:
    """A world with a second group, whose engine is Docker."""

    def __init__(self, world: World, place: Place, engine: ContainerEngine) -> None:
        self.world, self.place, self.engine = world, place, engine
        self.db, self.actor = world.db, world.actor

    async def publish(self, name: str, *, closed: bool = False, labels: dict[str, str] | None = None) -> str:
        """The small image, or one with labels, in a registry and nowhere else; its reference."""
        host = self.place.closed_registry if closed else self.place.open_registry
        reference = f"{host}/{name}"
        made = f"localhost/made/{name}"
        await self.engine.relabel("small:latest", made, {"made.for": name, **(labels or {})})
        await self.engine.tag(made, reference)
        credentials = Credentials(registry=host, username=USER, password=PASSWORD)
        async for _ in self.engine.push(reference, credentials if closed else None):
            pass
        await self.engine.remove_image(reference)
        await self.engine.remove_image(made)
        assert await self.engine.image(reference) is None
        return reference

    async def is_empty(self) -> bool:
        return not await asyncio.to_thread(self.place.daemon.containers)

    async def register(self, host: str, **change: Any) -> None:
        await self.db.write(set_registry, self.actor, self.world.vault, host, RegistryChange(**change), new=True)

    async def submit(self, image: str, *command: str, **fields: Any) -> str:
        spec = JobSpec(command=command or ("/bin/true",), image=image, group=BOXES, **({"resources": SMALL} | fields))
        made: JobDetail = await self.db.write(submit_job, fields.get("actor", self.actor), spec, self.world.settings)
        return made.id

    async def refusal(self, image: str, **fields: Any) -> DaisError:
        with pytest.raises((Invalid, Forbidden)) as refused:
            await self.submit(image, **fields)
        return refused.value

    async def see(self, name: str) -> Image:
        found: Image = await self.db.read(see_image, self.actor, BOXES, None, name)
        return found

    async def settled(self, name: str) -> Image:
        async def look() -> Image | None:
            found = await self.see(name)
            return None if found.state in ("building", "pulling") else found

        return await self.world.until(look, f"image {name} is made")


@pytest.fixture
async def boxes(place: Place, database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Boxes]:
    world = World(database, clock, tmp_path)
    world.machine.host = msgspec.structs.replace(world.machine.host, uid=UID, gid=UID)
    options = ContainerOptions(socket=str(place.daemon.socket))
    kit = place.daemon.directory / "runner"  # made once: it takes two seconds
    engine = ContainerEngine("docker", tmp_path / "engine", options, runner=kit)
    world.machines = DockerMachines(clock, engine)
    async with running(world) as world:
        await world.db.write(new_group, world.actor, BOXES, "docker", {}, "")
        await world.until_true(lambda: world.db.read(is_open, BOXES), "the group is open")
        for path in (tmp_path, *tmp_path.parents[:3]):
            path.chmod(path.stat().st_mode | 0o011)
        yield Boxes(world, place, engine)
        for container in place.daemon.containers():
            place.daemon.call("DELETE", f"/containers/{container['Id']}?force=true&v=true")


async def test_an_image_is_fetched_once_for_all_jobs_that_wait(boxes: Boxes) -> None:
    reference = await boxes.publish("once:1", labels={"ai.backend.envs.corecount": "NPROC"})
    await boxes.register(boxes.place.open_registry)
    command = ("/bin/sh", "-c", 'test "$NPROC" = 1')
    jobs = [await boxes.submit(reference, *command) for _ in range(3)]
    ended = [await boxes.world.finished(job) for job in jobs]
    assert [job.state for job in ended] == ["SUCCEEDED"] * 3, ended[0].detail
    (image,) = [one for one in await boxes.db.read(list_images, boxes.actor) if one.kind == "container"]
    assert (image.name, image.state, image.origin) == ("once-1", "there", "job")
    assert image.digest is not None
    assert image.account is not None
    assert await boxes.engine.image(reference) is not None


async def test_a_job_runs_again_from_what_its_tag_meant_then(boxes: Boxes) -> None:
    reference = await boxes.publish("moving:1", labels={"word": "first"})
    await boxes.register(boxes.place.open_registry)
    first = await boxes.world.finished(await boxes.submit(reference, "/bin/false"))
    assert (first.state, first.exit_code) == ("FAILED", 1)
    facts = await boxes.engine.image(reference)
    assert facts is not None
    await boxes.world.until_true(boxes.is_empty, "the job's container is gone")
    await boxes.engine.remove_image(reference)
    await boxes.publish("moving:1", labels={"word": "second"})
    assert await boxes.engine.image(facts.id) is None
    await boxes.db.write(retry_job, boxes.actor, first.id, boxes.world.settings)
    again = await boxes.world.finished(first.id)
    assert again.run_index == 1
    assert again.exit_code == 1
    found = await boxes.engine.image(facts.id)
    assert found is not None
    assert found.labels["word"] == "first"


async def test_names_aliases_and_digests_mean_the_same(boxes: Boxes) -> None:
    reference = await boxes.publish("named:1")
    await boxes.register(boxes.place.open_registry)
    made: Image = await boxes.db.write(add_container_image, boxes.actor, BOXES, reference, name="mine")
    assert made.state == "missing"
    with pytest.raises(Conflict):
        await boxes.db.write(add_container_image, boxes.actor, BOXES, reference)
    await boxes.db.write(set_alias, boxes.actor, BOXES, None, "mine", "my-alias")
    waiting = await boxes.submit("my-alias", "/bin/true")
    with pytest.raises(Conflict, match=waiting):
        await boxes.db.write(forget_image, boxes.actor, BOXES, None, "mine")
    await boxes.world.finished(waiting)
    seen = await boxes.see("mine")
    for name in ("mine", seen.digest, seen.engine_id, reference, seen.id):
        assert name is not None
        job = await boxes.world.finished(await boxes.submit(name, "/bin/true"))
        assert job.state == "SUCCEEDED", (name, job.detail)
    problem = await boxes.refusal("minee")
    assert (problem.code, "did you mean mine?" in problem.message) == ("no-such-image", True)
    assert (await boxes.refusal("host")).code == "no-such-image"
    assert (await boxes.refusal("sha256:" + "0" * 64)).code == "no-such-image"
    assert (await boxes.refusal("a:b:c")).code == "bad-image"
    await boxes.db.write(forget_image, boxes.actor, BOXES, None, "mine")


@pytest.mark.parametrize(
    "name, closed, change, reason",
    [
        ("nothing:1", False, {}, "image-not-found"),
        ("closed:1", True, {}, "bad-credentials"),
        ("closed:1", True, {"username": USER, "password": "wrong"}, "bad-credentials"),
        ("foreign:arm64", False, {}, "wrong-architecture"),
    ],
)
async def test_a_job_whose_image_cannot_be_fetched_tells_why(
    boxes: Boxes, name: str, closed: bool, change: dict[str, str], reason: str
) -> None:
    host = boxes.place.closed_registry if closed else boxes.place.open_registry
    await boxes.register(host, **change)
    if closed:
        await boxes.publish(name, closed=True)
    if reason == "wrong-architecture":
        await boxes.publish("foreign:own")
        await asyncio.to_thread(publish_for, host, "foreign", "own", "arm64")
    job = await boxes.world.finished(await boxes.submit(f"{host}/{name}"))
    assert (job.state, job.reason) == ("FAILED", reason)
    assert job.detail is not None
    assert name in job.detail
    if reason == "wrong-architecture":  # known from now on
        assert (await boxes.refusal(f"{host}/{name}")).code == reason


async def test_credentials_open_a_closed_registry_and_are_never_shown(boxes: Boxes) -> None:
    reference = await boxes.publish("opened:1", closed=True)
    await boxes.register(boxes.place.closed_registry, username=USER, password=PASSWORD)
    job = await boxes.world.finished(await boxes.submit(reference))
    assert job.state == "SUCCEEDED", job.detail
    rows = boxes.db.read_sync(lambda uow: [tuple(row) for row in uow.all(_registries())])
    assert PASSWORD not in repr(rows)


async def test_only_registries_that_may_be_used_are_asked(boxes: Boxes) -> None:
    host = boxes.place.open_registry
    assert (await boxes.refusal(f"{host}/once:1")).code == "registry-not-allowed"
    await boxes.register(host)
    await boxes.db.write(set_allowed, boxes.actor, "local", ["elsewhere.example.org"])
    problem = await boxes.refusal(f"{host}/once:1")
    assert (problem.code, "elsewhere.example.org" in problem.message) == ("registry-not-allowed", True)
    await boxes.db.write(set_allowed, boxes.actor, "local", [])
    user = await boxes.db.write(create_user, boxes.actor, "ordinary")
    plain = msgspec.structs.replace(boxes.actor, id=user.id, name="ordinary", administrator=False)
    with pytest.raises(Forbidden):
        await boxes.db.write(set_registry, plain, boxes.world.vault, "x.example.org", RegistryChange(), new=True)


async def test_the_least_that_an_image_needs_is_asked_for(boxes: Boxes) -> None:
    labels = {"ai.backend.resource.min.cpu": "0.2", "ai.backend.resource.min.mem": "128m"}
    reference = await boxes.publish("hungry:1", labels=labels)
    await boxes.register(boxes.place.open_registry)
    job = await boxes.world.finished(await boxes.submit(reference))
    assert (job.state, job.reason) == ("FAILED", "below-image-minimum")
    problem = await boxes.refusal(reference)
    assert problem.code == "below-image-minimum"
    assert "--cpu 0.2" in problem.message
    assert "--mem 0.125" in problem.message
    enough = Resources(cpu=0.2, mem=128 << 20)
    assert (await boxes.world.finished(await boxes.submit(reference, resources=enough))).state == "SUCCEEDED"


async def test_a_rescan_finds_what_is_there_and_what_is_gone(boxes: Boxes) -> None:
    found = await boxes.engine.images()
    told = await boxes.db.write(rescan_store, boxes.actor, BOXES, found)
    assert "small" in told.new
    assert (await boxes.see("small")).account is None
    assert (await boxes.world.finished(await boxes.submit("small"))).state == "SUCCEEDED"
    told = await boxes.db.write(rescan_store, boxes.actor, BOXES, [])
    assert "small" in told.gone
    assert (await boxes.see("small")).state == "missing"


async def test_a_build_is_logged_and_used_and_its_failing_line_told(boxes: Boxes) -> None:
    assert boxes.world.compute is not None
    maker = boxes.world.compute.groups[BOXES].maker
    assert maker is not None
    steps = (("good", "exit 3", "failed"), ("good", "echo built-word", "there"), ("bad", "exit 4", "failed"))
    for name, step, state in steps:  # what could not be built may be built again
        text = f"FROM localhost/small\nRUN {step}\n"
        source = await asyncio.to_thread(_source, boxes.world, text)
        await boxes.engine.tag("small:latest", "localhost/small:latest")
        begun = await boxes.db.write(begin_build, boxes.actor, NewBuild(name=name, source=source, group=BOXES), text)
        maker.build(begun, source, BuildRequest(context="", reference=begun.reference))
        made = await boxes.settled(name)
        assert made.state == state, made.problem
        log = await boxes.db.read(image_log, boxes.actor, BOXES, None, name)
        assert log.complete
        assert f"RUN {step}" in log.text
    assert made.reason == "build-failed"
    assert made.problem is not None
    assert "line 2: RUN exit 4" in made.problem
    assert (await boxes.refusal("bad")).code == "build-failed"
    with pytest.raises(Conflict, match="--replace"):
        await boxes.db.write(begin_build, boxes.actor, NewBuild(name="good", source=source, group=BOXES), text)
    job = await boxes.world.finished(await boxes.submit("good"))
    assert job.state == "SUCCEEDED", job.detail
    for text, words in (("FROM 10.0.0.1:5000/x\n", "10.0.0.1:5000"), ("FROM $X\n", "line 1")):
        with pytest.raises((Invalid, Forbidden), match=words):
            await boxes.db.write(begin_build, boxes.actor, NewBuild(name="no", source=source, group=BOXES), text)


def _source(world: World, dockerfile: str) -> str:
    content = dockerfile.encode()
    digest = world.blobs.put(content)
    manifest = SourceManifest(files=[SourceFile(path="Dockerfile", size=len(content), digest=digest)])
    return store_source(world.blobs, manifest).digest


def _registries() -> Any:
    return Statement(select(registries))
