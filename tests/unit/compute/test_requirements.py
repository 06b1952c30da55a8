"""What an environment is built from."""

from __future__ import annotations

import pytest

from dais.compute.environments.requirements import find_requirements
from dais.kit.errors import Invalid


def find(files: dict[str, str | bytes], wanted: str | None = None):  # type: ignore[no-untyped-def]
    content = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    return find_requirements(content.get, wanted)


def test_requirements_txt_comes_before_pyproject() -> None:
    found = find({"requirements.txt": "numpy==2.1\n", "pyproject.toml": "[project]\ndependencies = ['scipy']\n"})
    assert (found.main, found.files) == ("requirements.txt", {"requirements.txt": "numpy==2.1\n"})


def test_pyproject_gives_its_dependencies() -> None:
    found = find({"pyproject.toml": "[project]\nname='x'\ndependencies = ['scipy>=1', 'numpy']\n"})
    assert found.files == {"requirements.txt": "scipy>=1\nnumpy\n"}


@pytest.mark.parametrize("files", [{}, {"requirements.txt": "# nothing\n\n"}, {"pyproject.toml": "[tool.ruff]\n"}])
def test_nothing_to_build(files: dict[str, str | bytes]) -> None:
    assert find(files) is None


def test_a_job_may_want_none_or_another_file() -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "numpy\n", "deep/gpu.txt": "-r ../requirements.txt\ntorch\n"}
    assert find(files, "") is None
    found = find(files, "deep/gpu.txt")
    assert set(found.files) == {"deep/gpu.txt", "requirements.txt"}


def test_comments_do_not_change_the_digest_but_versions_and_interpreter_do() -> None:
    plain = find({"requirements.txt": "numpy==2.1\n"})
    commented = find({"requirements.txt": "# fast\nnumpy==2.1   # yes\n\n"})
    other = find({"requirements.txt": "numpy==2.2\n"})
    assert plain.digest("3.11") == commented.digest("3.11") != other.digest("3.11")
    assert plain.digest("3.11") != plain.digest("3.12")


@pytest.mark.parametrize(
    "files, wanted, message",
    [
        ({"requirements.txt": "-e .\n"}, None, "line 1: '-e .' is a local path"),
        ({"requirements.txt": "numpy\n./wheel.whl\n"}, None, "line 2"),
        ({"requirements.txt": "x @ file:///etc/passwd\n"}, None, "is a local path"),
        ({"requirements.txt": "-r ../../etc/passwd\n"}, None, "lies outside the source"),
        ({"requirements.txt": "-r /etc/passwd\n"}, None, "is not a file of the source"),
        ({"requirements.txt": "-r https://example.org/r.txt\n"}, None, "is not a file of the source"),
        ({"requirements.txt": "-r other.txt\n"}, None, "no file 'other.txt'"),
        ({}, "gpu.txt", "no file 'gpu.txt'"),
        ({"pyproject.toml": "[project\n"}, None, "not valid TOML"),
        ({"requirements.txt": b"\xff\xfe"}, None, "not UTF-8"),
        ({"requirements.txt": "a" * (2 << 20)}, None, "may have 1,048,576"),
    ],
)
def test_refused_with_file_and_line(files: dict[str, str | bytes], wanted: str | None, message: str) -> None:
    with pytest.raises(Invalid, match=message) as caught:
        find(files, wanted)
    assert caught.value.code == "bad-requirements"


def test_files_that_include_each_other_end() -> None:
    found = find({"requirements.txt": "-r a.txt\n", "a.txt": "-r requirements.txt\nnumpy\n"})
    assert set(found.files) == {"requirements.txt", "a.txt"}
