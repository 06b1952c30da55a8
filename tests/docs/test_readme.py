"""What the documentation tells people to type works, what it links to is there, and what derives is not stale."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import click
import pytest

from dais.cli import main as command_line
from tests.architecture.sources import ROOT
from tests.docs import pages
from tests.docs.pages import Page, read_page

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
DECISIONS = ROOT / "docs" / "decisions"


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Page:
    return read_page(request.param)


def problems(page: Page, found: Iterable[tuple[int, str | None]]) -> list[str]:
    return [f"{page.path.name}:{line}: {problem}" for line, problem in found if problem is not None]


def checked(
    page: Page, rule: Callable[[click.Command, list[str]], str | None], found: Iterable[tuple[int, list[str]]]
) -> list[str]:
    return problems(page, ((line, rule(command_line, words)) for line, words in found))


def test_every_command_line_parses(page: Page) -> None:
    assert checked(page, pages.problem_of_call, pages.calls(page)) == []


def test_every_command_that_is_mentioned_exists(page: Page) -> None:
    assert checked(page, pages.problem_of_mention, pages.mentions(page)) == []


def test_every_link_leads_somewhere(page: Page) -> None:
    assert problems(page, ((line, pages.problem_of_link(page, target)) for line, target in pages.links(page))) == []


def test_every_python_example_is_python(page: Page) -> None:
    for block in page.blocks:
        if block.language == "python":
            ast.parse("\n".join(block.lines), f"{page.path.name}:{block.line}", feature_version=(3, 11))


def test_the_readme_shows_every_group_of_commands() -> None:
    shown = {words[1] for _, words in pages.calls(read_page(ROOT / "README.md")) if len(words) > 1}
    assert shown >= {"up", "run", "job", "folder", "env", "open", "down"}


def test_every_page_can_be_reached() -> None:
    index = read_page(ROOT / "docs" / "index.md")
    linked = {(index.path.parent / target.partition("#")[0]).resolve() for _, target in pages.links(index)}
    assert {path for path in (ROOT / "docs").glob("*.md") if path != index.path} - linked == set()
    records = read_page(DECISIONS / "README.md")
    named = {target for _, target in pages.links(records)}
    assert {path.name for path in DECISIONS.glob("[0-9]*.md")} == named


def test_decisions_have_their_form() -> None:
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in records]
    assert len(set(numbers)) == len(numbers)
    for path in records:
        lines = path.read_text().splitlines()
        assert lines[0].startswith(f"# {path.name[:4]}. ")
        assert [line[3:] for line in lines if line.startswith("## ")] == [
            "Context",
            "Decision",
            "Consequences",
            "Alternatives",
        ]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    platform = tomllib.loads((ROOT / "server" / "pyproject.toml").read_text())
    extras = {**project["project"]["optional-dependencies"], "server": platform["project"]["dependencies"]}
    for group in {**extras, **project["dependency-groups"]}.values():
        lines += group
    wanted = {re.split(r"[^a-z0-9._-]", line.lower(), maxsplit=1)[0] for line in lines}
    told = re.findall(r"^\| `([a-z0-9.-]+)` \|", (DECISIONS / "0012-dependencies.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(wanted)


@pytest.mark.parametrize(
    "script, page", [("settings_reference.py", "settings.md"), ("actions_reference.py", "api-actions.md")]
)
def test_a_page_that_derives_from_the_program_is_not_stale(script: str, page: str) -> None:
    result = subprocess.run([sys.executable, ROOT / "scripts" / script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (ROOT / "docs" / page).read_text() == result.stdout, f"docs/{page} is stale; see `make docs`"


def test_every_variable_is_documented() -> None:
    from dais.kit.settings import _other_variables

    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in sorted(_other_variables) if f"`{name}`" not in text] == []


def test_the_checks_find_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One place\n\n## A second, place\n")
    path = tmp_path / "page.md"
    path.write_text(
        "[a](other.md) [b](other.md#a-second-place) [c](https://example.org) [d](gone.md) [e](other.md#third)\n"
        "Use `dais job ls --state alive`, `dais job kill ID`, `dais jobs ls`, `dais up --ports N`.\n\n"
        "```console\n"
        "$ DAIS_ACCOUNT=local.a dais run --name x -- python --no-option-of-ours | dais job lss\n"
        "dais is not what this line calls\n"
        "$ dais job logs $(dais job ls --fild id) \\\n"
        "    --tail ten\n"
        "$ dais folder new points ./not-there\n"
        "$ dais job\n"
        "$ dais jub\n"
        "error: there is no command 'jub'\n"
        "```\n\n"
        "```text\n"
        "  dais env sho 1    with a comment\n"
        "```\n"
    )
    page = read_page(path)
    assert [line for line, words in pages.calls(page) if pages.problem_of_call(command_line, words)] == [
        5,
        7,
        7,
        10,
        16,
    ]
    assert [words[1:3] for _, words in pages.mentions(page) if pages.problem_of_mention(command_line, words)] == [
        ["jobs", "ls"],
        ["up", "--ports"],
    ]
    wrong = [target for _, target in pages.links(page) if pages.problem_of_link(page, target)]
    assert wrong == ["gone.md", "other.md#third"]
