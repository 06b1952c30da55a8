"""The table of commands."""

from __future__ import annotations

import click

from dais.cli.base import Entry, Globals, Program, begin
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


class Eai(Program):
    """The program, whose problems are told as that system told them."""

    def told(self, error: Exception) -> Exception:
        from dais.sdk.errors import DaisError

        if isinstance(error, click.UsageError):
            return click.UsageError(in_their_words(error.format_message()), error.ctx)
        return retold(error) if isinstance(error, DaisError) else error


@click.group("eai", cls=Eai, entries=COMMANDS, invoke_without_command=True)
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
    begin(context, Globals(profile=profile, account=account, prefixes=PREFIXES, camel=True), show_version=show_version)
