"""Images on Slurm, with a stand-in for Apptainer (`tests/support/apptainer.py`): Apptainer itself is unverified."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.engines.contract import Bind, LaunchRefused
from dais.engines.slurm import SlurmEngine
from tests.support import apptainer
from tests.support.engines import Watcher, drain, output, printed, read_log
from tests.support.needs import UNPRIVILEGED
from tests.support.slurm import Cluster
from tests.support.slurm_harness import SlurmHarness

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

IMAGE = "docker://debian@sha256:" + "0" * 64
ABSENT = "docker://absent@sha256:" + "0" * 64


@pytest.fixture
def program(slurm: Cluster) -> Path:
    """The stand-in, where the jobs' user can execute it and let it count."""
    directory = slurm.place / "apptainer"
    directory.mkdir(exist_ok=True)
    shutil.chown(directory, UNPRIVILEGED)
    (directory / "pulled").unlink(missing_ok=True)
    made = directory / "apptainer"
    shutil.copyfile(apptainer.__file__, made)
    made.chmod(0o755)
    return made


@pytest.fixture
async def engine(harness: SlurmHarness, program: Path) -> AsyncIterator[SlurmEngine]:
    made = await harness.open(apptainer=str(program))
    yield made
    await made.close()


async def test_jobs_start_from_an_image_that_is_fetched_once(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher, program: Path, tmp_path: Path
) -> None:
    await engine.add_root(IMAGE)
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.chown(shared, UNPRIVILEGED)
    (shared / "given").write_text("given\n")
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        path.chmod(0o755)
    binds = (
        Bind(source=str(shared), target="/home/work", read_only=False),
        Bind(source=str(shared), target="/inputs"),
    )
    script = (
        'cat /etc/image; pwd; echo $HOME; echo "$TEXT"; cat /inputs/given; echo written > new; '
        "touch /inputs/no 2>/dev/null || echo read-only; exit 7"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": "/home/work", "TEXT": "it's $5"}
    specs = [
        harness.spec(argv=("sh", "-c", script), root=IMAGE, binds=binds, workdir="/home/work", env=env) for _ in "ab"
    ]
    handles = await engine.launch(specs)
    for spec, handle in zip(specs, handles, strict=True):
        end = await watcher.over(spec.attempt_id)
        said = output(await read_log(engine, handle)).decode()
        assert (end.reason, end.exit_code) == ("exit-code", 7), (end, said)
        assert said.splitlines() == [IMAGE, "/home/work", "/home/work", "it's $5", "given", "read-only"]
    assert (shared / "new").read_text() == "written\n"
    assert (program.parent / "pulled").read_text().splitlines() == [IMAGE]


async def test_commands_enter_the_container_and_it_is_stopped(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec = harness.spec(argv=("sh", "-c", "echo mine > /tmp/inside; echo here; sleep 3600"), root=IMAGE)
    [handle] = await engine.launch([spec])
    status = await watcher.running(spec.attempt_id)
    assert "apptainer" in status.isolation
    await printed(engine, handle, b"here\n")
    stream = await engine.exec(handle, ("cat", "/tmp/inside", "/etc/image"), env={}, workdir=None, pty=None)
    assert (await drain(stream))[0].decode().splitlines() == ["mine", IMAGE]
    await engine.stop(handle, grace=1, reason="user-request")
    end = await watcher.over(spec.attempt_id)
    assert (end.reason, end.stop_reason) == ("stopped", "user-request")


async def test_what_is_wrong_with_an_image_is_told(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    for root, words in ((ABSENT, "manifest unknown"), ("/absent/x.sif", "there is no image")):
        spec = harness.spec(argv=("true",), root=root)
        await engine.launch([spec])
        end = await watcher.over(spec.attempt_id)
        assert (end.reason, words in (end.detail or "")) == ("launch-failed", True), end
    for path, words in (
        ("docker://debian:12", "names no content"),
        ("/absent/x.sif", "there is no file"),
        ("/usr", "is no image"),
    ):
        with pytest.raises(LaunchRefused, match=words):
            await engine.add_root(path)


async def test_without_apptainer_images_are_refused(harness: SlurmHarness, watcher: Watcher) -> None:
    plain = await harness.open()
    try:
        with pytest.raises(LaunchRefused, match="Apptainer"):
            await plain.add_root(IMAGE)
    finally:
        await plain.close()
