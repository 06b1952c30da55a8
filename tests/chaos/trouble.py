"""What goes wrong in a round: processes die, the clock jumps, connections are cut, the disk is full."""

from __future__ import annotations

from tests.chaos.points import COLLECTOR, POINTS, SERVER, Point
from tests.chaos.world import Trouble, World


def die_at(point: Point, nth: int) -> Trouble:
    """Trouble: a process dies at a point, at the `nth` time that it comes there."""

    def trouble(world: World) -> None:
        installed = world.installed
        installed.plan(point, nth)
        if point.process == COLLECTOR:
            installed.live(world.chance.uniform(0.0, 1.0))
            world.collect()
        elif point.process == SERVER:
            world.restart()
        else:
            installed.kill_supervisor()  # the next one is started by the server, prepared
        if point.process != COLLECTOR:
            world.wait_for_death()
        if installed.fired():
            world.story.fired.append(point.name)
        installed.kill()

    trouble.__name__ = f"{point.process} dies {point.name} ({nth})"
    trouble.area = point.area  # type: ignore[attr-defined]
    return trouble


def die_together(world: World) -> None:
    """Trouble: server and supervisor are killed at once, at any moment."""
    world.installed.live(world.chance.uniform(0.0, 0.8))
    world.installed.kill_supervisor()
    world.installed.kill()


def jump(world: World) -> None:
    """Trouble: the clock jumps, forth or back, by up to a few hours, and the server is killed later."""
    world.installed.live(world.chance.uniform(0.0, 0.5))
    world.installed.set_clock(world.chance.choice((-7200, -5, 5, 600, 20_000)))
    world.installed.live(world.chance.uniform(0.0, 0.5))
    world.installed.kill()


def cut(world: World) -> None:
    """Trouble: every connection through the proxy is cut, several times."""
    for _ in range(4):
        world.installed.live(world.chance.uniform(0.0, 0.3))
        world.proxy.cut()


def fill(world: World) -> None:
    """Trouble: the disk is full for a while, and the server is killed meanwhile."""
    assert world.disk is not None
    world.installed.live(world.chance.uniform(0.0, 0.4))
    world.filled = True
    filler = world.disk / "filler"
    try:
        with filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
    except OSError:  # what was pushed may have filled it before, so that not even the file can be made
        pass
    world.installed.live(world.chance.uniform(0.2, 0.8))
    world.installed.kill()
    filler.unlink(missing_ok=True)


def troubles(world: World, rounds: int) -> list[Trouble]:
    """What goes wrong in each round, by the world's seed."""
    points = [point for point in POINTS if point.area != "upgrades"]
    others = [die_together, jump, cut] + ([fill] if world.disk is not None else [])
    chosen: list[Trouble] = []
    for _ in range(rounds):
        if world.chance.random() < 0.7:
            chosen.append(die_at(world.chance.choice(points), world.chance.choice((1, 1, 1, 2, 3, 5))))
        else:
            chosen.append(world.chance.choice(others))
    return chosen
