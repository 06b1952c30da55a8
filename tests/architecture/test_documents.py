"""The documentation names what there is, and its generated part is not stale."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from dais.kit.settings import Setting
from tests.architecture import documents
from tests.architecture.sources import ROOT

DOCS = ROOT / "docs"


def command_line() -> click.Command:
    main = importlib.import_module("dais.cli").main
    assert isinstance(main, click.Command), "dais.cli.main is a click command, so that tests and docs can walk it"
    return main


def test_every_setting_is_documented() -> None:
    assert documents.undocumented_settings(documents.settings(), DOCS / "settings.md") == []


def test_every_command_is_documented() -> None:
    main = command_line()
    assert len(list(documents.commands(main))) > 3
    assert documents.undocumented_commands(main, DOCS / "cli.md") == []


def test_every_command_has_an_example() -> None:
    assert documents.commands_without_example(command_line()) == []


def test_the_command_reference_is_not_stale() -> None:
    command_line()
    result = subprocess.run([sys.executable, "-m", "dais.cli.reference"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (DOCS / "cli.md").read_text() == result.stdout, "docs/cli.md is stale; `make docs` writes it"


def test_the_rules_find_what_is_wrong(tmp_path: Path) -> None:
    named = Setting("data", "chunk_size", "int", 4, "Bytes in a chunk")
    other = Setting("data", "chunk", "int", 4, "A name that is the beginning of another one")
    page = tmp_path / "settings.md"
    assert len(documents.undocumented_settings([named], page)) == 1
    page.write_text("| `DAIS_DATA_CHUNK_SIZE` | bytes |\n")
    assert documents.undocumented_settings([named, other], page) == [
        "settings.md does not name DAIS_DATA_CHUNK: A name that is the beginning of another one"
    ]

    main = click.Group()
    jobs = click.Group("job")
    jobs.add_command(click.Command("ls", help="List jobs.\n\nExample: dais job ls --last"))
    jobs.add_command(click.Command("rm", help="Remove a job."))
    jobs.add_command(click.Command("_secret", hidden=True))
    main.add_command(jobs)
    reference = tmp_path / "cli.md"
    reference.write_text("## dais job ls\n")
    assert documents.undocumented_commands(main, reference) == ["cli.md does not name `dais job rm`"]
    assert documents.commands_without_example(main) == ["`dais job rm --help` has no example"]
