"""Versioned files: a large one and many small ones, added, added again, and a little changed; beside git and DVC."""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.server import dais
from bench.transfers import copy_and_hash, git_add
from dais.compute.loops.trees import Trees
from dais.data import BlobStore, LakeFile, TreeWriter
from tests.support.installation import Installation

MIB = 1 << 20
SETTLED_SECONDS = 2.1
"""What was written less than two seconds ago is read again: its times could still stay as they are."""


def run(bench: Bench) -> None:
    large(bench)
    small(bench)
    memory(bench)
    tree_for_jobs(bench)


def large(bench: Bench) -> None:
    """One file: new, again, and with one megabyte changed."""
    size = bench.pick(2048, 64) * MIB
    with _place() as directory, dais() as server:
        lake = Lake(server, directory / "cache")
        source = directory / "large"
        seen = bench.interleave(
            {
                "add": lambda: size / MIB / lake.add_new(source, partial(write_new, source, size)),
                "cp": lambda: size / MIB / copy_and_hash(source, directory / "copy"),
            }
        )
        again = bench.repeat(lambda: lake.again(source))
        changed = bench.repeat(lambda: lake.change(source, size))
    what = f"{size // MIB:,} MiB"
    bench.report(
        Row(
            figure=f"add a file of {what}: cut into chunks, hashed, verified, synced, committed",
            ours=seen["add"],
            unit="MiB/s",
            peer="cp, then SHA-256 by OpenSSL",
            theirs=seen["cp"],
            ratios=ratios(seen["add"], seen["cp"]),
            aim=Aim(number="9", must=0.6, should=0.8),
        ),
        Row(
            figure=f"add it again, unchanged ({what}): first time ÷ this time",
            ours=[size / MIB / rate / spent for rate, spent in zip(seen["add"], again, strict=True)],
            unit="times",
            aim=Aim(number="", must=20),
        ),
        Row(
            figure=f"one megabyte of {what} changed: what the blob store grows by",
            ours=changed,
            unit="MiB",
            aim=Aim(number="", must=16, at_most=True),
        ),
    )


def memory(bench: Bench) -> None:
    """The most memory that the server and a command have while a large file goes up, and while it comes back."""
    size = bench.pick(10_240, 64) * MIB
    with _place() as directory, dais() as server:
        source = directory / "large"
        write_stamped(source, size)
        peaks = {}
        for words in (("upload", str(source), "/large"), ("download", "/large", str(directory / "back"))):
            Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # its peak is counted from now on
            peaks[words[0]] = (peak_of([sys.executable, "-m", "dais", "file", *words], server), peak(server.pid))
        assert (directory / "back").stat().st_size == size
    bench.report(
        *(
            Row(
                figure=f"the most resident memory of the {side} while {size // MIB:,} MiB go {way}",
                ours=[peaks[verb][place] / 1e6],
                unit="MB",
                aim=Aim(number="", must=300, at_most=True),
            )
            for verb, way in (("upload", "up"), ("download", "down"))
            for place, side in enumerate(("command", "server"))
        )
    )


def small(bench: Bench) -> None:
    """Many small files: new, and again."""
    count = bench.pick(10_000, 500)
    with _place() as directory, dais() as server:
        lake = Lake(server, directory / "cache")
        tree = directory / "tree"
        fill = partial(write_tree, tree, count)
        sides: dict[str, Callable[[], float]] = {"add": lambda: count / lake.add_new(tree, fill)}
        if shutil.which("git"):
            sides["git"] = lambda: count / git_add(tree)
        else:
            bench.absent("git", "install git")
        if dvc() is not None:
            sides["dvc"] = lambda: count / dvc_add(tree)
        else:
            bench.absent("DVC", "install the extra `bench`")
        seen = bench.interleave(sides)
        again = bench.repeat(lambda: lake.again(tree))
    rows = []
    for peer, name, aim in (("git", "git add", (0.7, 1.2)), ("dvc", "DVC add and push", (3, 6))):
        if peer in seen:
            rows.append(
                Row(
                    figure=f"add {count:,} files of 4 KiB in one commit",
                    ours=seen["add"],
                    unit="files/s",
                    peer=name,
                    theirs=seen[peer],
                    ratios=ratios(seen["add"], seen[peer]),
                    aim=Aim(number="11" if peer == "git" else "12", must=aim[0], should=aim[1]),
                )
            )
    rows.append(
        Row(
            figure=f"add {count:,} files of 4 KiB again, unchanged: first time ÷ this time",
            ours=[count / rate / spent for rate, spent in zip(seen["add"], again, strict=True)],
            unit="times",
            aim=Aim(number="", must=20),
        )
    )
    bench.report(*rows)


