"""Finding GPUs through the real bindings, with a library of our own in the driver's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.engines.contract import LaunchRefused
from dais.engines.nvidia import Gpus
from tests.support.gpus import FakeDriver

GIB = 1 << 30


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> FakeDriver:
    made = FakeDriver(tmp_path_factory.mktemp("driver"))
    made.make_files("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")
    (made.devices / "nvidia-caps").mkdir()
    (made.devices / "nvidia-caps" / "nvidia-cap1").touch()
    return made


@pytest.fixture
def gpus(driver: FakeDriver) -> Gpus:
    driver.tell(f"GPU-a 0 {80 * GIB} {GIB} 50", f"GPU-b 1 {80 * GIB} {3 * GIB} 100")
    return Gpus(str(driver.library), str(driver.devices))


def test_no_driver_is_no_gpu_and_no_problem(tmp_path: Path) -> None:
    gpus = Gpus()
    if gpus._driver_is_there():
        pytest.skip("this machine has an NVIDIA driver")
    assert (gpus.look(), gpus.problem) == ((), None)


def test_gpus_are_told_by_uuid_with_the_number_of_their_node(gpus: Gpus) -> None:
    found = gpus.look()
    assert [(gpu.uuid, gpu.minor, gpu.memory) for gpu in found] == [
        ("GPU-a", 0, 80 * GIB),
        ("GPU-b", 1, 80 * GIB),
    ]
    assert gpus.problem is None


def test_a_job_gets_the_nodes_of_its_own_gpus_and_the_shared_ones(gpus: Gpus, driver: FakeDriver) -> None:
    binds = gpus.binds(["GPU-b"])
    assert {bind.target for bind in binds} == {
        "/dev/nvidia1",
        "/dev/nvidiactl",
        "/dev/nvidia-uvm",
        "/dev/nvidia-caps/nvidia-cap1",
    }
    assert {Path(bind.source).parent for bind in binds} <= {driver.devices, driver.devices / "nvidia-caps"}


def test_a_driver_that_is_not_loaded_is_no_problem(gpus: Gpus, driver: FakeDriver) -> None:
    driver.tell("error 9")
    assert (gpus.look(), gpus.problem) == ((), None)


@pytest.mark.parametrize(
    "told, words",
    [("error 15", "GPU is lost"), ("crash", "crashed"), ("GPU-z 7 1 1 1", "has no device node")],
)
def test_a_driver_that_does_not_work_is_told_and_gives_no_gpus(
    gpus: Gpus, driver: FakeDriver, told: str, words: str
) -> None:
    assert len(gpus.look()) == 2
    driver.tell(told)
    assert gpus.look() == ()
    assert words in (gpus.problem or "")
    with pytest.raises(LaunchRefused, match="GPU-a is not there any more"):
        gpus.binds(["GPU-a"])


def test_a_library_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    gpus = Gpus(str(tmp_path / "none.so"))
    assert gpus.look() == ()
    assert "none.so" in (gpus.problem or "")


def test_what_gpus_use_is_summed(gpus: Gpus) -> None:
    assert gpus.used(["GPU-a", "GPU-b"]) == (4 * GIB, 0.75)
    assert gpus.used(["GPU-b"]) == (3 * GIB, 1.0)
    assert gpus.used(["GPU-none"]) is None
