"""The tables of commands, their help, and what happens to typing errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from dais.cli.base import LazyGroup
from dais.cli.program import cli


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Each command below `dais` with its path; aliases too."""

    def below(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group, info_name=path)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield f"{path} {name}", command
            if isinstance(command, click.Group):
                yield from below(command, f"{path} {name}")

    yield from below(cli, "dais")


def test_every_command_has_an_example_and_describes_its_options() -> None:
    commands = list(every_command())
    assert len(commands) > 25
    for path, command in commands:
        assert command.help is not None, path
        assert "Example" in command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.help, f"{path} {parameter.opts}"


def test_the_tables_say_what_the_commands_say() -> None:
    def check(group: click.Group, path: str) -> None:
        for name, entry in getattr(group, "entries", {}).items():
            command = group.get_command(click.Context(group), name)
            assert command is not None
            if entry.alias_of is None:
                assert command.get_short_help_str(200).rstrip(".") == entry.summary.rstrip("."), f"{path} {name}"
            else:
                assert group.entries[entry.alias_of].target == entry.target  # type: ignore[attr-defined]
            if isinstance(command, click.Group):
                check(command, f"{path} {name}")

    assert isinstance(cli, LazyGroup)
    check(cli, "dais")


@pytest.mark.parametrize(
    "line, words",
    [
        ("jb ls", "did you mean 'job'?"),
        ("job sbmit", "did you mean 'submit'?"),
        ("job ls --stat alive", "--state"),
        ("job ls --fields id,exit_cod", "did you mean 'exit_code'?"),
        ("job get --last x", "name one"),
        ("job get", "--last"),
        ("job exec --last", "after `--`"),
        ("job cp a b", "JOB:/path"),
        ("job cp j:/a k:/b", "JOB:/path"),
        ("job set --last", "nothing to change"),
        ("job submit", "it is empty"),
        ("job submit --cpu many -- x", "--cpu: 'many' is not a number of cores"),
        ("job submit --mem -1 -- x", "--mem"),
        ("job submit --gpu-mem 3 -- x", "not built yet"),
        ("job submit --replicas 2 -- x", "not built yet"),
        ("job submit --role x -- x", "not built yet"),
        ("job submit -d /etc:/x -- x", "--data: '' names no folder"),
        ("job submit -d x:/proc -- x", "--data: a folder cannot be mounted at '/proc'"),
        ("job submit -e DAIS_X=1 -- x", "--env: 'DAIS_X'"),
        ("job submit -e NO_SUCH_VARIABLE_HERE -- x", "no such variable here"),
        ("job submit --name Bad -- x", "--name: 'Bad' cannot name a job; write 'bad'"),
        ("job submit --max-run-time soon -- x", "--max-run-time"),
        ("job submit --network lan -- x", "--network"),
        ("run --requirements no-such-file.txt -- x", "there is no file 'no-such-file.txt'"),
        ("run --requirements /etc/hostname -- x", "lies outside the source"),
        ("run --no-source --requirements x -- x", "drop one of them"),
        ("job ls --field id --fields name", "exclude each other"),
        ("job ls --since soon", "not a duration"),
        ("job ls --since 2026-99-99", "is no time"),
    ],
)
def test_what_is_typed_wrongly(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli(line.split())
    printed = capsys.readouterr()
    assert code in (1, 2)
    assert printed.err.startswith("error: ")
    assert words in printed.err
    assert "Traceback" not in printed.err
    assert len(printed.err.strip().splitlines()) <= 2
    assert printed.out == ""


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import gc, sys; from dais.cli import main; main(['--help']); main(['job', '--help']);"
        "assert gc.isenabled() and gc.get_freeze_count();"
        "print([m for m in ('httpx2', 'rich', 'yaml', 'websockets', 'msgspec', 'platformdirs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage: dais" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["completion", shell]) == 0
    assert "_DAIS_COMPLETE" in capsys.readouterr().out


def test_completion_knows_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dais", "job", "lo"],
        env={"_DAIS_COMPLETE": "bash_complete", "COMP_WORDS": "dais job lo", "COMP_CWORD": "2", "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,logs", "plain,log"]


def test_version_without_a_server(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAIS_URL", "http://127.0.0.1:9")
    assert cli(["version"]) == 0
    assert "client 0." in capsys.readouterr().out
    assert cli(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dais 0.")


def test_every_command_takes_a_profile() -> None:
    """Before the command, behind it, or as DAIS_PROFILE: none of them ignores which one was meant."""
    for path, command in every_command():
        if not isinstance(command, click.Group):
            options = {name for parameter in command.params for name in parameter.opts}
            assert {"--profile", "--account"} <= options, path
