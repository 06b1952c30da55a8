"""A whole chaos: rounds of work and trouble by one seed, rest, and every invariant."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.invariants import check
from tests.chaos.trouble import troubles
from tests.chaos.world import Trouble, World, rest

DISK = 512 << 20


def run(seed: int, *, rounds: int = 6, chosen: list[Trouble] | None = None, database_url: str = "") -> list[str]:
    """Run it; the points at which something died. Raises whatever is wrong, after having printed the story."""
    with ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="dais-chaos-")))
        directory.chmod(0o755)
        disk = held.enter_context(small_disk(directory / "disk"))
        world = World(directory, seed, disk=disk, database_url=database_url)
        held.callback(world.close)
        try:
            world.start()
            for turn, trouble in enumerate(chosen or troubles(world, rounds)):
                world.round(turn, trouble)
            rest(world)
            check(world)
        except BaseException:
            print(f"seed {seed}:", *world.story.events, world.installed.said()[-3000:], sep="\n  ")  # noqa: T201
            print(world.installed.log()[-6000:])  # noqa: T201
            raise
        return world.story.fired


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A disk that can be filled without harm; None where this user may mount none."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
