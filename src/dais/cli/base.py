"""What commands are made of: groups that import lazily, the program around them, nearest names, and the connection."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click

from dais.cli.problems import explain

if TYPE_CHECKING:
    from dais.sdk.client import Client
    from dais.sdk.profiles import Access

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
    """The options before the command, and what the program is like.

    `prefixes` are how the variables of the environment begin that it heeds, the winner first; `camel`: it names fields
    in camelCase.
    """

    profile: str | None = None
    account: str | None = None
    prefixes: tuple[str, ...] = ("DAIS_",)
    camel: bool = False


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
        return with_profile(command)

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
                rows.append((name, command.get_short_help_str(200)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Program(LazyGroup):
    """A program: called, it runs the command of sys.argv, and returns its exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int:
        code = self.run(arguments)
        if arguments is None:  # the process ends with it: let that be quick, and look for no garbage
            gc.freeze()
        return code

    def run(self, arguments: Sequence[str] | None) -> int:
        """Run one command line; its exit code. Problems become one line that says what, and one what to do."""
        try:
            outcome = self.main(args=arguments, prog_name=self.name, standalone_mode=False)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of our output went away: Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except (click.Abort, KeyboardInterrupt):
            click.echo("\ninterrupted", err=True)
            return 130
        except click.exceptions.Exit as end:
            return end.exit_code
        except Exception as error:
            return explain(self.told(error))
        return outcome if isinstance(outcome, int) else 0

    def told(self, error: Exception) -> Exception:
        """A problem as the users of this program know it."""
        return error


def begin(context: click.Context, given: Globals, *, show_version: bool) -> None:
    """What a program does before its command: keep the options for it; without one, say what there is."""
    context.obj = given
    if show_version:
        from dais import __version__

        click.echo(f"{context.info_name} {__version__}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or nothing where no name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def connected(function: Callable[Concatenate[Client, P], R]) -> Callable[P, R]:
    """Gives the command `--profile` and `--account`, and a client as its first argument, closed at its end."""

    def command(access: Access, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with _client(access, PATIENCE) as client:
            return function(client, *args, **kwargs)

    return reaching(functools.update_wrapper(command, function))


def reaching(function: Callable[Concatenate[Access, P], R]) -> Callable[P, R]:
    """As `connected`, with what a client would connect with: importing one takes longer than some commands do."""

    @click.option("--profile", metavar="NAME", help="Use this profile of the profile file (DAIS_PROFILE).")
    @click.option("--account", metavar="ACCOUNT", help="Act in this account, as org.lab.project (DAIS_ACCOUNT).")
    @functools.wraps(function)
    def command(*args: Any, profile: str | None, account: str | None, **kwargs: Any) -> R:
        context = click.get_current_context()
        before = context.find_object(Globals) or Globals()
        context.obj = dataclasses.replace(before, profile=profile or before.profile, account=account or before.account)
        from dais.cli.problems import about_token
        from dais.sdk.errors import Unauthenticated

        access = _find_access()
        try:
            return function(access, *args, **kwargs)
        except Unauthenticated as error:
            error.hint = error.hint or about_token(access)
            raise

    return command  # type: ignore[return-value]


def with_profile(command: click.Command) -> click.Command:
    """Lets each command take `--profile` and `--account`, also one that has no use for them.

    What connects shows them in its help (`connected`). The others look at this machine alone.
    """
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_profile(one)
        return command
    have = {name for parameter in command.params for name in parameter.opts}
    for name in ("--profile", "--account"):
        if name not in have:
            command.params.append(click.Option([name], hidden=True, expose_value=False, callback=_take_global))
    return command


def _take_global(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name is not None:
        before = context.find_object(Globals) or Globals()
        given: dict[str, Any] = {parameter.name: value}
        context.obj = dataclasses.replace(before, **given)


def open_client(*, patience: float = PATIENCE) -> Client:
    """A client for the options of the command, the environment and the profile file."""
    return _client(_find_access(), patience)


def _client(access: Access, patience: float) -> Client:
    from dais.sdk.client import Client

    client = Client(access.url, access.token or "", account=access.account, patience=patience, on_wait=note)
    client.access = access
    return client


def _find_access() -> Access:
    """What the options of the command, the environment and the profile file say."""
    from dais.sdk.profiles import find_access

    given = chosen()
    access = find_access(profile=given.profile, account=given.account, prefixes=given.prefixes)
    for sentence in access.outdone:
        note(sentence)
    return access


def chosen() -> Globals:
    """The profile and account that the command line names, before or after the command."""
    context = click.get_current_context(silent=True)
    return (context.find_object(Globals) if context else None) or Globals()


class CommandAfterDashes(click.Command):
    """A command whose words, after its own options, are a command line: `job exec ID -- ls -l`.

    The first `--` ends our options; words before it belong to the line too. Without `--` the first word ends them.
    The line is the parameter `words`.
    """

    options_between = False
    """Whether options may stand between the words before `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, dashes, theirs = _split_at_dashes(args)
        ctx.allow_interspersed_args = bool(dashes) and self.options_between
        ctx.allow_extra_args = True
        super().parse_args(ctx, ours)
        ctx.params["words"] = (*ctx.args, *theirs)
        ctx.args = []
        return []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


class ReferenceAndCommand(CommandAfterDashes):
    """As CommandAfterDashes, where a job is named before the command."""

    options_between = True

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [*pieces[:-1], "JOB", pieces[-1]]


def _split_at_dashes(args: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in args:
        return args, False, []
    place = args.index("--")
    return args[:place], True, args[place + 1 :]


def note(message: str) -> None:
    """A line for the person at the terminal, on stderr, so that output can be piped."""
    context = click.get_current_context(silent=True)
    program = (context.find_root().info_name if context else None) or "dais"
    click.echo(click.style(f"{program}: {message}", dim=True), err=True)


def leave(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise click.exceptions.Exit(code)
