"""What commands are made of: groups that import lazily, nearest names for typing errors, and the connection."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from dais.sdk.client import Client

P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 2.0
"""Seconds for which a command tries again when nothing answers; a server that restarts is back after about one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in a table: "module:attribute", its line of help, and the command it is another name of."""

    target: str
    summary: str
    alias_of: str | None = None


@dataclass(frozen=True, slots=True)
class Globals:
    """The options before the command."""

    profile: str | None = None
    account: str | None = None


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used; `--help` needs only the table."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = dict(entries or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.entries, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            raise click.UsageError(f"there is no command {name!r}{did_you_mean(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.summary) for name, entry in self.entries.items()]
        for name in super().list_commands(ctx):
            command = super().get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(90)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or nothing where no name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def connected(function: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    """Gives the command `--profile` and `--account`, and a client as its first argument, closed at its end."""

    @click.option("--profile", metavar="NAME", help="Use this profile of the profile file (DAIS_PROFILE).")
    @click.option("--account", metavar="ACCOUNT", help="Act in this account, as org.lab.project (DAIS_ACCOUNT).")
    @functools.wraps(function)
    def command(*args: Any, profile: str | None, account: str | None, **kwargs: Any) -> R:
        with open_client(profile=profile, account=account) as client:
            return function(client, *args, **kwargs)

    return command  # type: ignore[return-value]


def open_client(*, profile: str | None = None, account: str | None = None, patience: float = PATIENCE) -> Client:
    """A client for the command's options, the options before it, the environment and the profile file."""
    from dais.sdk.client import Client

    context = click.get_current_context(silent=True)
    given = context.find_object(Globals) if context else None
    given = given or Globals()
    return Client(
        profile=profile or given.profile,
        account=account or given.account,
        patience=patience,
        on_wait=lambda message: note(message),
    )


def note(message: str) -> None:
    """A line for the person at the terminal, on stderr, so that output can be piped."""
    click.echo(click.style(f"dais: {message}", dim=True), err=True)
