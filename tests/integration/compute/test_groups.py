"""Resource groups: attached, away, back, shared with others, and chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dais.compute import Compute, openings, running_work
from dais.compute.groups.choice import choose_group
from dais.compute.groups.topics import GROUPS
from dais.engines.contract import NodeInfo
from dais.engines.contract.status import Others
from dais.engines.fake import FakeEngine, StartsAfter
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import DaisError, Unavailable
from dais.sdk import AsyncClient
from dais.sdk.errors import Conflict, Forbidden, Invalid, NotFound
from dais.wire.answers import JobDetail
from dais.wire.spec import JobSpec, Resources
from tests.support.people import People
from tests.support.site import Site, running_site
from tests.support.world import GROUP, World

pytestmark = pytest.mark.anyio

GPUS = tuple(f"GPU-{number}" for number in range(4))


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(openings, "FIRST_PAUSE", 0.0)
    return World(database, clock, tmp_path)


@pytest.fixture
async def site(world: World) -> AsyncIterator[Site]:
    async with running_site(world) as running:
        yield running


@pytest.fixture
async def client(site: Site) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(site.url, await site.token()) as made:
        yield made


async def attached(
    world: World, client: AsyncClient, name: str, *nodes: NodeInfo, lookahead: int | None = None
) -> None:
    """Attach a group whose machine is new and of its name."""
    world.machines.add(name, *nodes)
    options = {"machine": name} | ({} if lookahead is None else {"lookahead": lookahead})
    await client.groups.attach("fake", name=name, options=options)
    await world.until_true(lambda: _has_nodes(client, name), f"the nodes of {name} are known")


async def _has_nodes(client: AsyncClient, name: str) -> bool:
    return (await client.groups.get(name)).nodes > 0


async def pending(world: World, job_id: str, words: str) -> JobDetail:
    """Wait until the job waits for this."""

    async def waits() -> JobDetail | None:
        job = await world.job(job_id)
        return job if words in (job.pending_reason or "") else None

    return await world.until(waits, f"{job_id} waits with {words!r}", lambda: world.job(job_id))


# -- attaching ---------------------------------------------------------------------------------------------------------


async def test_an_engine_is_checked_attached_used_and_detached(world: World, client: AsyncClient) -> None:
    checked = await client.groups.check("fake", name="more", options={"machine": "far"})
    assert not checked.sound
    assert [(one.name, one.ok, one.needed, one.remedy) for one in checked.findings] == [
        ("machine", False, True, "buy one"),
        ("version", False, False, "make it new"),
    ]
    with pytest.raises(Invalid, match=r"there is no machine 'far' \(buy one\)") as refused:
        await client.groups.attach("fake", name="more")
    assert refused.value.code == "engine-not-usable"
    assert refused.value.fields["findings"][0]["remedy"] == "buy one"
    with pytest.raises(NotFound):
        await client.groups.get("more")

    world.machines.add("far")
    made = await client.groups.attach("fake", name="more")
    assert (made.name, made.engine, made.state, made.default_image) == ("more", "fake", "UP", "host")
    assert made.options == {"machine": "far"}, "what was found is kept"
    await world.until_true(lambda: _has_nodes(client, "more"), "its nodes are known")
    job = await world.submit("sleep-forever", group="more")
    assert (await world.state(job, "RUNNING")).runs[0].node == "far"
    shown = await client.groups.get("more")
    assert (shown.nodes, shown.cpu, shown.free_cpu, shown.running) == (1, 2.0, 1.9, 1)

    with pytest.raises(Conflict, match=f"dais job kill {job}"):
        await client.groups.rm("more")
    await world.kill(job)
    await world.finished(job)
    await client.groups.rm("more")
    assert [one.name async for one in client.groups.list()] == [GROUP]
    assert [node.group async for node in client.nodes()] == [GROUP]
    with pytest.raises(Conflict, match="stays"):
        await client.groups.rm(GROUP)


@pytest.mark.parametrize(
    "engine,name,options,code,words",
    [
        ("fako", "x", {}, "no-such-engine", "did you mean 'fake'"),
        ("fake", "x", {"machin": "far"}, "bad-option", "did you mean 'machine'"),
        ("fake", "x", {"lookahead": "many"}, "bad-option", "lookahead"),
        ("fake", "X y", {}, "bad-name", "'X y'"),
        ("fake", GROUP, {}, "already-exists", "dais detach default"),
    ],
)
async def test_what_cannot_be_attached_is_named(
    client: AsyncClient, engine: str, name: str, options: dict[str, object], code: str, words: str
) -> None:
    with pytest.raises((Invalid, Conflict), match=words) as refused:
        await client.groups.attach(engine, name=name, options=options)
    assert refused.value.code == code


async def test_only_administrators_attach_and_see_options(site: Site, client: AsyncClient, world: World) -> None:
    await attached(world, client, "more")
    people = People.__new__(People)
    people.db, people.root = world.db, world.actor
    joan = people.user("joan")
    from dais.identity import create_token

    token = world.db.write_sync(create_token, world.actor, user_id=joan.id).secret
    async with AsyncClient(site.url, token) as hers:
        assert (await hers.groups.get("more")).options is None
        for refused in (hers.groups.attach("fake", name="mine"), hers.groups.rm("more"),
                        hers.groups.set("more", default_image="x")):  # fmt: skip
            with pytest.raises(Forbidden):
                await refused


async def test_other_options_open_the_engine_anew_and_jobs_go_on(world: World, client: AsyncClient) -> None:
    await attached(world, client, "more")
    world.machines.add("other", NodeInfo(name="other", cpu=8.0, memory=1 << 30))
    await world.finished(await world.submit("exit", "0", group="more"))
    world.clock.advance(1)  # nodes that are not named any more are older than those that are
    changed = await client.groups.set("more", options={"machine": "other"}, default_image="debian")
    assert (changed.options, changed.default_image) == ({"machine": "other"}, "debian")

    async def moved() -> bool:
        return [node.name async for node in client.nodes() if node.group == "more" and node.state == "UP"] == ["other"]

    await world.until_true(moved, "the other machine is used")
    with pytest.raises(Invalid, match="there is no machine 'third'"):
        await client.groups.set("more", options={"machine": "third"})
    assert (await client.groups.get("more")).options == {"machine": "other"}


async def test_another_server_notices_what_was_attached(world: World, client: AsyncClient) -> None:
    second = Compute(
        world.db,
        {GROUP: FakeEngine(world.machine)},
        world.blobs,
        world.folders,
        world.settings,
        world.directory,
        world.vault,
        world.machines.kinds,
    )
    await second.start()
    try:
        await attached(world, client, "more")
        await world.until_true(lambda: _knows(second, "more", True), "the other server has it")
        await client.groups.rm("more")
        await world.until_true(lambda: _knows(second, "more", False), "the other server has let go of it")
    finally:
        await second.stop()


async def _knows(compute: Compute, group: str, known: bool) -> bool:
    compute._parts[0].hints.raise_([GROUPS])
    return (group in compute.groups) is known


# -- away and back -----------------------------------------------------------------------------------------------------


async def test_an_engine_that_is_away_at_the_start_holds_up_nobody_else(world: World) -> None:
    async with running_site(world) as site, AsyncClient(site.url, await site.token()) as client:
        await attached(world, client, "more")
    world.machines.known["more"].set_reachable(False)
    async with running_site(world) as site, AsyncClient(site.url, await site.token()) as client:
        await world.finished(await world.submit("exit", "0"))

        async def away() -> bool:
            return "cannot be reached" in ((await client.groups.get("more")).problem or "")

        await world.until_true(away, "it is told that it is away")
        assert (await client.groups.get("more")).state == "AWAY"
        async with site.browser() as browser:
            told = (await browser.get("/v1/ready")).json()
            assert (told["status"], told["away"]) == ("ready", ["more"])
        job = await world.submit("exit", "0", group="more")
        made = await world.job(job)
        assert made.pending_reason == "group more starts nothing now: the fake machine cannot be reached"
        assert made.warnings == ["group more starts nothing now: the fake machine cannot be reached"]
        world.machines.known["more"].set_reachable(True)
        world.db.hints.raise_([GROUPS])
        await world.finished(job)
        assert (await client.groups.get("more")).problem is None


async def test_jobs_wait_with_the_reason_while_an_engine_is_gone(world: World, client: AsyncClient) -> None:
    await attached(world, client, "more")
    world.machines.known["more"].set_reachable(False)
    first = await world.submit("exit", "0", group="more")

    async def away() -> bool:
        world.db.hints.raise_([GROUPS])
        return (await client.groups.get("more")).state == "AWAY"

    await world.until_true(away, "the launch has failed, and that was told")
    second = await world.submit("exit", "0", group="more")
    await pending(world, second, "group more starts nothing now: its engine cannot be used now")
    world.machines.known["more"].set_reachable(True)
    for job in (first, second):
        assert (await world.finished(job)).state == "SUCCEEDED"
    assert [spec.argv for spec in world.machines.known["more"].launched] == [("exit", "0")] * 2, "each ran once"


async def test_the_jobs_of_an_engine_that_never_comes_back_are_given_up(world: World, client: AsyncClient) -> None:
    await attached(world, client, "more")
    jobs = [await world.submit("sleep", "60", group="more", restartable=again) for again in (False, True)]
    for job in jobs:
        await world.state(job, "RUNNING")
    with pytest.raises(Conflict) as refused:
        await client.groups.rm("more", lost=True)
    assert refused.value.code == "engine-answers"
    world.machines.known["more"].set_reachable(False)
    jobs.append(await world.submit("exit", "0", group="more"))  # by its launch it is noticed

    async def away() -> bool:
        world.db.hints.raise_([GROUPS])
        return (await client.groups.get("more")).state == "AWAY"

    await world.until_true(away, "that it is gone was told")
    waits = await world.submit("exit", "0", group="more")
    work = await world.db.read(running_work, world.actor, jobs[0], "job:exec")
    assert world.compute is not None
    with pytest.raises(Unavailable, match="cannot be reached: the fake machine"):
        await world.compute.exec(work, ["exit", "0"], env={}, workdir=None, pty=None)
    with pytest.raises(Conflict, match="dais detach more --lost"):
        await client.groups.rm("more")
    await client.groups.rm("more", lost=True)
    ended = [await world.finished(job) for job in (*jobs, waits)]
    assert [(job.state, job.reason) for job in ended] == [
        ("FAILED", "node-lost"),
        ("CANCELLED", "user-request"),  # would run again, and nowhere
        ("FAILED", "node-lost"),
        ("CANCELLED", "user-request"),
    ]
    assert all("more was detached" in (job.detail or "") for job in ended)
    with pytest.raises(NotFound):
        await client.groups.get("more")
    machine = world.machines.known["more"]
    machine.set_reachable(True)
    left = machine.running()
    assert len(left) == 2
    await client.groups.attach("fake", name="more", options={"machine": "more"})
    for name in left:  # as containers and jobs on Slurm are told of to each new server
        told = machine.status(name)
        assert told is not None
        machine.mailbox.post(told)

    async def over() -> bool:
        return not machine.running()

    await world.until_true(over, "what nobody waits for is stopped")


# -- choosing ----------------------------------------------------------------------------------------------------------


async def test_a_job_goes_to_the_first_group_in_which_it_fits(world: World, client: AsyncClient) -> None:
    await attached(world, client, "big", NodeInfo(name="b", cpu=64.0, memory=64 << 30))
    await attached(world, client, "accelerated", NodeInfo(name="a", cpu=2.0, memory=4 << 30, gpus=GPUS))
    await attached(
        world,
        client,
        "open",
        NodeInfo(name="o", cpu=2.0, memory=4 << 30, isolation={"mode": "container", "internet": True}),
    )

    async def group_of(**fields: Any) -> str:
        job = await world.job(await world.submit("exit", "0", **fields))
        names = {"fake-1": GROUP, "b": "big", "a": "accelerated", "o": "open"}
        return names[(await world.finished(job.id)).runs[0].node or ""]

    assert await group_of() == GROUP
    assert await group_of(resources=Resources(cpu=16, mem=1 << 20)) == "big"
    assert await group_of(resources=Resources(cpu=1, mem=1 << 20, gpu=2)) == "accelerated"
    assert await group_of(network="internet") == "open"
    assert await group_of(group="big") == "big"
    with pytest.raises(Exception, match="no resource group can run this job") as refused:
        await world.submit("x", resources=Resources(cpu=100, mem=1 << 20), image="debian")
    lines = str(refused.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:]] == ["default", "accelerated", "big", "open"]
    assert all("there is no image 'debian'" in line for line in lines[1:])
    with pytest.raises(Exception, match="the largest node, b, has 64 cpu"):
        await world.submit("x", resources=Resources(cpu=100, mem=1 << 20), group="big")

    world.machines.known["big"].set_reachable(False)
    await attached(world, client, "later", NodeInfo(name="l", cpu=64.0, memory=64 << 30))
    stuck = await world.submit("exit", "0", group="big")

    async def away() -> bool:
        world.db.hints.raise_([GROUPS])
        return (await client.groups.get("big")).state == "AWAY"

    await world.until_true(away, "the big one is away")
    job = await world.submit("exit", "0", resources=Resources(cpu=16, mem=1 << 20))
    assert (await world.finished(job)).runs[0].node == "l", "one whose engine answers comes first"
    await world.kill(stuck)


async def test_a_group_that_one_may_not_use_is_not_chosen(world: World, client: AsyncClient) -> None:
    await attached(world, client, "big", NodeInfo(name="b", cpu=64.0, memory=64 << 30))
    urn = (await client.groups.get("big")).urn
    people = People.__new__(People)
    people.db, people.root = world.db, world.actor
    spec = JobSpec(command=("x",), resources=Resources(cpu=1, mem=1 << 20))
    narrowed = people.narrowed(world.actor, f"group:get@{urn}")
    assert (await world.db.read(choose_group, narrowed, spec)).group.name == "big"
    assert (await world.db.read(choose_group, world.actor, spec)).group.name == GROUP
    nowhere = people.narrowed(world.actor, "job:get@*")
    with pytest.raises(DaisError) as refused:
        await world.db.read(choose_group, nowhere, spec)
    assert refused.value.family == "forbidden"


# -- machines of several groups, and queues of their own ---------------------------------------------------------------


async def test_a_machine_of_two_groups_is_one_machine(world: World, client: AsyncClient) -> None:
    same = NodeInfo(name="same", cpu=2.0, memory=4 << 30, gpus=GPUS[:2], others=Others(cpu_millis=500))
    await attached(world, client, "one", same)
    await attached(world, client, "two", same)
    held = [
        await world.submit("sleep-forever", group=group, resources=Resources(cpu=0.5, mem=1 << 20, gpu=1))
        for group in ("one", "two")
    ]
    runs = [(await world.state(job, "RUNNING")).runs[0] for job in held]
    assert runs[0].gpus != runs[1].gpus, "they have one each"
    third = await world.submit("exit", "0", group="two", resources=Resources(cpu=1, mem=1 << 20))
    await pending(world, third, "needs 1 cpu, 0.5 of 2 free on same")
    nodes = [node async for node in client.nodes() if node.name == "same"]
    assert [(node.free_cpu, node.free_gpu, node.others_cpu) for node in nodes] == [(0.5, 0, 0.5)] * 2
    await world.kill(held[0])
    await world.finished(third)


async def test_an_engine_with_a_queue_is_handed_its_lookahead_and_places_by_itself(
    world: World, client: AsyncClient
) -> None:
    nodes = [NodeInfo(name=name, cpu=1.0, memory=1 << 30, gpus=("gpu0",)) for name in ("q1", "q2")]
    await attached(world, client, "queue", *nodes, lookahead=2)
    machine = world.machines.known["queue"]
    machine.behave(StartsAfter(10))
    whole = Resources(cpu=1, mem=1 << 20, gpu=1)
    queued = [await world.submit("sleep-forever", group="queue", resources=whole) for _ in range(6)]

    async def handed_over() -> list[str]:
        return [job for job in queued if (await world.job(job)).state == "PREPARING"]

    async def four() -> bool:
        return len(await handed_over()) == len(machine.launched) == 4

    await world.until_true(four, "two fit, and two wait there")
    await pending(world, queued[4], "needs 1 gpu, 0 of 1 free on q1")
    assert (await world.job(queued[5])).pending_reason == "waits for the jobs before it"
    assert await handed_over() == queued[:4], "in order"
    assert all(len(spec.gpus) == 1 for spec in machine.launched), "GPUs are counted"
    machine.advance(10)
    placed = {job: (await world.state(job, "RUNNING")).runs[0].node for job in queued[:4]}
    told = {spec.hostname: machine.status(spec.attempt_id) for spec in machine.launched}
    assert placed == {job: status.node for job, status in told.items() if status and job in placed}, "where it said"
    for job in queued:
        await world.kill(job)
