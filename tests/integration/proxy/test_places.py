"""What the first label of an app's host means, and the rows of the proxy, on every database."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.compute import Place, expose_job, exposed_ports, place_label, placed_job
from dais.compute.jobs.exposing import MOST_PORTS
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict, Forbidden, NotFound, Unavailable
from dais.proxy.entering import TICKET_SECONDS, new_ticket, take_ticket
from dais.proxy.ports import _allot
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


def meant(world: World, label: str) -> tuple[str, str]:
    row, target = world.db.read_sync(placed_job, Place(label=label))
    return row.id, target


async def test_a_label_means_one_job_or_is_refused(world: World) -> None:
    await world.start()
    job = await world.submit("sleep-forever", name="web_app")
    account = (await world.job(job)).account
    label = f"{account}.web_app".replace(".", "-").replace("_", "-")

    def said(uow: UnitOfWork, target: str) -> str:
        return place_label(uow, placed_job(uow, Place(job_id=job))[0], account, target)

    assert world.db.read_sync(said, "8080") == label
    assert world.db.read_sync(said, "9") == f"{label}-9"
    for text, target in ((label, "8080"), (f"{label}-9", "9"), (f"{label}-jupyter", "jupyter"), (job, "8080")):
        assert meant(world, text) == (job, target)
    for nothing in ("web-app", f"{label}-0", f"{label}-70000", "", "-", f"{label}.x", "x" * 64, label.upper()):
        with pytest.raises(NotFound):
            meant(world, nothing)
    other = await world.submit("sleep-forever", name="web_app-9")
    with pytest.raises(Conflict):
        meant(world, f"{label}-9")
    assert world.db.read_sync(said, "9") == f"{job[-8:]}-9"
    assert meant(world, f"{job}-9") == (job, "9")
    assert meant(world, other) == (other, "8080")


async def test_ports_are_opened_to_everybody_and_closed(world: World) -> None:
    await world.start()
    job = await world.submit("sleep-forever")
    for public, ports in ((True, [80]), (True, [80]), (False, []), (False, [])):
        world.db.write_sync(expose_job, world.actor, job, 80, public=public)
        assert world.db.read_sync(exposed_ports, job) == ports
    for port in range(1, MOST_PORTS + 1):
        world.db.write_sync(expose_job, world.actor, job, port, public=True)
    with pytest.raises(Conflict) as refused:
        world.db.write_sync(expose_job, world.actor, job, MOST_PORTS + 1, public=True)
    assert refused.value.code == "too-many-ports"
    world.db.write_sync(expose_job, world.actor, job, 1, public=False)
    world.db.write_sync(expose_job, world.actor, job, MOST_PORTS + 1, public=True)


async def test_a_ticket_is_good_once_for_a_minute_with_its_state(world: World, clock: ManualClock) -> None:
    first = world.db.write_sync(new_ticket, "job", "session", "state")
    seal = world.db.write_sync(take_ticket, first, ["other", "state"])
    assert (seal.job_id, seal.session_id) == ("job", "session")
    with pytest.raises(Forbidden):
        world.db.write_sync(take_ticket, first, ["state"])
    late = world.db.write_sync(new_ticket, "job", "session", "state")
    clock.advance(TICKET_SECONDS)
    with pytest.raises(Forbidden):
        world.db.write_sync(take_ticket, late, ["state"])


async def test_an_app_keeps_its_port_until_its_job_has_gone(world: World) -> None:
    await world.start()
    one, two = await world.submit("sleep-forever"), await world.submit("sleep-forever")
    span = (9000, 9001)
    assert world.db.write_sync(_allot, Place(job_id=one), span) == 9000
    assert world.db.write_sync(_allot, Place(job_id=two), span) == 9001
    assert world.db.write_sync(_allot, Place(job_id=one), span) == 9000
    with pytest.raises(Unavailable):
        world.db.write_sync(_allot, Place(job_id=two, target="9"), span)
