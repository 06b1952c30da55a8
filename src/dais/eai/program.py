"""The table of commands, and what happens around every one of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from dais.cli.base import Entry, Globals, LazyGroup
from dais.cli.problems import explain
from dais.eai.words import in_their_words, retold

COMMANDS: dict[str, Entry] = {
    "job": Entry("dais.eai.jobs.group:job", "Submit, watch and steer jobs."),
    "data": Entry("dais.eai.data.group:data", "Make data, and move files into and out of it."),
    "docker": Entry("dais.eai.docker:docker", "Tell which registries images come from."),
    "login": Entry("dais.eai.login:login", "Sign this machine in."),
    "organization": Entry("dais.eai.access:organization", "Make, list and change organizations."),
    "account": Entry("dais.eai.access:account", "Make, list and change accounts, and who works in them."),
    "user": Entry("dais.eai.access:user", "Make, list and change users, their keys and their policies."),
    "team": Entry("dais.eai.access:team", "Make, list and change teams."),
    "role": Entry("dais.eai.access:role", "Make, list and change roles, their policies, members and keys."),
    "rule": Entry("dais.eai.access:rule", "Tell what you may do, who may do something, and why."),
    "allowed": Entry("dais.eai.access:allowed", "Tell whether you may do something.", alias_of="rule allowed"),
    "who-is-allowed": Entry(
        "dais.eai.access:who_is_allowed", "List who may do something.", alias_of="rule who-is-allowed"
    ),
    "service": Entry("dais.eai.service:service", "Services: not built yet."),
    "version": Entry("dais.eai.version:version", "Print the versions of this client and of its server."),
}
"""Every command with its line of help."""

PREFIXES = ("EAI_", "DAIS_")
"""How the variables begin that are heeded: EAI_TOKEN before DAIS_TOKEN, EAI_PROFILE before DAIS_PROFILE."""


class Program(LazyGroup):
    """The program itself: called, it runs the command of sys.argv and returns its exit code."""

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        return run(*args, **kwargs)


@click.group(cls=Program, entries=COMMANDS, invoke_without_command=True)
@click.option("--profile", metavar="NAME", help="Use this profile of the profile file (EAI_PROFILE, DAIS_PROFILE).")
@click.option("--account", metavar="ACCOUNT", help="Act in this account, as org.lab.project (EAI_ACCOUNT).")
@click.option("--version", "show_version", is_flag=True, help="Print the version of this client.")
@click.pass_context
def cli(context: click.Context, profile: str | None, account: str | None, show_version: bool) -> None:
    """The command line of the Element AI Toolkit, for Dais.

    It speaks to the server of DAIS_URL or of the profile; `dais` is the command that can do more.

    \b
    Examples:
      eai job submit -- bash -c 'echo $EAI_JOB_ID'
      eai job logs -f --last
      eai job ls --state alive --fields id,name,runs.exitCode --format csv
      eai data new acme.joe.home
    """
    context.obj = Globals(profile=profile, account=account, prefixes=PREFIXES, camel=True)
    if show_version:
        from dais import __version__

        click.echo(f"eai {__version__}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code."""
    from dais.sdk.errors import DaisError

    try:
        outcome = cli.main(args=arguments, prog_name="eai", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted", err=True)
        return 130
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return explain(click.UsageError(in_their_words(error.format_message()), error.ctx))
    except DaisError as error:
        return explain(retold(error))
    except Exception as error:
        return explain(error)
    return outcome if isinstance(outcome, int) else 0