def tree_for_jobs(bench: Bench) -> None:
    """A file set brought to jobs: as the tree that they share, and as copies in one working directory."""
    count = bench.pick(10_000, 500)
    with _place() as directory:
        blobs, source = BlobStore(directory / "blobs"), directory / "tree"
        write_tree(source, count)
        files = [stored(blobs, path, f"/{path.relative_to(source)}") for path in sorted(source.rglob("*/*"))]
        fresh = (directory / f"made {number}" for number in itertools.count())
        seen = bench.interleave(
            {
                "links": lambda: count / timed(lambda: Trees(next(fresh), blobs).ensure("tree", files, ignore)),
                "copies": lambda: count / timed(lambda: copies(blobs, files, next(fresh))),
                "cp": lambda: count / timed(lambda: subprocess.run(["cp", "-r", source, next(fresh)], check=True)),
            }
        )
        trees = Trees(next(fresh), blobs)
        trees.ensure("tree", files, ignore)
        again = bench.repeat(lambda: timed(lambda: trees.ensure("tree", files, ignore)) * 1e3)
    what = f"bring a set of {count:,} files of 4 KiB to a job"
    rows = [
        Row(
            figure=f"{what}: {how}",
            ours=seen[side],
            unit="files/s",
            peer="cp -r",
            theirs=seen["cp"],
            ratios=ratios(seen[side], seen["cp"]),
            aim=Aim(number="", must=1.0) if side == "links" else None,
        )
        for side, how in (
            ("links", "the tree that jobs share"),
            ("copies", "copies in its working directory, verified"),
        )
    ]
    bench.report(*rows, Row(figure=f"{what}: the tree is there already", ours=again, unit="ms"))


def stored(blobs: BlobStore, path: Path, name: str) -> LakeFile:
    """A file of the tree, as a version whose content is in the store."""
    content = path.read_bytes()
    digest = blobs.put(content)
    return LakeFile(
        id=name,
        file_id=name,
        path=name,
        version=1,
        digest=digest,
        size=len(content),
        executable=False,
        created_by="",
        created_at=0,
    )


def copies(blobs: BlobStore, files: Sequence[LakeFile], into: Path) -> None:
    into.mkdir()
    TreeWriter(blobs, links=False).write(into, files, ignore)


def ignore(count: int) -> None:
    """Nobody is told how far it is."""


def timed(what: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


class Lake:
    """Versioned files of an installation, by its SDK in this process; times in seconds."""

    def __init__(self, server: Installation, cache: Path) -> None:
        os.environ["DAIS_CACHE_DIR"] = str(cache)
        self._client = server.client()
        self._blobs = server.data / "blobs"

    def add_new(self, source: Path, fill: Callable[[], None]) -> float:
        """Add what is new to the server."""
        fill()
        return self._add(source)

    def again(self, source: Path) -> float:
        """Add what has not changed, once its digests are remembered."""
        time.sleep(SETTLED_SECONDS)
        self._add(source)
        return self._add(source)

    def change(self, source: Path, size: int) -> float:
        """Change one megabyte in the middle and add it; MiB that the store grows by."""
        before = self._stored()
        with source.open("r+b") as file:
            file.seek(random.randrange(size - MIB))
            file.write(random.randbytes(MIB))
        self._add(source)
        return (self._stored() - before) / MIB

    def _add(self, source: Path) -> float:
        begun = time.monotonic()
        self._client.files.upload_tree(source, "/bench/")
        return time.monotonic() - begun

    def _stored(self) -> int:
        return sum(path.stat().st_size for path in self._blobs.glob("??/*"))


def write_new(path: Path, size: int) -> None:
    """A file that nobody has seen before. (Content that repeats itself would be cut at the largest size, not by what it
    says.)"""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))


def write_stamped(path: Path, size: int) -> None:
    """A file with holes, which takes a twentieth of its size here; no two of its chunks are the same."""
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size, 80 << 10):
            file.seek(at)
            file.write(os.urandom(16))


def peak_of(command: Sequence[str], server: Installation) -> int:
    """Run a command of an installation; the most resident bytes that it had."""
    process = subprocess.Popen(command, env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} failed"
    return usage.ru_maxrss << 10


def peak(pid: int) -> int:
    """The most resident bytes that a process had since its peak was cleared."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10


def write_tree(tree: Path, count: int) -> None:
    """Files of 4 KiB whose contents nobody has seen before."""
    for index in range(count):
        path = tree / f"{index // 100:03d}" / f"{index % 100:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(4096))


def dvc() -> str | None:
    """The program, where it is installed."""
    beside = Path(sys.executable).with_name("dvc")
    return str(beside) if beside.exists() else shutil.which("dvc")


def dvc_add(tree: Path) -> float:
    """Seconds that `dvc add` and `dvc push` to a directory take for a copy of the tree, in a repository of its own."""
    program = dvc()
    assert program is not None
    with TemporaryDirectory(prefix="dais-bench-") as name:
        shutil.copytree(tree, Path(name) / "tree")
        environment = os.environ | {"HOME": name, "DVC_NO_ANALYTICS": "1"}
        run = partial(subprocess.run, env=environment, check=True, capture_output=True, cwd=name)
        run([program, "init", "--quiet", "--no-scm"])
        run([program, "remote", "add", "--quiet", "--default", "there", f"{name}/there"])
        begun = time.monotonic()
        run([program, "add", "--quiet", "tree"])
        run([program, "push", "--quiet"])
        return time.monotonic() - begun


@contextmanager
def _place() -> Iterator[Path]:
    """A directory for files that are added, which the server need not enter."""
    before = os.environ.get("DAIS_CACHE_DIR")
    with TemporaryDirectory(prefix="dais-bench-") as name:
        try:
            yield Path(name)
        finally:
            if before is None:
                os.environ.pop("DAIS_CACHE_DIR", None)
            else:
                os.environ["DAIS_CACHE_DIR"] = before


if __name__ == "__main__":
    main(run)
