"""What the documentation must name: every setting, every command, and an example for each command."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

import dais
from dais.kit.settings import Setting, describe


def settings() -> list[Setting]:
    """Every setting of every package, whether or not anything has imported its module yet."""
    for module in pkgutil.walk_packages(dais.__path__, "dais."):
        if module.name.rpartition(".")[2] == "settings":
            importlib.import_module(module.name)
    return describe()


def undocumented_settings(known: Iterable[Setting], page: Path) -> list[str]:
    """Settings whose environment name does not stand on the page."""
    text = page.read_text() if page.exists() else ""
    return [
        f"{page.name} does not name {setting.variable}: {setting.description}"
        for setting in known
        if f"`{setting.variable}`" not in text
    ]


def commands(command: click.Command, path: tuple[str, ...] = ("dais",)) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it; hidden ones left out."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command, info_name=path[-1])
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None and not child.hidden:
            yield from commands(child, (*path, name))


def undocumented_commands(main: click.Command, page: Path) -> list[str]:
    """Commands that the page does not name."""
    text = page.read_text() if page.exists() else ""
    return [f"{page.name} does not name `{words}`" for words, _ in commands(main) if words not in text]


def commands_without_example(main: click.Command) -> list[str]:
    """Commands whose help shows no call of a `dais` command."""
    return [
        f"`{words} --help` has no example"
        for words, command in commands(main)
        if "dais " not in f"{command.help or ''}{command.epilog or ''}"
    ]
