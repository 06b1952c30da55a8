"""What users do with versioned files while things go wrong, and what must be there of it afterwards."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.patience import patiently

if TYPE_CHECKING:
    from tests.chaos.world import World

PIECES, CHUNKS = 9 << 20, 17 << 20
"""Bytes of a file that comes in pieces, and of one that is cut into chunks."""

COPYING = """
mkdir -p "$OUT" && cat /in/*/* > "$OUT/all"
"""


@dataclass
class Promised:
    """Sets that were answered, by name, with what is in them; and jobs that make sets of these, by id."""

    sets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    jobs: dict[str, tuple[str, str]] = field(default_factory=dict)


def upload_set(world: World, name: str, chance: random.Random, large: int | None = None) -> None:
    """Upload files, each the first version of its path, and make a set of them. `large`: bytes of one of them."""
    files = {f"/{name}/f{n}": chance.randbytes(chance.choice((0, 10, 3000))) for n in range(30)}
    size = chance.choice((0, PIECES, CHUNKS)) if large is None else large
    if size:
        files[f"/{name}/large"] = chance.randbytes(size)
    local = world.directory / "lake" / name
    local.mkdir(parents=True)
    pairs = []
    for path, content in files.items():
        place = local / path.rpartition("/")[2]
        place.write_bytes(content)
        pairs.append((place, path))
    patiently(lambda: world.installed.client().files.upload(pairs))
    patiently(lambda: world.installed.client().filesets.create(name, list(files)))
    world.story.lake.sets[name] = files


def run_on_set(world: World, name: str, chance: random.Random, large: int | None = None) -> None:
    """Submit a job that reads a set and makes another of it; which of the two happened is told at the end."""
    upload_set(world, name, chance, large)
    job = world.installed.submit(
        "sh",
        "-c",
        COPYING,
        name=f"lake{name}",
        cpu=0.2,
        restartable=True,
        source=None,
        inputs=[f"{name}=/in"],
        output=f"out{name}=made{name}",
        environment={"OUT": f"out{name}"},
    )
    world.story.lake.jobs[job.id] = (name, f"made{name}")


def lake_is_whole(world: World) -> None:
    """Each promised set is there, byte for byte, with one version; others are not; and no content is missing."""
    client, promised = world.installed.client(), world.story.lake
    known = {one.name: one for one in client.filesets.ls()}
    for name, files in promised.sets.items():
        assert known[name].version == 1, f"{name} was made twice"
        place = world.directory / "lake-back" / name
        place.mkdir(parents=True)
        client.filesets.download(name, place)
        assert _contents(place) == files, f"{name} is not what was uploaded"
    for path in (path for files in promised.sets.values() for path in files):
        assert client.files.get(path).version == 1, f"{path} got a version twice"
    made = set()
    for job_id, (name, result) in promised.jobs.items():
        job = client.jobs.get(job_id)
        if job.state != "SUCCEEDED":
            assert world.filled, f"{job.name}: {job.state} {job.reason} {job.detail}"
            assert result not in known, f"{job.name} failed, and made {result}"
            continue
        made.add(result)
        place = world.directory / "lake-back" / result
        place.mkdir(parents=True)
        client.filesets.download(result, place)
        expected = b"".join(content for _, content in sorted(promised.sets[name].items()))
        assert list(_contents(place).values()) == [expected], f"{result} is not what {job.name} wrote"
    assert known.keys() <= promised.sets.keys() | made, "there is a set that nobody made"
    examined(world)


def examined(world: World) -> None:
    """`dais doctor data` reads everything again, and finds nothing missing, damaged or of unknown origin."""
    answer = world.installed.dais("doctor", "data", "--data-dir", str(world.installed.data), "--json")
    assert answer.returncode == 0, answer.stdout.decode() + answer.stderr.decode()
    assert json.loads(answer.stdout)["sound"] is True


def collected(world: World) -> None:
    """What nothing needs is freed, long after all has come to rest; and everything that somebody needs is there."""
    answer = world.collect()
    assert answer.returncode == 0, answer.stdout.decode() + answer.stderr.decode()
    examined(world)


def _contents(place: Path) -> dict[str, bytes]:
    return {f"/{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*") if path.is_file()}
