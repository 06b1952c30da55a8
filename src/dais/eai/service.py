"""`eai service`: named, and refused."""

from __future__ import annotations

import click

_context = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.group()
def service() -> None:
    """Services with a stable address: not built yet.

    A server can be a restartable job with a role's key instead.

    \b
    Example:
      eai job new --restartable --bid 9999 --name api -- python3 -m http.server 8080
      eai role new acme.joe.api --policy "job:get@$(eai job get api --field urn)"
      eai role key new acme.joe.api
      eai job info api --field accessUrl
    """


def _refuse(name: str) -> click.Command:
    @click.command(name, context_settings=_context, help=f"`eai service {name}`: not built yet.", add_help_option=False)
    @click.pass_context
    def command(context: click.Context) -> None:
        raise click.UsageError(
            f"eai service {name}: services are not built yet; run the server as a restartable job, and reach it at the "
            "job's accessUrl (eai job info)",
            context,
        )

    return command


for _name in ("new", "get", "ls", "update", "set", "rm", "logs"):
    service.add_command(_refuse(_name))
