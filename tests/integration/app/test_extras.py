"""What is installed without its extras works, and says of what it lacks which extra has it."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installed import CLIENT, PLATFORM, ROOT, asked_for, build_wheels, environment_of
from tests.support.operator import Operated

PACKAGE = ROOT / "src"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def client_alone(wheels: tuple[Path, Path], tmp_path: Path) -> Operated:
    return _installed(tmp_path, environment_of(tmp_path / "venv", wheels[:1], asked_for(CLIENT)))


@pytest.fixture
def platform(wheels: tuple[Path, Path], tmp_path: Path) -> Iterator[Operated]:
    """The client and the platform, without any other extra."""
    made = _installed(tmp_path, environment_of(tmp_path / "venv", wheels, asked_for(CLIENT, PLATFORM)))
    yield made
    made.close()


def test_the_two_wheels_are_the_package_and_share_nothing(wheels: tuple[Path, Path]) -> None:
    client, platform = (_modules(wheel) for wheel in wheels)
    sources = (path for path in (PACKAGE / "dais").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert client & platform == set()
    assert client | platform == {str(path.relative_to(PACKAGE)) for path in sources}


def test_the_client_alone_works_and_names_the_extra(client_alone: Operated) -> None:
    assert client_alone.dais("--version").stdout.startswith("dais ")
    for arguments in (["up"], ["doctor"], ["gc"]):
        result = client_alone.dais(*arguments)
        assert (result.returncode, result.stdout) == (1, "")
        assert "dais-platform[server]" in result.stderr
    code = "import dais, dais.acai, dais.eai; dais.Client('http://localhost:1', 'x').close(); print(dais.report)"
    subprocess.run([client_alone.python, "-c", code], env=client_alone.environment, check=True, timeout=60)


def test_the_platform_runs_jobs_without_the_other_extras(platform: Operated) -> None:
    platform.up()
    result = platform.dais("run", "--no-source", "--", "echo", "hello")
    assert (result.returncode, "hello" in result.stdout) == (0, True), result.stderr


@pytest.mark.parametrize(
    "setting, value, extra",
    [
        ("DAIS_DATABASE_URL", "postgresql://nobody@localhost/nothing", "postgres"),
        ("DAIS_STORE_BUCKET", "nothing", "s3"),
    ],
)
def test_what_needs_an_extra_names_it(platform: Operated, setting: str, value: str, extra: str) -> None:
    result = platform.dais("up", "--port", "0", **{setting: value})
    assert (result.returncode, f"dais-platform[{extra}]" in result.stderr) == (1, True), result.stderr
    assert "Traceback" not in result.stderr
    assert f"dais-platform[{extra}]" in platform.dais("doctor", "--json", **{setting: value}).stdout


def _installed(home: Path, python: str) -> Operated:
    made = Operated(home, python)
    del made.environment["PYTHONPATH"]
    return made


def _modules(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if name.startswith("dais/")}
