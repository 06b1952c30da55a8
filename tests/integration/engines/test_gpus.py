"""A job sees its own GPUs' device nodes and no others: nodes made by hand, told by a library in the driver's place."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dais.engines.contract import LaunchSpec
from dais.engines.local import LocalEngine
from tests.support.engines import LocalHarness, output, read_log, watching
from tests.support.gpus import FakeDriver
from tests.support.needs import needs_bwrap, needs_cgroups, needs_root
from tests.support.supervisor import cgroups_of

pytestmark = pytest.mark.anyio

KMSG = (1, 11)
LOOK = """
import os
for name in sorted(os.listdir("/dev")):
    if name.startswith("nvidia"):
        fd = os.open(f"/dev/{name}", os.O_RDWR)
        print(name, os.read(fd, 1) == b"\\0")
"""


@pytest.fixture
def driver() -> Iterator[FakeDriver]:
    needs_root()
    needs_bwrap()
    directory = Path(tempfile.mkdtemp(prefix="dais-gpus-"))
    if os.statvfs(directory).f_flag & os.ST_NODEV:
        directory.rmdir()
        pytest.skip("needs a temporary directory on a file system with device nodes")
    made = FakeDriver(directory)
    made.make_nodes("nvidia0", "nvidia1", "nvidiactl")
    made.tell("GPU-a 0 1000 10 5", "GPU-b 1 1000 20 10")
    yield made
    shutil.rmtree(directory)


@pytest.fixture
async def harness(driver: FakeDriver, tmp_path: Path) -> AsyncIterator[LocalHarness]:
    made = LocalHarness(tmp_path, "sandbox", nvml=str(driver.library), gpu_devices=str(driver.devices))
    yield made
    await made.close()


async def said(engine: LocalEngine, spec: LaunchSpec) -> str:
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        end = await watcher.over(spec.attempt_id)
    text = output(await read_log(engine, handle)).decode()
    assert end.exit_code == 0, (end, text)
    return text


def asks(harness: LocalHarness, program: str, *gpus: str) -> LaunchSpec:
    return harness.spec(argv=("python3", "-c", program), gpus=gpus)


async def test_a_job_opens_its_own_gpu_and_not_the_others(harness: LocalHarness) -> None:
    engine = await harness.open()
    (node,) = await engine.nodes()
    assert node.gpus == ("GPU-a", "GPU-b")
    assert (await said(engine, asks(harness, LOOK, "GPU-b"))).split("\n")[:-1] == ["nvidia1 True", "nvidiactl False"]
    assert (await said(engine, asks(harness, LOOK, "GPU-a"))).split("\n")[:-1] == ["nvidia0 True", "nvidiactl False"]
    assert await said(engine, asks(harness, LOOK)) == ""
    both = await said(engine, asks(harness, LOOK, "GPU-a", "GPU-b"))
    assert both.split() == ["nvidia0", "True", "nvidia1", "True", "nvidiactl", "False"]
    await engine.close()


async def test_where_there_is_a_devices_controller_it_refuses_all_other_nodes(
    harness: LocalHarness, driver: FakeDriver
) -> None:
    needs_cgroups("devices")
    stray = driver.devices / "stray"
    os.mknod(stray, stat.S_IFCHR | 0o666, os.makedev(*KMSG))
    engine = await harness.open()
    spec = harness.spec(("sleep-forever",), gpus=("GPU-a",))
    async with watching(engine) as watcher:
        await engine.launch([spec])
        await watcher.running(spec.attempt_id)
    [group] = [group for group in cgroups_of(spec.attempt_id) if group.parts[4] == "devices"]
    assert opens(stray, within=None)
    assert not opens(stray, within=group)
    assert opens(driver.devices / "nvidia0", within=group)
    await engine.close()


def opens(path: Path, *, within: Path | None) -> bool:
    """Whether a process of root, in this control group, can open a path."""
    join = f"echo $$ > {within}/cgroup.procs; " if within else ""
    return subprocess.run(["sh", "-c", f"{join}: < {path}"], capture_output=True, check=False).returncode == 0


async def test_a_gpu_that_is_gone_fails_the_launch_alone(harness: LocalHarness) -> None:
    engine = await harness.open()
    gone, sound = asks(harness, LOOK, "GPU-none"), asks(harness, LOOK, "GPU-a")
    async with watching(engine) as watcher:
        await engine.launch([gone, sound])
        end = await watcher.over(gone.attempt_id)
        assert end.reason == "launch-failed"
        assert "GPU-none is not there any more" in (end.detail or "")
        assert (await watcher.over(sound.attempt_id)).exit_code == 0
    await engine.close()


async def test_what_a_job_s_gpus_use_is_told_also_by_the_next_server(harness: LocalHarness) -> None:
    engine = await harness.open()
    spec = harness.spec(("sleep-forever",), gpus=("GPU-b",))
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        await watcher.running(spec.attempt_id)
    await engine.close()
    engine = await harness.open()
    [used] = await engine.usage([handle])
    assert used is not None
    assert (used.gpu_memory, used.gpu_utilization) == (20, 0.1)
    await engine.close()
